// See agent.h.
#include "vgpu/agent/agent.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "vgpu/agent/lend_policy.h"
#include "vgpu/agent/proc_living.h"
#include "vgpu/ledger/ledger.h"
#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {
namespace {

constexpr auto kWindow = std::chrono::seconds(10);  // Of share_received.
constexpr auto kLookAll = std::chrono::seconds(2);  // At processes that no pidfd watches.
constexpr auto kAskNvml = std::chrono::seconds(1);

CellPhase PhaseOf(std::uint64_t owner) { return static_cast<CellPhase>(owner & 0xff); }

double Seconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

int OpenPid(std::int32_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace

SliceFigures ReadFigures(const SliceSpec& spec, SliceFiles& files, CardFiles* card, Time now) {
  SliceFigures f;
  f.spec = spec;
  SliceSegment& segment = *files.segment;
  f.memory_now = files.limits->memory_now;
  f.held = HeldBytes(segment);
  f.launches = segment.past_launches;
  f.refusals = segment.past_refusals;
  f.unknown_symbols = segment.past_unknown_symbols;
  f.reaped = segment.reaped;
  std::uint64_t throttled = segment.past_throttled_ns;
  std::uint64_t last = 0;
  for (const Cell& cell : segment.cell) {
    const std::uint64_t owner = cell.owner;
    if (PhaseOf(owner) == CellPhase::kFree) continue;
    if (PhaseOf(owner) == CellPhase::kLive)
      f.pids.push_back(static_cast<std::int32_t>(owner >> 32));
    f.launches += cell.launches;
    f.refusals += cell.refusals;
    f.unknown_symbols += cell.unknown_symbols;
    throttled += cell.throttled_ns;
    last = std::max<std::uint64_t>(last, cell.last_kernel_s);
    for (int i = 0; i < kMemoryClasses; ++i) {
      f.class_bytes[i] +=
          static_cast<std::uint64_t>(std::max<std::int64_t>(0, cell.class_bytes[i]));
    }
  }
  f.throttled_seconds = Seconds(throttled);
  if (card != nullptr) {
    const std::int64_t gpu = card->card->row[spec.row].gpu;
    f.gpu_seconds = Seconds(static_cast<std::uint64_t>(std::max<std::int64_t>(0, gpu)));
  }
  const double clock = std::chrono::duration<double>(now.time_since_epoch()).count();
  f.idle_seconds = last == 0 ? 0 : std::max(0.0, clock - static_cast<double>(last));
  for (const UnknownName& entry : segment.unknown) {
    if (entry.count == 0) continue;
    f.unknown_names.emplace_back(entry.name, strnlen(entry.name, sizeof(entry.name)));
  }
  return f;
}

Agent::Agent(Node* node, const Clock& clock, const Logger& logger, NvmlUse (*nvml)(std::uint32_t))
    : node_(*node), clock_(clock), logger_(logger), nvml_(nvml) {}

Agent::~Agent() {
  for (const auto& [key, watched] : watched_) {
    if (watched.pidfd >= 0) close(watched.pidfd);
  }
  if (lock_fd_ >= 0) close(lock_fd_);
}

Status Agent::Start() {
  const std::string path = node_.folder() + "/agent.lock";
  lock_fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0 || flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return Status(Code::kFailedPrecondition, "agent_running",
                  fmt::format("an agent looks after {} already, or the folder cannot be written; "
                              "--dir names another",
                              node_.folder()));
  }
  for (const SliceSpec& spec : node_.state().slices) {
    if (SliceFiles* const files = node_.Files(spec.name)) {
      Reaper(files->segment.get()).Resume();
    } else {
      logger_.Error("slice_unusable", {{"error", node_.Fault(spec.name).message()}});
    }
  }
  if (const Status swept = node_.Sweep(); !swept.ok()) {
    logger_.Error("not_swept", {{"error", swept.message()}});
  }
  Tick();
  return OkStatus();
}

void Agent::Tick() {
  const Time now = clock_.Now();
  if (const Result<bool> changed = node_.Refresh(); !changed.ok()) {
    logger_.Error("state_unreadable", {{"error", changed.status().message()}});
  }
  const bool all = now - looked_all_ >= kLookAll;
  if (all) looked_all_ = now;
  for (const SliceSpec& spec : node_.state().slices) {
    SliceFiles* const files = node_.Files(spec.name);
    if (files == nullptr) continue;
    made_.try_emplace(spec.name, now);
    Watch(spec.name, files->segment.get());
    if (all) Reap(spec.name, files->segment.get());
  }
  for (const CardInfo& card : node_.state().cards) LendOn(card);
  KeepFigures();
}

// A pidfd for each cell that is new; those whose process has ended are reaped at once.
void Agent::Watch(const std::string& name, SliceSegment* segment) {
  bool ended = false;
  for (std::uint32_t i = 1; i < kCells; ++i) {
    const std::uint64_t owner = segment->cell[i].owner;
    const auto at = watched_.find({name, i});
    if (at != watched_.end() && at->second.owner != owner) {
      close(at->second.pidfd);
      watched_.erase(at);
    }
    if (PhaseOf(owner) != CellPhase::kLive || watched_.count({name, i}) != 0) continue;
    // A process of another pid namespace has another number here: it is looked for now and then.
    const std::uint64_t space = segment->cell[i].pid_namespace;
    struct stat own;
    if (space != 0 && (stat("/proc/self/ns/pid", &own) != 0 || own.st_ino != space)) continue;
    const int fd = OpenPid(static_cast<std::int32_t>(owner >> 32));
    if (fd >= 0) watched_[{name, i}] = {fd, owner};
    ended = ended || fd < 0;
  }
  for (const auto& [key, watched] : watched_) {
    if (key.first != name) continue;
    pollfd one{watched.pidfd, POLLIN, 0};
    ended = ended || poll(&one, 1, 0) > 0;
  }
  if (ended) Reap(name, segment);
}

void Agent::Reap(const std::string& name, SliceSegment* segment) {
  ProcLiving living;
  Reaper reaper(segment);
  const std::uint32_t reaped = reaper.Reap(&living);
  if (reaped > 0) {
    logger_.Info("reaped", {{"slice", name},
                            {"processes", std::to_string(reaped)},
                            {"held_bytes", std::to_string(HeldBytes(*segment))}});
  }
}

void Agent::WaitForDeath(std::chrono::milliseconds at_most) {
  std::vector<pollfd> fds;
  for (const auto& [key, watched] : watched_) fds.push_back({watched.pidfd, POLLIN, 0});
  poll(fds.data(), fds.size(), static_cast<int>(at_most.count()));
}

void Agent::LendOn(const CardInfo& card) {
  std::vector<Borrower> borrowers;
  std::vector<SliceFiles*> files;
  bool any = false;
  for (const SliceSpec& spec : node_.state().slices) {
    SliceFiles* const of = spec.card == card.index ? node_.Files(spec.name) : nullptr;
    if (of == nullptr) continue;
    any = any || spec.memory_soft < spec.memory_hard;
    borrowers.push_back({spec.memory_soft, spec.memory_hard, of->limits->memory_now,
                         HeldBytes(*of->segment), of->segment->wanted.exchange(0)});
    files.push_back(of);
  }
  if (!any) return;
  // Down first; then look again, since a process may have reserved in between; then up.
  std::vector<std::uint64_t> now = Lend(borrowers, card.memory);
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (now[i] < borrowers[i].now) SetMemoryNow(now[i], files[i]->limits.get());
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    borrowers[i].now = files[i]->limits->memory_now;
    borrowers[i].held = HeldBytes(*files[i]->segment);
  }
  now = Lend(borrowers, card.memory);
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (now[i] > borrowers[i].now) SetMemoryNow(now[i], files[i]->limits.get());
  }
}

