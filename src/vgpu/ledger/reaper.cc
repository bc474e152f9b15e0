// See reaper.h.
#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kPhaseMask = 0xff;

CellPhase PhaseOf(std::uint64_t owner) { return static_cast<CellPhase>(owner & kPhaseMask); }

std::uint64_t WithPhase(std::uint64_t owner, CellPhase phase) {
  return (owner & ~kPhaseMask) | static_cast<std::uint64_t>(phase);
}

// A kill between the two lines forgets this cell's history; it never counts it twice.
void Move(std::atomic<std::uint64_t>* from, std::atomic<std::uint64_t>* to) {
  to->fetch_add(from->exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
}

}  // namespace

void Reaper::Resume() {
  Settle(segment_, 0);
  segment_->cell[0].target.store(0, std::memory_order_relaxed);
  for (std::uint32_t i = 1; i < kCells; ++i) {
    if (PhaseOf(segment_->cell[i].owner.load(std::memory_order_acquire)) == CellPhase::kReaping) {
      Empty(i);
    }
  }
}

std::uint32_t Reaper::Reap(Living* living) {
  std::uint32_t reaped = 0;
  for (std::uint32_t i = 1; i < kCells; ++i) {
    Cell& cell = segment_->cell[i];
    std::uint64_t owner = cell.owner.load(std::memory_order_acquire);
    if (PhaseOf(owner) != CellPhase::kLive) continue;
    const auto pid = static_cast<std::int32_t>(owner >> 32);
    if (living->Alive(pid, cell.start_ticks.load(std::memory_order_acquire),
                      cell.pid_namespace.load(std::memory_order_acquire))) {
      continue;
    }
    if (!cell.owner.compare_exchange_strong(owner, WithPhase(owner, CellPhase::kReaping))) continue;
    Empty(i);
    ++reaped;
  }
  return reaped;
}

void Reaper::Empty(std::uint32_t index) {
  Cell& dead = segment_->cell[index];
  Settle(segment_, index);
  // No honest cell holds more than a slice can.
  constexpr auto kMost = static_cast<std::int64_t>(kUnitsMax);
  std::int64_t held = dead.held.load(std::memory_order_acquire);
  held = held > kMost ? kMost : held < -kMost ? -kMost : held;
  if (held != 0) {
    segment_->cell[0].target.store(index, std::memory_order_release);
    if (hook_ != nullptr) hook_(8);
    ChangeTotal(segment_, 0, -held, kUnitsMax, hook_);
    segment_->cell[0].target.store(0, std::memory_order_release);
  }
  if (hook_ != nullptr) hook_(9);
  Move(&dead.launches, &segment_->past_launches);
  Move(&dead.refusals, &segment_->past_refusals);
  Move(&dead.throttled_ns, &segment_->past_throttled_ns);
  Move(&dead.gpu_ns, &segment_->past_gpu_ns);
  Move(&dead.unknown_symbols, &segment_->past_unknown_symbols);
  for (std::atomic<std::int64_t>& bytes : dead.class_bytes) bytes.store(0);
  dead.start_ticks.store(0, std::memory_order_relaxed);
  dead.pid_namespace.store(0, std::memory_order_relaxed);
  segment_->reaped.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t owner = dead.owner.load(std::memory_order_relaxed);
  dead.owner.store(WithPhase(owner, CellPhase::kFree), std::memory_order_release);
}

std::uint64_t Reaper::SumOfCells() const {
  // Modulo 2^64: tampered cells may hold anything.
  std::uint64_t units = 0;
  for (const Cell& cell : segment_->cell) {
    units += static_cast<std::uint64_t>(cell.held.load(std::memory_order_acquire));
  }
  return static_cast<std::int64_t>(units) < 0 ? 0 : units * kUnitBytes;
}

std::uint32_t Reaper::LiveCells() const {
  std::uint32_t live = 0;
  for (std::uint32_t i = 1; i < kCells; ++i) {
    if (PhaseOf(segment_->cell[i].owner.load(std::memory_order_acquire)) == CellPhase::kLive)
      ++live;
  }
  return live;
}

}  // namespace brim::vgpu
