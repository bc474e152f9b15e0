// The exposition of a node's figures.
#include <fmt/format.h>

#include "metrics/exposition.h"
#include "vgpu/agent/agent.h"

namespace brim::vgpu {
namespace {

using metrics::Exposition;

// One family over all slices.
template <typename Value>
void Each(Exposition* page, const metrics::Row& row, const NodeFigures& figures, Value value) {
  page->Family(row);
  for (const SliceFigures& f : figures.slices) {
    const std::string card = std::to_string(f.spec.card);
    page->Sample({{"slice", f.spec.name}, {"owner", f.spec.owner}, {"card", card}}, value(f));
  }
}

}  // namespace

std::string MetricsText(const NodeFigures& figures) {
  namespace rows = metrics::rows;
  std::string text;
  Exposition page(&text);
  page.Family(rows::kSliceMemory);
  for (const SliceFigures& f : figures.slices) {
    const std::string card = std::to_string(f.spec.card);
    for (int i = 0; i < kMemoryClasses; ++i) {
      page.Sample({{"slice", f.spec.name},
                   {"owner", f.spec.owner},
                   {"card", card},
                   {"class", MemoryClassName(static_cast<MemoryClass>(i))}},
                  f.class_bytes[i]);
    }
  }
  Each(&page, rows::kSliceMemoryHeld, figures, [](const SliceFigures& f) { return f.held; });
  Each(&page, rows::kSliceMemorySoft, figures,
       [](const SliceFigures& f) { return f.spec.memory_soft; });
  Each(&page, rows::kSliceMemoryNow, figures, [](const SliceFigures& f) { return f.memory_now; });
  Each(&page, rows::kSliceMemoryHard, figures,
       [](const SliceFigures& f) { return f.spec.memory_hard; });
  Each(&page, rows::kSliceDrift, figures,
       [](const SliceFigures& f) { return static_cast<double>(f.drift); });
  Each(&page, rows::kSliceDriverMemory, figures,
       [](const SliceFigures& f) { return f.driver_used.value_or(0); });
  page.Family(rows::kSliceBackend);
  for (const SliceFigures& f : figures.slices) {
    const std::string card = std::to_string(f.spec.card);
    page.Sample({{"slice", f.spec.name},
                 {"owner", f.spec.owner},
                 {"card", card},
                 {"memory", NameOf(f.spec.memory_backend)},
                 {"cores", NameOf(f.spec.cores_backend)}},
                f.in_force ? std::uint64_t{1} : std::uint64_t{0});
  }
  Each(&page, rows::kSliceShareAsked, figures,
       [](const SliceFigures& f) { return f.spec.cores / 100.0; });
  Each(&page, rows::kSliceShareReceived, figures,
       [](const SliceFigures& f) { return f.share_received; });
  Each(&page, rows::kSliceGpuSeconds, figures, [](const SliceFigures& f) { return f.gpu_seconds; });
  Each(&page, rows::kSliceThrottled, figures,
       [](const SliceFigures& f) { return f.throttled_seconds; });
  Each(&page, rows::kSliceLaunches, figures, [](const SliceFigures& f) { return f.launches; });
  Each(&page, rows::kSliceRefusals, figures, [](const SliceFigures& f) { return f.refusals; });
  Each(&page, rows::kSliceUnknown, figures,
       [](const SliceFigures& f) { return f.unknown_symbols; });
  Each(&page, rows::kSliceIdle, figures, [](const SliceFigures& f) { return f.idle_seconds; });
  Each(&page, rows::kSliceProcesses, figures,
       [](const SliceFigures& f) { return static_cast<std::uint64_t>(f.pids.size()); });
  Each(&page, rows::kSliceReaped, figures, [](const SliceFigures& f) { return f.reaped; });
  page.Family(rows::kCardMemory);
  for (const CardInfo& card : figures.cards) {
    page.Sample({{"card", std::to_string(card.index)}, {"uuid", card.uuid}}, card.memory);
  }
  page.Family(rows::kCardUnits);
  for (const CardInfo& card : figures.cards) {
    std::uint64_t taken = 0;
    for (const SliceFigures& f : figures.slices)
      taken += f.spec.card == card.index ? f.spec.cores : 0;
    page.Sample({{"card", std::to_string(card.index)}, {"uuid", card.uuid}},
                taken < 100 ? 100 - taken : std::uint64_t{0});
  }
  return text;
}

}  // namespace brim::vgpu
