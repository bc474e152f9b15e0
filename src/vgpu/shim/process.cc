// See process.h.
#include "vgpu/shim/process.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vgpu/shim/launches.h"
#include "vgpu/shim/map_file.h"
#include "vgpu/shim/pools.h"
#include "vgpu/shim/start_ticks.h"

namespace brim::vgpu {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

constinit Process process;

// 0 when unreadable.
std::uint64_t OwnStartTicks() {
  char text[1024];
  const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t length = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = '\0';
  return StartTicksIn(text);
}

std::uint64_t OwnPidNamespace() {
  struct stat info;
  return stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

}  // namespace

Process& ThisProcess() { return process; }

Attachment Process::Attach() {
  std::atomic<std::uint32_t>* const state = __atomic_load_n(&state_, __ATOMIC_ACQUIRE);
  const std::uint32_t known = state == nullptr ? 0 : state->load(std::memory_order_acquire);
  return known != 0 ? static_cast<Attachment>(known - 1) : AttachSlow();
}

Attachment Process::AttachSlow() {
  // Rare and short; whoever comes meanwhile spins. A forked child starts with the lock as its
  // parent had it, so the owner's pid is the lock.
  const auto self = static_cast<std::uint32_t>(getpid());
  for (;;) {
    std::uint32_t owner = attaching_.load(std::memory_order_acquire);
    if (owner == self) {
      usleep(50);
      continue;
    }
    if (attaching_.compare_exchange_strong(owner, self, std::memory_order_acquire)) break;
  }
  if (state_ == nullptr) {
    void* const page =
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
      // A kernel that cannot wipe it leaves it to the C library.
      if (madvise(page, 4096, MADV_WIPEONFORK) != 0) {
        pthread_atfork(nullptr, nullptr, [] { ThisProcess().Forget(); });
      }
      __atomic_store_n(&state_, static_cast<std::atomic<std::uint32_t>*>(page), __ATOMIC_RELEASE);
    }
  }
  Attachment result = Attachment::kUnusable;
  if (state_ != nullptr) {
    const std::uint32_t known = state_->load(std::memory_order_acquire);
    bool told = false;
    const char* const folder = SliceFolder(&told);
    if (known != 0) {
      result = static_cast<Attachment>(known - 1);
    } else if (!told && access(folder, F_OK) != 0) {
      result = Attachment::kNone;
    } else if (limits_ != nullptr || Map(folder)) {
      ledger_.AfterFork();
      arbiter_.AfterFork();
      allocations_.AfterFork();
      primary_.Reset();
      ThisPools().AfterFork();
      ThisLaunches().AfterFork();
      if (ledger_.Claim(getpid(), OwnStartTicks(), OwnPidNamespace())) {
        result = Attachment::kAttached;
      } else {
        Say("all of its cells for processes are taken", folder);
      }
    }
    state_->store(1 + static_cast<std::uint32_t>(result), std::memory_order_release);
  }
  attaching_.store(0, std::memory_order_release);
  return result;
}

void Process::Forget() { state_->store(0, std::memory_order_release); }

bool Process::Map(const char* folder) {
  const auto* const limits = MapFile<const SliceLimits>(folder, "limits", false, CheckLimits);
  auto* const segment = MapFile<SliceSegment>(folder, "segment", true, CheckSegment);
  const auto* const table = MapFile<const CardTable>(folder, "table", false, CheckTable);
  auto* const card = MapFile<CardSegment>(folder, "card", true, CheckCard);
  if (limits == nullptr || segment == nullptr || table == nullptr || card == nullptr) return false;
  if (limits->row >= kSlicesPerCard) {
    Say("names a row that the card does not have", folder);
    return false;
  }
  limits_ = limits;
  segment_ = segment;
  ledger_.Attach(limits, segment);
  arbiter_.Attach(table, card, limits->row);
  return true;
}

void Process::CountUnknown(const char* symbol) {
  if (!attached()) return;
  ledger_.cell()->unknown_symbols.fetch_add(1, kRelaxed);
  for (UnknownName& entry : segment_->unknown) {
    std::uint64_t none = 0;
    if (entry.count.compare_exchange_strong(none, 1, std::memory_order_acq_rel)) {
      strncpy(entry.name, symbol, sizeof(entry.name) - 1);
      return;
    }
    if (strncmp(entry.name, symbol, sizeof(entry.name) - 1) == 0) {
      entry.count.fetch_add(1, kRelaxed);
      return;
    }
  }
}

void Process::CountExportTable() {
  if (attached()) ledger_.cell()->export_tables.fetch_add(1, kRelaxed);
}

void Process::CountLaunch(Ns throttled, Ns now) {
  Cell& cell = *ledger_.cell();
  cell.launches.fetch_add(1, kRelaxed);
  if (throttled > 0) cell.throttled_ns.fetch_add(static_cast<std::uint64_t>(throttled), kRelaxed);
  cell.last_kernel_s.store(static_cast<std::uint64_t>(now / 1'000'000'000), kRelaxed);
}

}  // namespace brim::vgpu
