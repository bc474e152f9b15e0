// The pod formats: their columns, and what a row means.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "planner/formats/cluster_builder.h"

namespace brim::planner {
namespace {

using Need = CsvColumn::Need;

constexpr double kCountMax = 1e12;
constexpr double kSecondsMax = 1e12;
constexpr double kMibPerGib = 1024;

namespace own {
enum Column : std::size_t {
  kName,
  kOwner,
  kCpu,
  kMemory,
  kCards,
  kMilli,
  kCardMemory,
  kModels,
  kArrives,
  kLeaves
};
constexpr std::array kColumns = {
    CsvColumn{"name", CsvKind::kText},
    CsvColumn{"owner", CsvKind::kText, 0, 0, Need::kOptional},
    CsvColumn{"cpu_milli", CsvKind::kInteger, 0, kCountMax},
    CsvColumn{"memory_mib", CsvKind::kInteger, 0, kCountMax},
    CsvColumn{"cards", CsvKind::kInteger, 0, kCardsPerNodeMax, Need::kOptional},
    CsvColumn{"card_milli", CsvKind::kInteger, 0, kCardMilli, Need::kOptional},
    CsvColumn{"card_memory_mib", CsvKind::kInteger, 0, kCountMax, Need::kOptional},
    CsvColumn{"card_models", CsvKind::kText, 0, 0, Need::kOptional},
    CsvColumn{"arrives_s", CsvKind::kReal, 0, kSecondsMax, Need::kOptional},
    CsvColumn{"leaves_s", CsvKind::kReal, 0, kSecondsMax, Need::kOptional},
};
}  // namespace own

namespace openb {
enum Column : std::size_t { kName, kCpu, kMemory, kCards, kMilli, kSpec, kCreated, kDeleted };
constexpr std::array kColumns = {
    CsvColumn{"name", CsvKind::kText},
    CsvColumn{"cpu_milli", CsvKind::kInteger, 0, kCountMax},
    CsvColumn{"memory_mib", CsvKind::kInteger, 0, kCountMax},
    CsvColumn{"num_gpu", CsvKind::kInteger, 0, kCardsPerNodeMax},
    CsvColumn{"gpu_milli", CsvKind::kInteger, 0, kCardMilli},
    CsvColumn{"gpu_spec", CsvKind::kText, 0, 0, Need::kOptional},
    CsvColumn{"creation_time", CsvKind::kReal, 0, kSecondsMax, Need::kOptional},
    CsvColumn{"deletion_time", CsvKind::kReal, 0, kSecondsMax, Need::kOptional},
    CsvColumn{"qos", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"pod_phase", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"scheduled_time", CsvKind::kIgnored, 0, 0, Need::kOptional},
};
}  // namespace openb

namespace dlrm {
enum Column : std::size_t { kName, kApp, kCores, kCards, kMemory, kPerNode, kCreated, kDeleted };
constexpr std::array kColumns = {
    CsvColumn{"instance_sn", CsvKind::kText},
    CsvColumn{"app_name", CsvKind::kText},
    CsvColumn{"cpu_request", CsvKind::kReal, 0, 1e6},
    CsvColumn{"gpu_request", CsvKind::kInteger, 0, kCardsPerNodeMax},
    CsvColumn{"memory_request", CsvKind::kReal, 0, 1e9},
    CsvColumn{"max_instance_per_node", CsvKind::kInteger, -1, 1e6},
    CsvColumn{"creation_time", CsvKind::kReal, 0, kSecondsMax, Need::kMayBeEmpty},
    CsvColumn{"deletion_time", CsvKind::kReal, 0, kSecondsMax, Need::kMayBeEmpty},
    CsvColumn{"role", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"cpu_limit", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"gpu_limit", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"rdma_request", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"rdma_limit", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"memory_limit", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"disk_request", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"disk_limit", CsvKind::kIgnored, 0, 0, Need::kOptional},
    CsvColumn{"scheduled_time", CsvKind::kIgnored, 0, 0, Need::kOptional},
};
}  // namespace dlrm

// What a pod may ask of cards: nothing, a share of one, or whole ones.
Status CheckCards(const CsvTable& table, std::size_t row, const Pod& pod, std::string_view cards,
                  std::string_view milli) {
  if (pod.cards == 0 && pod.card_milli > 0) {
    return table.Error(row, fmt::format("{} is 0 and {} {}, expected {} 1 for a share of a card",
                                        cards, milli, pod.card_milli, cards));
  }
  if (pod.cards > 1 && pod.card_milli != kCardMilli) {
    return table.Error(row,
                       fmt::format("{} is {} and {} {}, expected {} 1000: only one card can be "
                                   "shared",
                                   cards, pod.cards, milli, pod.card_milli, milli));
  }
  if (pod.cards == 1 && pod.card_milli == 0) {
    return table.Error(row, fmt::format("{} is 1 and {} 0, expected 1 to 1000", cards, milli));
  }
  return OkStatus();
}

Status CheckTimes(const CsvTable& table, std::size_t row, const Pod& pod) {
  if (pod.leaves_s < 0 || pod.leaves_s >= pod.arrives_s) return OkStatus();
  return table.Error(row, fmt::format("it leaves at {} s, before it arrives at {} s", pod.leaves_s,
                                      pod.arrives_s));
}

// Pods stay in the file's order: inflation draws from them, and a replay sorts by time itself.
void NoteOrder(ClusterBuilder* builder) {
  const std::vector<Pod>& pods = builder->input().pods;
  std::size_t before = 0;
  for (std::size_t i = 1; i < pods.size(); ++i) {
    before += pods[i].arrives_s < pods[i - 1].arrives_s ? 1 : 0;
  }
  if (before == 0) return;
  builder->input().notes.push_back(
      fmt::format("{} pods stand in the file behind one that arrives later: the file's order is "
                  "kept unless time is replayed.",
                  before));
}

Status ReadOwn(const CsvTable& table, ClusterBuilder* builder) {
  BRIM_RETURN_IF_ERROR(ClusterBuilder::CheckUnique(table, own::kName, "pod"));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    Pod pod;
    pod.name = table.Text(row, own::kName);
    pod.owner = table.Text(row, own::kOwner);
    pod.cpu_milli = table.Integer(row, own::kCpu);
    pod.memory_mib = table.Integer(row, own::kMemory);
    pod.cards = static_cast<std::int32_t>(table.Integer(row, own::kCards));
    const bool whole = pod.cards > 0 && !table.Has(row, own::kMilli);
    pod.card_milli =
        whole ? kCardMilli : static_cast<std::int32_t>(table.Integer(row, own::kMilli));
    pod.card_memory_mib = table.Integer(row, own::kCardMemory);
    pod.arrives_s = table.Real(row, own::kArrives);
    pod.leaves_s = table.Has(row, own::kLeaves) ? table.Real(row, own::kLeaves) : -1;
    BRIM_RETURN_IF_ERROR(CheckCards(table, row, pod, "cards", "card_milli"));
    BRIM_RETURN_IF_ERROR(CheckTimes(table, row, pod));
    BRIM_ASSIGN_OR_RETURN(pod.card_models,
                          builder->CardModels(table, row, table.Text(row, own::kModels)));
    builder->input().pods.push_back(std::move(pod));
  }
  NoteOrder(builder);
  return OkStatus();
}

Status ReadOpenb(const CsvTable& table, ClusterBuilder* builder) {
  BRIM_RETURN_IF_ERROR(ClusterBuilder::CheckUnique(table, openb::kName, "pod"));
  double start = std::numeric_limits<double>::infinity();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.Has(row, openb::kCreated)) start = std::min(start, table.Real(row, openb::kCreated));
  }
  for (std::size_t row = 0; row < table.rows(); ++row) {
    Pod pod;
    pod.name = table.Text(row, openb::kName);
    pod.cpu_milli = table.Integer(row, openb::kCpu);
    pod.memory_mib = table.Integer(row, openb::kMemory);
    pod.cards = static_cast<std::int32_t>(table.Integer(row, openb::kCards));
    pod.card_milli = static_cast<std::int32_t>(table.Integer(row, openb::kMilli));
    if (table.Has(row, openb::kCreated)) pod.arrives_s = table.Real(row, openb::kCreated) - start;
    if (table.Has(row, openb::kDeleted)) {
      pod.leaves_s = table.Real(row, openb::kDeleted) - (std::isfinite(start) ? start : 0);
    }
    BRIM_RETURN_IF_ERROR(CheckCards(table, row, pod, "num_gpu", "gpu_milli"));
    BRIM_RETURN_IF_ERROR(CheckTimes(table, row, pod));
    BRIM_ASSIGN_OR_RETURN(pod.card_models,
                          builder->CardModels(table, row, table.Text(row, openb::kSpec)));
    builder->input().pods.push_back(std::move(pod));
  }
  NoteOrder(builder);
  return OkStatus();
}

