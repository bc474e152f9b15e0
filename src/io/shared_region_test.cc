#include "io/shared_region.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace brim::io {
namespace {

// A shared memory object of this test and process alone.
class SharedRegionTest : public testing::Test {
 protected:
  void SetUp() override {
    fd_ = ::shm_open(key_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    ASSERT_GE(fd_, 0);
    Resize(100);
  }
  void TearDown() override {
    ::close(fd_);
    ::shm_unlink(key_.c_str());
  }
  void Resize(off_t bytes) { ASSERT_EQ(::ftruncate(fd_, bytes), 0); }

  const std::string key_ = "/brim_test_" + std::to_string(::getpid()) + "_" +
                           testing::UnitTest::GetInstance()->current_test_info()->name();
  int fd_ = -1;
};

std::vector<std::byte> Bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST_F(SharedRegionTest, ReadsAndWritesFromItsOffsetOn) {
  const auto region = SharedRegion::Open(key_, 10, 20);
  ASSERT_TRUE(region.ok()) << region.status().ToString();
  EXPECT_EQ((*region)->bytes(), 20u);
  ASSERT_TRUE((*region)->Write(17, Bytes("abc")).ok());
  char seen[4] = {};
  ASSERT_EQ(::pread(fd_, seen, 3, 27), 3);
  EXPECT_STREQ(seen, "abc");
  ASSERT_EQ(::pwrite(fd_, "xyz", 3, 10), 3);
  std::vector<std::byte> read(3);
  ASSERT_TRUE((*region)->Read(0, read).ok());
  EXPECT_EQ(read, Bytes("xyz"));
  EXPECT_TRUE((*region)->Read(20, {}).ok());
}

TEST_F(SharedRegionTest, RefusesMoreThanTheObjectHolds) {
  EXPECT_TRUE(SharedRegion::Open(key_, 0, 100).ok());
  EXPECT_TRUE(SharedRegion::Open(key_, 100, 0).ok());
  for (const auto& [offset, bytes] : {std::pair<std::uint64_t, std::uint64_t>{0, 101},
                                      {101, 0},
                                      {1, 100},
                                      {~0ull, 2},
                                      {2, ~0ull}}) {
    const auto region = SharedRegion::Open(key_, offset, bytes);
    ASSERT_FALSE(region.ok()) << offset << " " << bytes;
    EXPECT_EQ(region.status().reason(), "shared_memory_size");
  }
}

TEST_F(SharedRegionTest, RefusesWhatIsNotThereOrNoRegularFile) {
  const auto absent = SharedRegion::Open(key_ + "x", 0, 1);
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.status().code(), Code::kNotFound);
  for (const char* key : {"", "/", "/..", "/."}) {
    const auto region = SharedRegion::Open(key, 0, 1);
    ASSERT_FALSE(region.ok()) << key;
    EXPECT_EQ(region.status().code(), Code::kInvalidArgument) << key;
  }
}

TEST_F(SharedRegionTest, AnObjectThatShrankIsAnErrorAndNoSignal) {
  const auto region = SharedRegion::Open(key_, 0, 100);
  ASSERT_TRUE(region.ok());
  Resize(50);
  std::vector<std::byte> room(100);
  EXPECT_EQ((*region)->Read(0, room).code(), Code::kFailedPrecondition);
  EXPECT_TRUE((*region)->Read(0, std::span(room).first(50)).ok());
  // Writing makes it as large again as it was registered, never larger.
  EXPECT_TRUE((*region)->Write(0, room).ok());
  EXPECT_EQ(::lseek(fd_, 0, SEEK_END), 100);
}

TEST_F(SharedRegionTest, StaysUsableWhenItsNameIsGone) {
  const auto region = SharedRegion::Open(key_, 0, 100);
  ASSERT_TRUE(region.ok());
  ::shm_unlink(key_.c_str());
  EXPECT_TRUE((*region)->Write(0, Bytes("still")).ok());
}

}  // namespace
}  // namespace brim::io
