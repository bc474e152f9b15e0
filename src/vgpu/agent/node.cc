// See node.h.
#include "vgpu/agent/node.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "io/text_file.h"

namespace brim::vgpu {
namespace {

namespace fs = std::filesystem;

Status Failed(const std::string& path, const char* doing) {
  return Status(
      errno == EACCES || errno == EPERM ? Code::kPermissionDenied : Code::kInternal, "node_folder",
      fmt::format("{}: {}: {}; --dir names another folder", path, doing, strerror(errno)));
}

Status MakeFolder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return OkStatus();
  errno = error.value();
  return Failed(path, "make folder");
}

bool InMemory(const std::string& path) {
  struct statfs info;
  return statfs(path.c_str(), &info) == 0 &&
         (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

}  // namespace

// Held while a change is made; waits for another's to end.
class Node::Lock {
 public:
  explicit Lock(const std::string& folder)
      : fd_(open((folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    if (fd_ >= 0) flock(fd_, LOCK_EX);
  }
  ~Lock() {
    if (fd_ >= 0) close(fd_);
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

std::string Node::DefaultFolder() {
  const auto variable = [](const char* name) -> std::string {
    const char* const value = getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const std::string told = variable("BRIM_NODE_DIR"); !told.empty()) return told;
  if (geteuid() == 0) return "/run/brim/node";
  if (const std::string run = variable("XDG_RUNTIME_DIR"); !run.empty()) return run + "/brim-node";
  return fmt::format("/tmp/brim-node-{}", geteuid());
}

Result<Node> Node::Open(const std::string& folder, Backends backends) {
  Node node;
  node.folder_ = folder;
  node.backends_ = backends.empty() ? HostBackends(folder) : std::move(backends);
  BRIM_RETURN_IF_ERROR(MakeFolder(folder));
  const Lock lock(folder);
  if (!lock.ok()) return Failed(folder + "/lock", "open");
  BRIM_RETURN_IF_ERROR(node.PrepareFolders());
  BRIM_RETURN_IF_ERROR(node.Load());
  BRIM_RETURN_IF_ERROR(node.Map());
  return node;
}

Status Node::PrepareFolders() {
  if (InMemory(folder_)) {
    BRIM_RETURN_IF_ERROR(MakeFolder(folder_ + "/cards"));
    return MakeFolder(folder_ + "/slices");
  }
  // The folder's own number keeps two nodes of one user apart.
  struct stat info;
  if (stat(folder_.c_str(), &info) != 0) return Failed(folder_, "stat");
  const std::string memory =
      fmt::format("/dev/shm/brim-node-{}-{}-{}", geteuid(), info.st_dev, info.st_ino);
  for (const char* part : {"/cards", "/slices"}) {
    BRIM_RETURN_IF_ERROR(MakeFolder(memory + part));
    if (symlink((memory + part).c_str(), (folder_ + part).c_str()) != 0 && errno != EEXIST) {
      return Failed(folder_ + part, "link");
    }
  }
  return OkStatus();
}

std::string Node::Stamp() const {
  struct stat info;
  if (stat((folder_ + "/state").c_str(), &info) != 0) return {};
  return fmt::format("{} {} {} {}", info.st_ino, info.st_size, info.st_mtim.tv_sec,
                     info.st_mtim.tv_nsec);
}

// None: there is no file yet.
Result<std::optional<std::string>> Node::ReadState() const {
  const std::string path = folder_ + "/state";
  if (access(path.c_str(), F_OK) != 0) return std::optional<std::string>();
  BRIM_ASSIGN_OR_RETURN(std::string text, io::ReadTextFile(path, kStateBytesMax));
  return std::optional<std::string>(std::move(text));
}

Result<NodeState> Node::Parse(const std::optional<std::string>& text) const {
  if (!text) return NodeState();
  Result<NodeState> state = ParseState(*text);
  if (!state.ok()) return state.status().WithContext(folder_ + "/state");
  return state;
}

Status Node::Load() {
  stamp_ = Stamp();
  BRIM_ASSIGN_OR_RETURN(std::optional<std::string> text, ReadState());
  if (text && !text->empty() && *text == loaded_) return OkStatus();
  BRIM_ASSIGN_OR_RETURN(state_, Parse(text));
  loaded_ = std::move(text).value_or("");
  return OkStatus();
}

Status Node::Save(const NodeState& state) {
  const std::string text = FormatState(state);
  BRIM_RETURN_IF_ERROR(io::WriteTextFile(folder_ + "/state", text));
  state_ = state;
  loaded_ = text;
  stamp_ = Stamp();
  return OkStatus();
}

// A slice whose files are damaged does not keep the others from working.
Status Node::Map() {
  faults_.clear();
  for (const SliceSpec& spec : state_.slices) {
    if (slices_.count(spec.name) != 0) continue;
    if (Status mapped = MapSlice(spec); !mapped.ok()) {
      faults_[spec.name] = std::move(mapped).WithContext(fmt::format("slice '{}'", spec.name));
    }
  }
  for (auto at = slices_.begin(); at != slices_.end();) {
    at = Find(at->first) == nullptr ? slices_.erase(at) : std::next(at);
  }
  return OkStatus();
}

Status Node::MapSlice(const SliceSpec& spec) {
  const CardInfo* const card = Card(spec.card);
  const std::string card_folder = fmt::format("{}/cards/{}", folder_, spec.card);
  if (cards_.count(spec.card) == 0) {
    BRIM_RETURN_IF_ERROR(MakeFolder(card_folder));
    Result<CardFiles> files = OpenCard(card_folder);
    if (!files.ok()) return files.status();
    cards_.emplace(spec.card, std::move(*files));
  }
  Result<SliceFiles> files =
      OpenSlice(SliceFolder(spec.name), card_folder, spec, card == nullptr ? CardInfo() : *card);
  if (!files.ok()) return files.status();
  slices_.emplace(spec.name, std::move(*files));
  CardFiles& of_card = cards_.at(spec.card);
  const TableRow& row = of_card.table->row[spec.row];
  if (row.cores != TableCores(spec)) WriteRow(spec, of_card.table.get(), of_card.card.get());
  return OkStatus();
}

Status Node::Fault(const std::string& name) const {
  const auto found = faults_.find(name);
  return found == faults_.end() ? OkStatus() : found->second;
}

Result<bool> Node::Refresh() {
  if (Stamp() == stamp_) return false;
  const Lock lock(folder_);
  BRIM_RETURN_IF_ERROR(Load());
  slices_.clear();  // A slice removed and made again has other files.
  BRIM_RETURN_IF_ERROR(Map());
  return true;
}

const SliceSpec* Node::Find(const std::string& name) const {
  for (const SliceSpec& spec : state_.slices) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

const CardInfo* Node::Card(std::uint32_t index) const {
  for (const CardInfo& card : state_.cards) {
    if (card.index == index) return &card;
  }
  return nullptr;
}

SliceFiles* Node::Files(const std::string& name) {
  const auto found = slices_.find(name);
  return found == slices_.end() ? nullptr : &found->second;
}

CardFiles* Node::FilesOfCard(std::uint32_t index) {
  const auto found = cards_.find(index);
  return found == cards_.end() ? nullptr : &found->second;
}

Status Node::SetCards(const std::vector<CardInfo>& cards) {
  const Lock lock(folder_);
  BRIM_RETURN_IF_ERROR(Load());
  NodeState next = state_;
  next.cards = cards;
  for (const CardInfo& known : state_.cards) {
    const bool found = std::any_of(cards.begin(), cards.end(),
                                   [&](const CardInfo& card) { return card.index == known.index; });
    const bool used =
        std::any_of(state_.slices.begin(), state_.slices.end(),
                    [&](const SliceSpec& slice) { return slice.card == known.index; });
    if (!found && used) next.cards.push_back(known);
  }
  return FormatState(next) == loaded_ ? OkStatus() : Save(next);
}

Status Node::Create(SliceSpec spec) {
  BRIM_RETURN_IF_ERROR(CheckSpec(spec));
  const Lock lock(folder_);
  BRIM_RETURN_IF_ERROR(Load());
  BRIM_RETURN_IF_ERROR(CheckRoom(spec, state_.slices, state_.cards, false));
  spec.row = FreeRow(spec.card, state_.slices);
  if (spec.row >= kSlicesPerCard) {
    return Status(Code::kResourceExhausted, "no_row",
                  fmt::format("card {} has {} slices already", spec.card, kSlicesPerCard));
  }
  // What an earlier slice of this name left would be taken for its counts.
  std::error_code ignored;
  fs::remove_all(SliceFolder(spec.name), ignored);
  const NodeState before = state_;
  NodeState next = state_;
  next.slices.push_back(spec);
  state_ = next;
  Status made = Map();
  if (made.ok()) made = Fault(spec.name);
  if (made.ok()) made = ApplyAll(spec, true);
  if (made.ok()) made = Save(next);
  if (!made.ok()) {
    // What cannot be taken back now is swept by the agent.
    static_cast<void>(WithdrawAll(spec, true));
    static_cast<void>(WithdrawAll(spec, false));
    state_ = before;
    slices_.erase(spec.name);
    faults_.erase(spec.name);
    fs::remove_all(SliceFolder(spec.name), ignored);
  }
  return made;
}

Result<SliceSpec> Node::Resize(const std::string& name, const SliceChange& change) {
  const Lock lock(folder_);
  BRIM_RETURN_IF_ERROR(Load());
  BRIM_RETURN_IF_ERROR(Map());
  const SliceSpec* const found = Find(name);
  if (found == nullptr) {
    return Status(Code::kNotFound, "slice_unknown",
                  fmt::format("there is no slice '{}'; `brim node slices list` shows them", name));
  }
  BRIM_RETURN_IF_ERROR(Fault(name));
  const SliceSpec before = *found;
  SliceSpec spec = before;
  if (change.cores) spec.cores = *change.cores;
  if (change.memory_hard) {
    // Without a word about the guaranteed part it follows, unless it was set apart.
    if (spec.memory_soft == spec.memory_hard) spec.memory_soft = *change.memory_hard;
    spec.memory_hard = *change.memory_hard;
  }
  if (change.memory_soft) spec.memory_soft = *change.memory_soft;
  if (change.share) spec.share = *change.share;
  if (change.priority) spec.priority = *change.priority;
  if (change.owner) spec.owner = *change.owner;
  BRIM_RETURN_IF_ERROR(CheckSpec(spec));
  BRIM_RETURN_IF_ERROR(CheckRoom(spec, state_.slices, state_.cards, true));
  NodeState next = state_;
  for (SliceSpec& slice : next.slices) {
    if (slice.name == name) slice = spec;
  }
  Status changed = ApplyAll(spec, true);
  if (changed.ok()) changed = Save(next);
  if (!changed.ok()) {
    static_cast<void>(ApplyAll(before, true));  // What failed is what is told.
    return changed;
  }
  BRIM_RETURN_IF_ERROR(ApplyAll(spec, false));
  return spec;
}

Status Node::Remove(const std::string& name) {
  const Lock lock(folder_);
  BRIM_RETURN_IF_ERROR(Load());
  BRIM_RETURN_IF_ERROR(Map());
  const SliceSpec* const found = Find(name);
  if (found == nullptr) {
    return Status(Code::kNotFound, "slice_unknown",
                  fmt::format("there is no slice '{}'; `brim node slices list` shows them", name));
  }
  const SliceSpec spec = *found;
  for (const std::shared_ptr<Backend>& backend : backends_) {
    if (backend->Serves(spec)) BRIM_RETURN_IF_ERROR(backend->CheckIdle(Target(spec)));
  }
  const NodeState before = state_;
  NodeState next = state_;
  std::erase_if(next.slices, [&](const SliceSpec& slice) { return slice.name == name; });
  BRIM_RETURN_IF_ERROR(Save(next));
  if (Status taken = WithdrawAll(spec, true); !taken.ok()) {
    static_cast<void>(ApplyAll(spec, true));
    const Status kept = Save(before);
    return kept.ok() ? taken : kept;
  }
  BRIM_RETURN_IF_ERROR(WithdrawAll(spec, false));
  CardFiles* const card = FilesOfCard(spec.card);
  slices_.erase(name);
  faults_.erase(name);
  std::error_code ignored;
  fs::remove_all(SliceFolder(name), ignored);
  const bool last = std::none_of(next.slices.begin(), next.slices.end(),
                                 [&](const SliceSpec& slice) { return slice.card == spec.card; });
  // A card's damaged files go with its last slice.
  if (card == nullptr && last) {
    fs::remove_all(fmt::format("{}/cards/{}", folder_, spec.card), ignored);
  }
  return OkStatus();
}

SliceTarget Node::Target(const SliceSpec& spec) {
  const CardInfo* const card = Card(spec.card);
  return {spec, card == nullptr ? CardInfo() : *card, Files(spec.name), FilesOfCard(spec.card)};
}

Status Node::ApplyAll(const SliceSpec& spec, bool may_refuse) {
  for (const std::shared_ptr<Backend>& backend : backends_) {
    if (backend->may_refuse() != may_refuse || !backend->Serves(spec)) continue;
    BRIM_RETURN_IF_ERROR(backend->Apply(Target(spec)));
  }
  return OkStatus();
}

Status Node::WithdrawAll(const SliceSpec& spec, bool may_refuse) {
  for (const std::shared_ptr<Backend>& backend : backends_) {
    if (backend->may_refuse() != may_refuse || !backend->Serves(spec)) continue;
    BRIM_RETURN_IF_ERROR(backend->Withdraw(Target(spec)));
  }
  return OkStatus();
}

CardOffers Node::Offers(const CardInfo& card, const BackendWish* wish) {
  CardOffers offers;
  offers.card = card.index;
  for (const std::shared_ptr<Backend>& backend : backends_) {
    if (wish != nullptr && !DependsOn(*wish, backend->name())) continue;
    Offer offer = backend->Probe(card);
    offer.backend = backend->name();
    offer.holds = backend->holds();
    offers.offers.push_back(std::move(offer));
  }
  return offers;
}

Status Node::Enforce(const std::string& name) {
  const Lock lock(folder_);
  BRIM_ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadState());
  BRIM_ASSIGN_OR_RETURN(const NodeState state, Parse(text));
  for (const SliceSpec& spec : state.slices) {
    if (spec.name == name) return ApplyAll(spec, true);
  }
  return Status(Code::kNotFound, "slice_unknown", fmt::format("there is no slice '{}'", name));
}

Status Node::Enter(const std::string& name) {
  // Under the lock: a change, or the agent's clean-up, does not come in between.
  const Lock lock(folder_);
  BRIM_RETURN_IF_ERROR(Load());
  const SliceSpec* const spec = Find(name);
  if (spec == nullptr) {
    return Status(Code::kNotFound, "slice_unknown",
                  fmt::format("there is no slice '{}'; `brim node slices list` shows them", name));
  }
  for (const std::shared_ptr<Backend>& backend : backends_) {
    if (backend->Serves(*spec)) BRIM_RETURN_IF_ERROR(backend->Enter(Target(*spec)));
  }
  return OkStatus();
}

Result<std::optional<std::uint64_t>> Node::DriverUsed(const SliceSpec& spec) {
  std::optional<std::uint64_t> used;
  for (const std::shared_ptr<Backend>& backend : backends_) {
    if (!backend->Serves(spec)) continue;
    BRIM_ASSIGN_OR_RETURN(const std::optional<std::uint64_t> counted, backend->Used(Target(spec)));
    if (counted) used = counted;
  }
  return used;
}

Status Node::Sweep() {
  const Lock lock(folder_);
  BRIM_ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadState());
  BRIM_ASSIGN_OR_RETURN(const NodeState state, Parse(text));
  for (const std::shared_ptr<Backend>& backend : backends_) {
    backend->Sweep(state.slices, state.cards);
  }
  return OkStatus();
}

}  // namespace brim::vgpu
