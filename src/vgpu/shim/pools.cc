// See pools.h.
#include "vgpu/shim/pools.h"

namespace brim::vgpu {
namespace {

constinit Pools pools;

std::uint64_t Ask(CUmemoryPool pool, CUmemPool_attribute attribute) {
  cuuint64_t value = 0;
  return BRIM_REAL(cuMemPoolGetAttribute)(pool, attribute, &value) == CUDA_SUCCESS ? value : 0;
}

std::uint64_t Reserved(CUmemoryPool pool) {
  return Ask(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
}

}  // namespace

Pools& ThisPools() { return pools; }

// Without a current context the device is the one that was last asked.
std::uint64_t Pools::GraphsReserved() {
  CUdevice device = 0;
  cuuint64_t value = 0;
  if (BRIM_REAL(cuCtxGetDevice)(&device) == CUDA_SUCCESS) graphs_on_ = device;
  const CUresult result = BRIM_REAL(cuDeviceGetGraphMemAttribute)(
      graphs_on_, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &value);
  return result == CUDA_SUCCESS ? value : 0;
}

Pools::Row* Pools::Find(CUmemoryPool pool) {
  for (Row& row : rows_) {
    if (row.pool == pool) return &row;
  }
  return nullptr;
}

bool Pools::Charged(Row* row, std::uint64_t bytes) {
  Ledger& ledger = ThisProcess().ledger();
  if (bytes > row->charged &&
      ledger.Reserve(bytes - row->charged, MemoryClass::kPool) != Answer::kYes) {
    return false;
  }
  if (bytes < row->charged) ledger.Release(row->charged - bytes, MemoryClass::kPool);
  row->charged = bytes;
  return true;
}

Pools::Row* Pools::Begin(CUmemoryPool pool, std::uint64_t bytes, std::uint64_t* before) {
  Row* row = Find(pool);
  if (row == nullptr) {
    row = Find(nullptr);
    if (row == nullptr) return nullptr;
    *row = Row();
    row->pool = pool;
  }
  if (row->leaving) return nullptr;
  const std::uint64_t used = Ask(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT);
  std::uint64_t reserved = Reserved(pool);
  *before = reserved;
  if (reserved - used >= bytes && reserved <= row->charged) return row;
  for (int attempt = 0; attempt < 2; ++attempt) {
    std::uint64_t growth = 0;
    if (__builtin_add_overflow(bytes, row->step - 1, &growth)) return nullptr;
    growth = growth / row->step * row->step;
    if (Charged(row, reserved + growth)) return row;
    // Once: what the pool keeps without need may make the room.
    if (attempt == 0) BRIM_REAL(cuMemPoolTrimTo)(pool, 0);
    reserved = *before = Reserved(pool);
    Charged(row, reserved > row->charged ? row->charged : reserved);
  }
  return nullptr;
}

bool Pools::Settle(Row* row, std::uint64_t before) {
  const std::uint64_t reserved = Reserved(row->pool);
  // Grown by less than a step: the driver's are smaller.
  const std::uint64_t growth = reserved > before ? reserved - before : 0;
  if (growth > 0 && growth < row->step) {
    const std::uint64_t lowest = growth & (~growth + 1);
    row->step = lowest > (std::uint64_t{2} << 20) ? lowest : std::uint64_t{2} << 20;
  }
  const std::uint64_t more = reserved > row->charged ? reserved - row->charged : 0;
  if (more > row->step) row->step = more;
  return Charged(row, reserved);
}

void Pools::Shrink(Row* row) {
  BRIM_REAL(cuMemPoolTrimTo)(row->pool, 0);
  const std::uint64_t reserved = Reserved(row->pool);
  if (reserved < row->charged) Charged(row, reserved);
}

void Pools::SettleAll() {
  if (!ThisProcess().attached()) return;
  const ThreadLocked locked(&lock_);
  SettleLocked();
}

void Pools::SettleLocked() {
  freed_.store(false, std::memory_order_relaxed);
  bool any = false;
  for (Row& row : rows_) {
    if (row.pool == nullptr) continue;
    if (row.leaving && Ask(row.pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == 0 &&
        BRIM_REAL(cuMemPoolDestroy)(row.pool) == CUDA_SUCCESS) {
      Remove(&row);
      continue;
    }
    const std::uint64_t reserved = Reserved(row.pool);
    if (reserved < row.charged) Charged(&row, reserved);
    any = any || row.charged > 0;
  }
  if (any) freed_.store(true, std::memory_order_relaxed);
}

bool Pools::GiveBack() {
  const ThreadLocked locked(&lock_);
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  for (Row& row : rows_) {
    if (row.pool == nullptr) continue;
    before += row.charged;
    BRIM_REAL(cuMemPoolTrimTo)(row.pool, 0);
  }
  if (before == 0) return false;
  SettleLocked();
  for (const Row& row : rows_) after += row.charged;
  return after < before;
}

// Of a pool that is to be destroyed: true when it has to live on. A device's default pool is the
// driver's to refuse. What the driver does at once is done: it is no device's pool any more, and
// keeps nothing without need.
bool Pools::Leave(Row* row) {
  if (Ask(row->pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == 0) return false;
  CUdevice device = graphs_on_;
  CUmemoryPool own = nullptr;
  CUmemoryPool current = nullptr;
  BRIM_REAL(cuCtxGetDevice)(&device);
  if (BRIM_REAL(cuDeviceGetDefaultMemPool)(&own, device) != CUDA_SUCCESS || own == row->pool) {
    return false;
  }
  if (BRIM_REAL(cuDeviceGetMemPool)(&current, device) == CUDA_SUCCESS && current == row->pool) {
    BRIM_REAL(cuDeviceSetMemPool)(device, own);
  }
  cuuint64_t keep = 0;
  BRIM_REAL(cuMemPoolSetAttribute)(row->pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep);
  row->leaving = true;
  Shrink(row);
  freed_.store(true, std::memory_order_relaxed);
  return true;
}

void Pools::Remove(Row* row) {
  Charged(row, 0);
  *row = Row();
}

bool Pools::Promise(std::uint64_t bytes) {
  const ThreadLocked locked(&lock_);
  std::uint64_t wanted = 0;
  if (__builtin_add_overflow(promised_, bytes, &wanted)) return false;
  if (wanted > graphs_charged_) {
    const std::uint64_t more = wanted - graphs_charged_;
    if (ThisProcess().ledger().Reserve(more, MemoryClass::kGraph) != Answer::kYes) return false;
    graphs_charged_ = wanted;
  }
  promised_ = wanted;
  return true;
}

void Pools::Unpromise(std::uint64_t bytes) {
  {
    const ThreadLocked locked(&lock_);
    promised_ = promised_ > bytes ? promised_ - bytes : 0;
  }
  SettleGraphs();
}

void Pools::SettleGraphs() {
  if (!ThisProcess().attached()) return;
  const ThreadLocked locked(&lock_);
  const std::uint64_t kept = GraphsReserved();
  const std::uint64_t wanted = kept > promised_ ? kept : promised_;
  if (wanted >= graphs_charged_) return;
  ThisProcess().ledger().Release(graphs_charged_ - wanted, MemoryClass::kGraph);
  graphs_charged_ = wanted;
}

void Pools::AfterFork() {
  lock_.Reset();
  for (Row& row : rows_) row = Row();
  promised_ = graphs_charged_ = 0;
}

}  // namespace brim::vgpu
