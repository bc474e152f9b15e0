// The four files of a slice as the agent may find them: made as it makes them, then cut, extended,
// and any of their words set to anything. They open or are refused with the file and the next
// command; those that open are reaped, told as metrics, resized and cleared.
//
// Input: records of 12 bytes (vgpu/abi/fuzz_record.h).
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "vgpu/abi/fuzz_record.h"
#include "vgpu/agent/agent.h"
#include "vgpu/agent/slice_files.h"
#include "vgpu/ledger/reaper.h"

namespace brim::vgpu {
namespace {

constexpr const char* kFiles[] = {"/slice/limits", "/slice/segment", "/card/table", "/card/card"};

class Nobody final : public Living {
 public:
  bool Alive(std::int32_t, std::uint64_t, std::uint64_t) override { return false; }
};

// A folder in memory; it goes with the process.
class Folder {
 public:
  Folder() {
    char name[] = "/dev/shm/brim-fuzz-XXXXXX";
    Require(mkdtemp(name) != nullptr);
    path_ = name;
    mkdir((path_ + "/card").c_str(), 0700);
    mkdir((path_ + "/slice").c_str(), 0700);
  }
  ~Folder() {
    Clear();
    for (const char* part : {"/card", "/slice", ""}) rmdir((path_ + part).c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void Clear() {
    for (const char* file : kFiles) unlink((path_ + file).c_str());
    for (const char* file : {"/slice/table", "/slice/card"}) unlink((path_ + file).c_str());
  }
  void Damage(const FuzzRecord& record) {
    const int fd = open((path_ + kFiles[record.what % 4]).c_str(), O_RDWR | O_CLOEXEC);
    Require(fd >= 0);
    struct stat info;
    Require(fstat(fd, &info) == 0);
    if (record.field == 255) {
      // At most a page longer than it was.
      const auto most = static_cast<std::uint64_t>(info.st_size) + 4096;
      Require(ftruncate(fd, static_cast<off_t>(record.value % most)) == 0);
    } else if (record.index * 8 + 8 <= info.st_size) {
      Require(pwrite(fd, &record.value, 8, record.index * 8) == 8);
    }
    close(fd);
  }
  std::string card() const { return path_ + "/card"; }
  std::string slice() const { return path_ + "/slice"; }

 private:
  std::string path_;
};

void Refused(const Status& status) {
  Require(status.reason() == "bad_segment" &&
          status.message().find("brim node slices remove") != std::string::npos);
}

void Open(const Folder& folder, const SliceSpec& spec, const CardInfo& info) {
  Result<CardFiles> card = OpenCard(folder.card());
  if (!card.ok()) return Refused(card.status());
  Result<SliceFiles> slice = OpenSlice(folder.slice(), folder.card(), spec, info);
  if (!slice.ok()) return Refused(slice.status());
  const Time now = Time() + std::chrono::seconds(100);
  NodeFigures figures;
  figures.cards = {info};
  figures.slices = {ReadFigures(spec, *slice, &*card, now)};
  Require(figures.slices[0].pids.size() < kCells);
  Require(!MetricsText(figures).empty());
  Nobody nobody;
  Reaper reaper(slice->segment.get());
  reaper.Resume();
  reaper.Reap(&nobody);
  Require(ReadFigures(spec, *slice, &*card, now).pids.empty());
  WriteLimits(spec, info, slice->limits.get());
  Require(slice->limits->memory_now >= spec.memory_soft &&
          slice->limits->memory_now <= spec.memory_hard);
  WriteRow(spec, card->table.get(), card->card.get());
  ClearRow(spec.row, card->table.get(), card->card.get());
}

void Try(const std::uint8_t* data, std::size_t size) {
  static Folder folder;
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  const CardInfo info{0, "GPU-0", "A card", 16 * kGiB, 256 << 20, 2 << 20};
  SliceSpec spec;
  spec.name = "a";
  spec.cores = 30;
  spec.memory_soft = kGiB;
  spec.memory_hard = 2 * kGiB;
  spec.row = 3;
  folder.Clear();
  if (!OpenCard(folder.card()).ok()) std::abort();
  if (!OpenSlice(folder.slice(), folder.card(), spec, info).ok()) std::abort();
  for (std::size_t at = 0; at + kRecordBytes <= size; at += kRecordBytes) {
    folder.Damage(ReadRecord(data + at));
  }
  Open(folder, spec, info);
}

}  // namespace
}  // namespace brim::vgpu

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  brim::vgpu::Try(data, size);
  return 0;
}