// A limit that is gone (the host was started again, somebody took the group away) is put back.
void Agent::AskDriver(const SliceSpec& spec) {
  Driver& driver = driver_[spec.name];
  Result<std::optional<std::uint64_t>> used = node_.DriverUsed(spec);
  if (!used.ok()) {
    const std::string why = used.status().message();
    const Status again = node_.Enforce(spec.name);
    if (again.reason() == "slice_unknown") return;  // Removed just now.
    if (again.ok()) used = node_.DriverUsed(spec);
    if (used.ok()) {
      logger_.Warn("limit_put_back", {{"slice", spec.name}, {"was", why}});
    } else if (driver.in_force) {
      logger_.Error("limit_not_in_force",
                    {{"slice", spec.name}, {"error", again.ok() ? why : again.message()}});
    }
  }
  driver.in_force = used.ok();
  if (used.ok()) driver.used = *used;
}

void Agent::KeepFigures() {
  const Time now = clock_.Now();
  NodeFigures figures;
  figures.cards = node_.state().cards;
  const bool due = now - asked_nvml_ >= kAskNvml;
  const bool ask = nvml_ != nullptr && due;
  if (due) asked_nvml_ = now;
  std::map<std::uint32_t, NvmlUse> use;
  for (const CardInfo& card : figures.cards) {
    if (ask) use[card.index] = nvml_(card.index);
  }
  for (const SliceSpec& spec : node_.state().slices) {
    SliceFiles* const files = node_.Files(spec.name);
    if (files == nullptr) continue;
    SliceFigures f = ReadFigures(spec, *files, node_.FilesOfCard(spec.card), now);
    if (f.launches == 0) {
      f.idle_seconds = std::chrono::duration<double>(now - made_[spec.name]).count();
    }
    std::deque<Sample>& samples = samples_[spec.name];
    samples.push_back({now, f.gpu_seconds});
    while (samples.size() > 2 && now - samples[1].at >= kWindow) samples.pop_front();
    const double span = std::chrono::duration<double>(now - samples.front().at).count();
    if (span > 0)
      f.share_received = std::max(0.0, (f.gpu_seconds - samples.front().gpu_seconds) / span);
    const NvmlUse& of_card = use[spec.card];
    if (ask && !of_card.empty()) {
      std::int64_t seen = 0;
      for (const std::int32_t pid : f.pids) {
        const auto found = of_card.find(pid);
        if (found != of_card.end()) seen += static_cast<std::int64_t>(found->second);
      }
      drift_[spec.name] = seen - static_cast<std::int64_t>(f.held);
    }
    if (due) AskDriver(spec);
    f.in_force = driver_[spec.name].in_force;
    f.driver_used = driver_[spec.name].used;
    // The driver's own count of the slice has all of it, whoever allocated.
    if (f.driver_used && due) {
      drift_[spec.name] =
          static_cast<std::int64_t>(*f.driver_used) - static_cast<std::int64_t>(f.held);
    }
    f.drift = drift_[spec.name];
    figures.slices.push_back(std::move(f));
  }
  const MutexLock lock(mutex_);
  figures_ = std::move(figures);
}

NodeFigures Agent::Figures() const {
  const MutexLock lock(mutex_);
  return figures_;
}

}  // namespace brim::vgpu