Status ReadDlrm(const CsvTable& table, ClusterBuilder* builder) {
  BRIM_RETURN_IF_ERROR(ClusterBuilder::CheckUnique(table, dlrm::kName, "pod"));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    Pod pod;
    pod.name = table.Text(row, dlrm::kName);
    pod.owner = table.Text(row, dlrm::kApp);
    pod.cpu_milli = std::llround(table.Real(row, dlrm::kCores) * 1000);
    pod.memory_mib = std::llround(std::ceil(table.Real(row, dlrm::kMemory) * kMibPerGib));
    pod.cards = static_cast<std::int32_t>(table.Integer(row, dlrm::kCards));
    pod.card_milli = pod.cards > 0 ? kCardMilli : 0;
    pod.arrives_s = table.Real(row, dlrm::kCreated);  // Empty: there before the trace began.
    pod.leaves_s = table.Has(row, dlrm::kDeleted) ? table.Real(row, dlrm::kDeleted) : -1;
    BRIM_RETURN_IF_ERROR(CheckTimes(table, row, pod));
    builder->input().pods.push_back(std::move(pod));
    builder->input().owner_per_node_max.push_back(
        static_cast<std::int32_t>(std::max<std::int64_t>(table.Integer(row, dlrm::kPerNode), 0)));
  }
  builder->input().notes.emplace_back(
      "Of the DLRM trace, CPU, memory, cards, times and the most instances of an application on a "
      "node are used; RDMA, disk, limits and roles are not.");
  NoteOrder(builder);
  return OkStatus();
}

}  // namespace

std::span<const ClusterFormat> PodFormats() {
  static constexpr std::array kFormats = {
      ClusterFormat{"brim pods", own::kColumns, ReadOwn},
      ClusterFormat{"openb_pod_list (Alibaba GPU trace 2023)", openb::kColumns, ReadOpenb},
      ClusterFormat{"disaggregated_DLRM_trace (Alibaba GPU trace 2025)", dlrm::kColumns, ReadDlrm},
  };
  return kFormats;
}

}  // namespace brim::planner
