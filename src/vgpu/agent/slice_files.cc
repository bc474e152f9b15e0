// See slice_files.h.
#include "vgpu/agent/slice_files.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <type_traits>

#include "vgpu/ledger/ledger.h"

namespace brim::vgpu {
namespace {

Status Failed(const std::string& path, const char* doing) {
  const int error = errno;
  const Code code = error == ENOSPC                     ? Code::kResourceExhausted
                    : error == EACCES || error == EPERM ? Code::kPermissionDenied
                                                        : Code::kInternal;
  const char* const next = error == ENOSPC ? "; shared memory is full: see `df /dev/shm`" : "";
  return Status(code, "slice_file",
                fmt::format("{}: {}: {}{}", path, doing, strerror(error), next));
}

// What belongs to a card goes with the last of its slices.
template <typename T>
constexpr bool kOfCard = std::is_same_v<T, CardTable> || std::is_same_v<T, CardSegment>;

template <typename T>
Status Unusable(const std::string& path, SegmentFault fault) {
  const char* what = "it is no file of this agent";
  if (fault == SegmentFault::kTruncated) what = "it was cut";
  if (fault == SegmentFault::kOtherVersion) what = "another version of brim wrote it";
  if (fault == SegmentFault::kOtherSize)
    what = "it has another size than this version of brim expects";
  const char* const other =
      fault == SegmentFault::kOtherVersion ? "Use that version of brim; or end" : "End";
  const char* const slices = kOfCard<T> ? "slices of this card" : "slice";
  const char* const which =
      kOfCard<T> ? "`brim node slices remove` for each of them" : "`brim node slices remove`";
  return Status(Code::kFailedPrecondition, "bad_segment",
                fmt::format("{} cannot be used: {}. {} the processes in the {}, then {} and "
                            "`brim node slices create` again",
                            path, what, other, slices, which));
}

// Containers run as any user: a node of root lets them all count in the files that they were given.
mode_t SharedMode() { return geteuid() == 0 ? 0666 : 0600; }

// Of a file that is shorter than a T: another version's may be.
template <typename T>
Status TooShort(const std::string& path, int fd, std::uint64_t magic) {
  SegmentHead head{};
  const ssize_t length = pread(fd, &head, sizeof(head), 0);
  if (length < 0) return Failed(path, "read");
  return Unusable<T>(path, CheckHead(&head, static_cast<std::size_t>(length), magic, sizeof(T)));
}

// Makes or opens; `fresh` tells which. A file of no bytes is one whose making was cut short.
template <typename T>
Result<Mapped<T>> MapFile(const std::string& path, mode_t mode, std::uint64_t magic, bool* fresh) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Failed(path, "open");
  struct stat info;
  Status failed;
  if (fstat(fd, &info) != 0) failed = Failed(path, "stat");
  *fresh = failed.ok() && info.st_size == 0;
  // The room is taken now: a hole in a full /dev/shm would end a process with SIGBUS later.
  if (*fresh) {
    errno = posix_fallocate(fd, 0, sizeof(T));
    if (errno != 0) failed = Failed(path, "make room");
    if (failed.ok() && fchmod(fd, mode) != 0) failed = Failed(path, "chmod");
  } else if (failed.ok() && static_cast<std::size_t>(info.st_size) < sizeof(T)) {
    failed = TooShort<T>(path, fd, magic);
  }
  void* at = MAP_FAILED;
  if (failed.ok()) {
    at = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) failed = Failed(path, "map");
  }
  close(fd);
  if (!failed.ok()) {
    if (*fresh) unlink(path.c_str());
    return failed;
  }
  return Mapped<T>(static_cast<T*>(at));
}

Status Link(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) == 0 || errno == EEXIST) return OkStatus();
  return Failed(to, "link");
}

void Wake(std::atomic<std::uint32_t>* word) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(word), FUTEX_WAKE, INT_MAX, nullptr, nullptr,
          0);
}

template <std::size_t size>
void CopyText(const std::string& text, char (&to)[size]) {
  const std::size_t length = std::min(text.size(), size - 1);
  memcpy(to, text.data(), length);
  memset(to + length, 0, size - length);
}

}  // namespace

template <typename T>
Mapped<T>::~Mapped() {
  if (at_ != nullptr) munmap(at_, sizeof(T));
}
template class Mapped<CardTable>;
template class Mapped<CardSegment>;
template class Mapped<SliceLimits>;
template class Mapped<SliceSegment>;

