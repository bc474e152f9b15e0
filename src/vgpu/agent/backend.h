// Backend: one way to keep a slice within what it was given.
//
//     shim    the library in the program (vgpu/shim): memory and cores, on any driver
//     native  the driver's own memory limit of a control group, set through NVML (driver 615)
//     mps     the driver's multi-process service: a part of the multiprocessors per process
//
// A slice has at least one, and each is asked for everything that happens to the slice: so the
// node knows none of them by name. The shim is always among them: it shows the tenant its slice.
//
// Threads: as the node that has them; one at a time.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vgpu/agent/backend_policy.h"
#include "vgpu/agent/slice_files.h"
#include "vgpu/agent/slice_spec.h"

namespace brim::vgpu {

// A slice for a backend. The files are null when they could not be opened.
struct SliceTarget {
  const SliceSpec& spec;
  CardInfo card;
  SliceFiles* files = nullptr;
  CardFiles* card_files = nullptr;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;
  virtual std::string_view holds() const = 0;  // "memory", "cores", "memory and cores".
  // Tries it out without leaving anything behind.
  virtual Offer Probe(const CardInfo& card) = 0;
  // Whether the slice was made with this backend.
  virtual bool Serves(const SliceSpec& spec) const = 0;
  // Whether Apply() can fail on a slice that is in order: such a backend is asked before a change
  // is kept, the others after it.
  virtual bool may_refuse() const = 0;
  // Puts into force what the slice's spec says: after its making, a change, a restart of the host.
  // Doing it twice is doing it once.
  virtual Status Apply(const SliceTarget& slice) = 0;
  // FAILED_PRECONDITION (slice_in_use), with what to do, while a process is held by it.
  virtual Status CheckIdle(const SliceTarget& slice) = 0;
  // Takes it back. It may fail as CheckIdle() does, and then leaves the limit in force.
  virtual Status Withdraw(const SliceTarget& slice) = 0;
  // In the process that is about to become the slice's program. It must not succeed when the
  // program would run outside the limit.
  virtual Status Enter(const SliceTarget& slice) = 0;
  // Bytes that the backend itself counts for the slice; none when it does not count. An error says
  // that the limit is not in force.
  virtual Result<std::optional<std::uint64_t>> Used(const SliceTarget& slice) = 0;
  // Takes back what slices left that are no more (a node may be killed at any point).
  virtual void Sweep(std::span<const SliceSpec> slices, std::span<const CardInfo> cards) = 0;
};

// What CheckIdle() says of `processes`.
Status InUse(const std::string& name, std::size_t processes);

// In the order in which they are asked.
using Backends = std::vector<std::shared_ptr<Backend>>;

// All three, for the node of this folder. Nothing is opened until one is asked.
Backends HostBackends(const std::string& node_folder);

// The files that the library in the program obeys.
class ShimBackend final : public Backend {
 public:
  std::string_view name() const override { return "shim"; }
  std::string_view holds() const override { return "memory and cores"; }
  Offer Probe(const CardInfo& card) override;
  bool Serves(const SliceSpec&) const override { return true; }
  bool may_refuse() const override { return false; }
  Status Apply(const SliceTarget& slice) override;
  Status CheckIdle(const SliceTarget& slice) override;
  Status Withdraw(const SliceTarget& slice) override;
  // What the program needs of it are variables, which are the command's (apps/node_run.cc).
  Status Enter(const SliceTarget&) override { return OkStatus(); }
  Result<std::optional<std::uint64_t>> Used(const SliceTarget&) override {
    return std::optional<std::uint64_t>();
  }
  void Sweep(std::span<const SliceSpec>, std::span<const CardInfo>) override {}
};

}  // namespace brim::vgpu
