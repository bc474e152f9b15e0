// Slices that cannot be used: the program is told so by cuInit and by nothing else; and many
// programs that start at once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "vgpu/shim/shim_test_slice.h"

namespace brim::vgpu {
namespace {

class ShimEntryTest : public testing::Test {
 protected:
  ShimEntryTest() : folder_(TemporaryFolder()), log_(folder_ + "/log") {
    chmod(folder_.c_str(), 0777);
  }
  ~ShimEntryTest() override { RemoveFolder(folder_); }

  // What cuInit answers in the slice, and what the log then holds.
  std::string StartIn(const std::string& slice, const std::string& route = "start") {
    Child child = Start({Self(), "--route", route},
                        {{"BRIM_SLICE", slice.c_str()}, {"BRIM_SLICE_LOG", log_.c_str()}});
    const Ended ended = Finish(&child);
    EXPECT_EQ(ended.status, 0);
    std::ifstream file(log_);
    said_.assign(std::istreambuf_iterator<char>(file), {});
    unlink(log_.c_str());
    return ended.said;
  }
  // cuInit refuses, nothing is printed, the log names the file and the reason.
  void Refused(const std::string& slice, const std::string& file, const std::string& reason,
               const std::string& route = "start") {
    EXPECT_EQ(StartIn(slice, route), "cuInit 802\n");
    EXPECT_NE(said_.find(reason), std::string::npos) << said_;
    EXPECT_NE(said_.find(file), std::string::npos) << said_;
    EXPECT_NE(said_.find("brim node doctor"), std::string::npos) << said_;
  }
  std::string Fresh(const char* name) {
    const std::string slice = folder_ + "/" + name;
    MakeSlice(slice, 256);
    return slice;
  }

  std::string folder_;
  std::string log_;
  std::string said_;
};

TEST_F(ShimEntryTest, AGoodOneStarts) {
  EXPECT_EQ(StartIn(Fresh("good")), "cuInit 0\n");
  EXPECT_EQ(said_, "");
}

TEST_F(ShimEntryTest, MissingTruncatedTamperedAndOtherVersions) {
  Refused(folder_ + "/none", "/none/limits", "No such file");
  mkdir((folder_ + "/empty").c_str(), 0755);
  Refused(folder_ + "/empty", "/empty/limits", "No such file");
  for (const char* file : {"limits", "segment", "table", "card"}) {
    const std::string slice = Fresh((std::string("bad-") + file).c_str());
    const std::string path = slice + "/" + file;
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    char head[12];
    ASSERT_EQ(pread(fd, head, sizeof(head), 0), 12);
    // The version follows the magic: of an agent newer than the library, and of an older one.
    for (const std::uint32_t version : {kSegmentVersion + 1, kSegmentVersion - 1}) {
      memcpy(head + 8, &version, sizeof(version));
      ASSERT_EQ(pwrite(fd, head, sizeof(head), 0), 12);
      Refused(slice, path, "another version");
    }
    // One of another size is told by its version too.
    struct stat info;
    ASSERT_EQ(fstat(fd, &info), 0);
    ASSERT_EQ(ftruncate(fd, 100), 0);
    Refused(slice, path, "another version");
    ASSERT_EQ(ftruncate(fd, info.st_size), 0);
    head[0] = 1;
    ASSERT_EQ(pwrite(fd, head, sizeof(head), 0), 12);
    Refused(slice, path, "not a file of Brim's agent");
    ASSERT_EQ(ftruncate(fd, 7), 0);
    Refused(slice, path, "truncated");
    ASSERT_EQ(ftruncate(fd, 0), 0);
    Refused(slice, path, "cannot be mapped");
    close(fd);
    unlink(path.c_str());
    mkdir(path.c_str(), 0755);
    Refused(slice, path, "");
  }
  const std::string slice = Fresh("row");
  OpenSlice(slice).limits->row = kSlicesPerCard;
  Refused(slice, "/row", "names a row");
}

TEST_F(ShimEntryTest, LimitsThatMayNotBeRead) {
  const std::string slice = Fresh("unreadable");
  for (const char* file : {"segment", "card"}) chmod((slice + "/" + file).c_str(), 0666);
  chmod((slice + "/limits").c_str(), 0);
  Refused(slice, "/limits", "Permission denied", getuid() == 0 ? "nobody" : "start");
}

TEST_F(ShimEntryTest, NoCellLeft) {
  const std::string slice = Fresh("full");
  const TestSlice full = OpenSlice(slice);
  for (std::int32_t pid = 1; pid < static_cast<std::int32_t>(kCells); ++pid) {
    Ledger ledger;
    ledger.Attach(full.limits, full.segment);
    ASSERT_TRUE(ledger.Claim(pid, 1, 1));
  }
  Refused(slice, "/full", "cells for processes are taken");
  EXPECT_EQ(full.held(), 0u);
}

class Nobody final : public Living {
  bool Alive(std::int32_t, std::uint64_t, std::uint64_t) override { return false; }
};

// User and system time of the children that were waited for, in microseconds.
std::int64_t ChildrensTime() {
  rusage use;
  getrusage(RUSAGE_CHILDREN, &use);
  return std::int64_t{1'000'000} * (use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

// Starts `count` programs one after the other, keeps all of them, and ends them; the time that each
// took, in microseconds.
std::vector<std::int64_t> Storm(int count, const Environment& environment) {
  std::vector<Child> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(Start({BRIM_SHIM_LINKED, "start"}, environment));
    char ready = 0;
    EXPECT_EQ(read(all.back().out, &ready, 1), 1);
    EXPECT_EQ(ready, 'k');
  }
  if (environment.empty()) {
    EXPECT_EQ(Reaper(OwnSlice().segment).LiveCells(), static_cast<std::uint32_t>(count));
  }
  std::vector<std::int64_t> each;
  for (Child& child : all) {
    const std::int64_t before = ChildrensTime();
    EXPECT_EQ(Finish(&child).status, 0);
    each.push_back(ChildrensTime() - before);
  }
  return each;
}

// Mean of `count` values from `first` on, in milliseconds.
double Mean(const std::vector<std::int64_t>& each, std::size_t first, std::size_t count) {
  std::int64_t sum = 0;
  for (std::size_t i = first; i < first + count; ++i) sum += each[i];
  return static_cast<double>(sum) / static_cast<double>(count) / 1000;
}

TEST_F(ShimEntryTest, ThreeHundredProgramsStart) {
  constexpr int kPrograms = 300;
  Nobody nobody;
  Reaper reaper(OwnSlice().segment);
  reaper.Reap(&nobody);
  const std::vector<std::int64_t> without = Storm(
      kPrograms,
      {{"LD_LIBRARY_PATH", BRIM_FAKE_FOLDER}, {"LD_PRELOAD", nullptr}, {"BRIM_SLICE", nullptr}});
  const std::vector<std::int64_t> with = Storm(kPrograms, {});
  for (const std::size_t first : {0, 200}) {
    printf("CPU time of starts %zu to %zu: %.2f ms without the shim, %.2f ms in a slice\n",
           first + 1, first + 100, Mean(without, first, 100), Mean(with, first, 100));
  }
  printf("added to each of %d: %.2f ms\n", kPrograms,
         Mean(with, 0, kPrograms) - Mean(without, 0, kPrograms));
  EXPECT_EQ(reaper.Reap(&nobody), static_cast<std::uint32_t>(kPrograms));
  EXPECT_EQ(OwnSlice().held(), 0u);
}

}  // namespace
}  // namespace brim::vgpu
