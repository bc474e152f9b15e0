// Whether a process of a slice lives, from /proc. One thread per object.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {

// A process of this pid namespace is found by its number, one of another (a container's) by its
// namespace and the number that it has there, the last of NSpid in its status; both by their start
// too, since numbers come again. What cannot be looked at counts as alive: /proc that cannot be
// read; a container that cannot be seen from here, which is every one that is not inside this
// process's own when that is itself in a container.
//
// For one look at all cells, not for keeping: processes of other namespaces are listed once, and
// again for a cell whose process started after that.
class ProcLiving final : public Living {
 public:
  // `proc` and `sees_all` (there is no pid namespace around this process's) are for tests.
  explicit ProcLiving(std::string proc = "/proc");
  ProcLiving(std::string proc, bool sees_all);

  bool Alive(std::int32_t pid, std::uint64_t start_ticks, std::uint64_t pid_namespace) override;

 private:
  struct Process {
    std::uint64_t pid_namespace = 0;  // 0: not ours to look at.
    std::int32_t pid = 0;             // There.
    std::uint64_t start_ticks = 0;    // 0: told by another clock (a time namespace of its own).
    bool ended = false;
  };

  bool AliveHere(std::int32_t pid, std::uint64_t start_ticks) const;
  void List();

  std::string proc_;
  bool sees_all_;
  std::uint64_t own_namespace_ = 0;  // 0: unknown.
  std::vector<Process> elsewhere_;   // Processes of other namespaces.
  std::uint64_t listed_at_ = 0;  // In ticks since boot, as starts are; 0: not yet, or it failed.
};

}  // namespace brim::vgpu
