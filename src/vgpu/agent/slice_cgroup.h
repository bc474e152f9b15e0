// SliceCgroups: a control group (cgroup v2) for each slice of a node, which is what the driver's
// own memory limit holds on to: whoever is in the group, and whoever they start, is in the limit.
//
//     ROOT/brim-node-HASH/slice-NAME      HASH: of the node's folder
//
// ROOT is /sys/fs/cgroup, or what BRIM_CGROUP_ROOT names: a part of the tree that was delegated to
// this user. It is trusted to be one.
//
// Threads: none of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace brim::vgpu {

class SliceCgroups {
 public:
  SliceCgroups(std::string root, const std::string& node_folder);
  static SliceCgroups OfHost(const std::string& node_folder);

  // FAILED_PRECONDITION (no_cgroup), with what to do, when there is no cgroup v2 at the root.
  Status Usable() const;
  const std::string& root() const { return root_; }
  std::string PathOf(const std::string& slice) const { return parent_ + "/slice-" + slice; }
  std::string PathOfTrial() const;

  // Makes the folder and those above it. PERMISSION_DENIED, INTERNAL.
  Status Make(const std::string& path) const;
  bool Exists(const std::string& path) const;
  // Processes in the group, the dead left out; 0 for one of another pid namespace.
  std::vector<std::int32_t> Members(const std::string& path) const;
  // Takes the folder away, and the node's when it was the last; OK when it is not there.
  Status Remove(const std::string& path) const;
  // Puts this process into the group.
  Status Enter(const std::string& path) const;
  // Names of slices that have a group, and the paths of trials that a process left behind.
  std::vector<std::string> Slices() const;
  std::vector<std::string> LeftTrials() const;

 private:
  std::string root_;
  std::string parent_;
  bool told_ = false;  // The root was named by the environment.
};

}  // namespace brim::vgpu