Result<CardFiles> OpenCard(const std::string& folder) {
  bool fresh = false;
  auto table = MapFile<CardTable>(folder + "/table", 0644, kTableMagic, &fresh);
  if (!table.ok()) return table.status();
  if (fresh) {
    (*table)->version = kSegmentVersion;
    (*table)->bytes = sizeof(CardTable);
    __atomic_store_n(&(*table)->magic, kTableMagic, __ATOMIC_RELEASE);
  }
  auto card = MapFile<CardSegment>(folder + "/card", SharedMode(), kCardMagic, &fresh);
  if (!card.ok()) return card.status();
  if (fresh) {
    (*card)->version = kSegmentVersion;
    (*card)->rows = kSlicesPerCard;
    (*card)->bytes = sizeof(CardSegment);
    __atomic_store_n(&(*card)->magic, kCardMagic, __ATOMIC_RELEASE);
  }
  SegmentFault fault = CheckTable(table->get(), sizeof(CardTable));
  if (fault != SegmentFault::kNone) return Unusable<CardTable>(folder + "/table", fault);
  fault = CheckCard(card->get(), sizeof(CardSegment));
  if (fault != SegmentFault::kNone) return Unusable<CardSegment>(folder + "/card", fault);
  CardFiles files;
  files.table = std::move(*table);
  files.card = std::move(*card);
  return files;
}

Result<SliceFiles> OpenSlice(const std::string& folder, const std::string& card_folder,
                             const SliceSpec& spec, const CardInfo& card) {
  if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return Failed(folder, "make folder");
  bool fresh = false;
  auto limits = MapFile<SliceLimits>(folder + "/limits", 0644, kLimitsMagic, &fresh);
  if (!limits.ok()) return limits.status();
  if (fresh) {
    (*limits)->version = kSegmentVersion;
    (*limits)->bytes = sizeof(SliceLimits);
    WriteLimits(spec, card, limits->get());
    __atomic_store_n(&(*limits)->magic, kLimitsMagic, __ATOMIC_RELEASE);
  }
  auto segment = MapFile<SliceSegment>(folder + "/segment", SharedMode(), kSegmentMagic, &fresh);
  if (!segment.ok()) return segment.status();
  if (fresh) InitSegment(segment->get());
  SegmentFault fault = CheckLimits(limits->get(), sizeof(SliceLimits));
  if (fault != SegmentFault::kNone) return Unusable<SliceLimits>(folder + "/limits", fault);
  fault = CheckSegment(segment->get(), sizeof(SliceSegment));
  if (fault != SegmentFault::kNone) return Unusable<SliceSegment>(folder + "/segment", fault);
  for (const char* file : {"/table", "/card"}) {
    if (const Status status = Link(card_folder + file, folder + file); !status.ok()) return status;
  }
  SliceFiles files;
  files.limits = std::move(*limits);
  files.segment = std::move(*segment);
  return files;
}

void WriteLimits(const SliceSpec& spec, const CardInfo& card, SliceLimits* limits) {
  limits->card = spec.card;
  limits->row = spec.row;
  limits->context_bytes = card.context_bytes;
  limits->module_bytes = card.module_bytes;
  limits->memory_soft = spec.memory_soft;
  limits->memory_hard = spec.memory_hard;
  limits->memory_now = std::clamp(limits->memory_now.load(), spec.memory_soft, spec.memory_hard);
  limits->cores = spec.cores;
  limits->share = spec.share;
  limits->priority = spec.priority;
  CopyText(spec.name, limits->name);
  CopyText(spec.owner, limits->owner);
  CopyText(card.uuid, limits->card_uuid);
  limits->epoch.fetch_add(1);
  Wake(&limits->epoch);
}

std::uint32_t TableCores(const SliceSpec& spec) {
  return spec.cores_backend == CoresBackend::kShim ? spec.cores : 0;
}

void WriteRow(const SliceSpec& spec, CardTable* table, CardSegment* card) {
  TableRow& row = table->row[spec.row];
  row.share = spec.share;
  row.priority = spec.priority;
  row.cores = TableCores(spec);
  if (table->rows <= spec.row) table->rows = spec.row + 1;
  table->epoch.fetch_add(1);
  card->wake.fetch_add(1);
  Wake(&card->wake);
}

void ClearRow(std::uint32_t row, CardTable* table, CardSegment* card) {
  table->row[row].cores = 0;
  std::uint32_t rows = std::min(table->rows.load(), kSlicesPerCard);
  while (rows > 0 && table->row[rows - 1].cores == 0) --rows;
  table->rows = rows;
  CardRow& use = card->row[row];
  for (std::atomic<std::int64_t>* value :
       {&use.virtual_time, &use.busy_until, &use.waiting_until, &use.hard_next, &use.pause,
        &use.burst, &use.run, &use.level, &use.idle, &use.idle_spread, &use.request, &use.gpu}) {
    *value = 0;
  }
  table->epoch.fetch_add(1);
  card->wake.fetch_add(1);
  Wake(&card->wake);
}

void SetMemoryNow(std::uint64_t bytes, SliceLimits* limits) {
  if (limits->memory_now.load() == bytes) return;
  limits->memory_now = bytes;
  limits->epoch.fetch_add(1);
  Wake(&limits->epoch);
}

}  // namespace brim::vgpu
