// Pools: what this process's stream-ordered pools hold from the driver, and its graphs' memory.
//
// A pool is charged for what it has reserved, not for each allocation: re-use costs nothing and the
// charge is what the card really gave. Before an allocation that the pool may have to grow for, the
// growth is reserved in the ledger; afterwards the charge becomes what the driver says. The steps a
// driver grows in are learnt from what it did, beginning with the 32 MiB of current ones. Should a
// pool grow by more than was reserved and there is no room, the allocation is given back at once.
// A pool that is destroyed while memory of it is in use lives on until that is freed, as the
// driver's does; here the driver's destroy itself waits, so that the pool can still be asked.
// Memory nodes of graphs are charged when they are added and while a graph or its instantiation
// lives, and then for as long as the driver keeps it (until cuDeviceGraphMemTrim).
//
// Threads: any; one lock per process, held across the driver's call so that growth has one cause.
// Libc only.
#pragma once

#include "vgpu/abi/lock.h"
#include "vgpu/shim/cu_table.h"
#include "vgpu/shim/process.h"

namespace brim::vgpu {

class Pools {
 public:
  static constexpr int kPools = 64;  // A process's pools; further ones are refused memory.

  // `call` is the driver's allocation of `bytes` from `pool` and `undo` its free.
  template <typename Call, typename Undo>
  CUresult Allocate(CUmemoryPool pool, std::uint64_t bytes, Call call, Undo undo) {
    const ThreadLocked locked(&lock_);
    std::uint64_t before = 0;
    Row* const row = Begin(pool, bytes, &before);
    if (row == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    const CUresult result = call();
    if (Settle(row, before) || result != CUDA_SUCCESS) return result;
    undo();
    Shrink(row);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  // Something was freed into a pool: from now on a synchronisation may give it back to the card, if
  // not the next then a later one, since frees are in the order of their streams.
  void Freed() { freed_.store(true, std::memory_order_relaxed); }
  // After a call in which the driver may give memory back.
  void Synchronized() {
    if (freed_.load(std::memory_order_relaxed)) SettleAll();
  }
  void Trimmed() { SettleAll(); }
  // Makes the driver give back what pools keep without need; whether that was anything.
  bool GiveBack();
  // `call` is the driver's destroy.
  template <typename Call>
  CUresult Destroy(CUmemoryPool pool, Call call) {
    if (!ThisProcess().attached()) return call();
    const ThreadLocked locked(&lock_);
    Row* const row = Find(pool);
    if (row == nullptr) return call();
    if (row->leaving) return CUDA_ERROR_INVALID_VALUE;
    if (Leave(row)) return CUDA_SUCCESS;
    const CUresult result = call();
    if (result == CUDA_SUCCESS) Remove(row);
    return result;
  }

  // Graphs: `bytes` more, or fewer, are promised to memory nodes. False: no room. The driver maps a
  // node's memory in pages of kGraphPage: promise NodeBytes().
  static constexpr std::uint64_t kGraphPage = std::uint64_t{2} << 20;
  static std::uint64_t NodeBytes(std::uint64_t bytes) {
    return bytes > ~kGraphPage ? bytes : (bytes + kGraphPage - 1) / kGraphPage * kGraphPage;
  }
  bool Promise(std::uint64_t bytes);
  void Unpromise(std::uint64_t bytes);
  void SettleGraphs();

  void AfterFork();

 private:
  struct Row {
    CUmemoryPool pool = nullptr;
    std::uint64_t charged = 0;
    std::uint64_t step = std::uint64_t{32} << 20;
    bool leaving = false;  // Destroyed by the program, memory of it still in use.
  };

  Row* Find(CUmemoryPool pool);
  Row* Begin(CUmemoryPool pool, std::uint64_t bytes, std::uint64_t* before);
  bool Charged(Row* row, std::uint64_t bytes);
  bool Settle(Row* row, std::uint64_t before);
  bool Leave(Row* row);
  void Remove(Row* row);
  void Shrink(Row* row);
  void SettleAll();
  void SettleLocked();
  std::uint64_t GraphsReserved();

  ThreadLock lock_;
  Row rows_[kPools];
  std::atomic<bool> freed_{false};
  std::uint64_t promised_ = 0;
  std::uint64_t graphs_charged_ = 0;
  CUdevice graphs_on_ = 0;  // A slice is on one card.
};

Pools& ThisPools();

}  // namespace brim::vgpu
