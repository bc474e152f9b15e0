// Node: the slices of this host: what was asked (a state file), what stands in shared memory, and
// the operations of `brim node slices`.
//
// The folder:
//     state            what survives: replaced whole with every change (state_file.h)
//     lock             held while a change is made; agent.lock while an agent runs
//     cards/N/         table, card
//     slices/NAME/     limits, segment, and links to table and card
// The files that processes map must be in memory: when the folder is on a disk, `cards` and
// `slices` are links to a folder of their own in /dev/shm. They are made anew from `state` when
// they are gone, as after a restart of the host.
//
// Threads: one per object. Several processes may each have a Node of the same folder.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "vgpu/agent/backend.h"
#include "vgpu/agent/slice_files.h"
#include "vgpu/agent/slice_spec.h"
#include "vgpu/agent/state_file.h"

namespace brim::vgpu {

// What may change in a running slice; unset fields stay.
struct SliceChange {
  std::optional<std::uint32_t> cores;
  std::optional<std::uint64_t> memory_soft;
  std::optional<std::uint64_t> memory_hard;
  std::optional<Share> share;
  std::optional<Priority> priority;
  std::optional<std::string> owner;
};

class Node {
 public:
  // Makes the folder and reads the state. INVALID_ARGUMENT, PERMISSION_DENIED, DATA_LOSS.
  // Slices are enforced by `backends`, which are the host's when none are given.
  static Result<Node> Open(const std::string& folder, Backends backends = {});
  // $BRIM_NODE_DIR, else /run/brim/node for root, else $XDG_RUNTIME_DIR/brim-node, else
  // /tmp/brim-node-UID.
  static std::string DefaultFolder();

  const std::string& folder() const { return folder_; }
  const NodeState& state() const { return state_; }
  std::string SliceFolder(const std::string& name) const { return folder_ + "/slices/" + name; }
  const SliceSpec* Find(const std::string& name) const;
  const CardInfo* Card(std::uint32_t index) const;

  // Takes the cards that a probe found. A card with slices that is no longer there stays known.
  Status SetCards(const std::vector<CardInfo>& cards);
  // Under the lock, from the state as it is then. Each leaves everything as it was when it fails.
  Status Create(SliceSpec spec);
  Result<SliceSpec> Resize(const std::string& name, const SliceChange& change);
  Status Remove(const std::string& name);

  // What each backend found when it was tried on the card; with a wish, those that it depends on.
  CardOffers Offers(const CardInfo& card, const BackendWish* wish = nullptr);
  // Puts the slice's limits into force again where they are not, under the lock. As Sweep(), from
  // the state as it is then, which state() does not show before Refresh(). NOT_FOUND
  // (slice_unknown).
  Status Enforce(const std::string& name);
  // Before this process becomes a program of the slice. It is in no limit when this fails.
  Status Enter(const std::string& name);
  // Bytes that a backend outside the shim counts for the slice; none when there is no such backend.
  Result<std::optional<std::uint64_t>> DriverUsed(const SliceSpec& spec);
  // Takes back what backends hold for slices that are no more, under the lock.
  Status Sweep();

  // Reads the state again when another process has changed it, and maps what is new. Returns
  // whether anything changed.
  Result<bool> Refresh();
  // Mapped files of a slice or card; null when they could not be opened.
  SliceFiles* Files(const std::string& name);
  // Why a slice's files could not be opened; OK when they are. It can then only be removed.
  Status Fault(const std::string& name) const;
  CardFiles* FilesOfCard(std::uint32_t index);

 private:
  Node() = default;
  class Lock;
  Result<std::optional<std::string>> ReadState() const;
  Result<NodeState> Parse(const std::optional<std::string>& text) const;
  Status Load();
  std::string Stamp() const;
  Status Save(const NodeState& state);
  Status Map();
  Status MapSlice(const SliceSpec& spec);
  Status PrepareFolders();

  SliceTarget Target(const SliceSpec& spec);
  // Of all backends that serve the slice and may refuse, or may not; the first error ends it.
  Status ApplyAll(const SliceSpec& spec, bool may_refuse);
  Status WithdrawAll(const SliceSpec& spec, bool may_refuse);

  std::string folder_;
  Backends backends_;
  NodeState state_;
  std::string loaded_;  // The text that state_ was read from.
  std::string stamp_;   // Of the file then: a slice made again reads the same and is another.
  std::map<std::string, SliceFiles> slices_;
  std::map<std::uint32_t, CardFiles> cards_;
  std::map<std::string, Status> faults_;  // Of slices that are not in slices_.
};

}  // namespace brim::vgpu
