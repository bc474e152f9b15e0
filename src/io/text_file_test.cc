// ReadTextFile and WriteTextFile against real files in a fresh folder.
#include "io/text_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "io/content_encoding.h"

namespace brim::io {
namespace {

class TextFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "brim_text_file_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::string Write(const std::string& name, std::string_view text) {
    EXPECT_TRUE(WriteTextFile(Path(name), text).ok());
    return Path(name);
  }

  std::string folder_;
};

std::string Gzip(std::string_view text) {
  const Result<ByteBuffer> packed =
      Deflate(std::as_bytes(std::span(text.data(), text.size())), Encoding::kGzip);
  return std::string(reinterpret_cast<const char*>(packed->span().data()), packed->size());
}

// One member of a tar archive, padded.
std::string TarMember(const std::string& name, char type, std::string_view data) {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  char size[13];
  std::snprintf(size, sizeof size, "%011zo", data.size());
  block.replace(124, 12, size, 12);
  block[156] = type;
  block.replace(257, 6, "ustar\0", 6);
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  char checksum[8];
  std::snprintf(checksum, sizeof checksum, "%06o", sum);
  block.replace(148, 7, checksum, 7);
  block.append(data);
  block.append((512 - data.size() % 512) % 512, '\0');
  return block;
}

TEST_F(TextFile, PlainTextComesBackAsWritten) {
  const std::string path = Write("a.csv", "x,y\n1,2\n");
  const Result<std::string> text = ReadTextFile(path);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "x,y\n1,2\n");
  Write("empty", "");
  EXPECT_EQ(*ReadTextFile(Path("empty")), "");
}

TEST_F(TextFile, WritingLeavesNothingAsideAndReplaces) {
  Write("a", "first");
  const std::string path = Write("a", "second");
  EXPECT_EQ(*ReadTextFile(path), "second");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(TextFile, MissingFileFolderAndPlaceToWriteAreNamed) {
  const Status missing = ReadTextFile(Path("none.csv")).status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_NE(missing.message().find("none.csv: there is no such file"), std::string::npos);
  EXPECT_EQ(ReadTextFile(folder_).status().reason(), "file_is_directory");
  EXPECT_EQ(WriteTextFile(Path("none/a"), "x").code(), Code::kNotFound);
}

TEST_F(TextFile, GzipIsKnownByItsFirstBytesAndMayHaveSeveralMembers) {
  const std::string path = Write("a.csv", Gzip("x,y\n") + Gzip("1,2\n"));
  const Result<std::string> text = ReadTextFile(path);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(*text, "x,y\n1,2\n");
}

TEST_F(TextFile, EveryTruncationOfGzipIsDataLoss) {
  const std::string packed = Gzip("name,cpu\nalpha,1\nbeta,2\n");
  for (std::size_t bytes = 2; bytes < packed.size(); ++bytes) {
    const std::string path = Write("a.gz", packed.substr(0, bytes));
    EXPECT_EQ(ReadTextFile(path).status().code(), Code::kDataLoss) << bytes;
  }
  const Status status = ReadTextFile(Write("a.gz", packed.substr(0, packed.size() / 2))).status();
  EXPECT_NE(status.message().find("truncated"), std::string::npos) << status.message();
}

TEST_F(TextFile, DamagedGzipIsDataLoss) {
  std::string packed = Gzip("name,cpu\nalpha,1\nbeta,2\n");
  packed[packed.size() - 5] = static_cast<char>(packed[packed.size() - 5] ^ 0x55);  // Its CRC.
  EXPECT_EQ(ReadTextFile(Write("a.gz", packed)).status().code(), Code::kDataLoss);
}

TEST_F(TextFile, LimitHoldsForPlainAndUnpackedText) {
  EXPECT_EQ(ReadTextFile(Write("a", std::string(100, 'x')), 99).status().reason(),
            "file_too_large");
  EXPECT_TRUE(ReadTextFile(Path("a"), 100).ok());
  const std::string path = Write("bomb.gz", Gzip(std::string(8 << 20, '\0')));
  EXPECT_EQ(ReadTextFile(path, 1 << 20).status().reason(), "file_too_large");
  EXPECT_EQ(ReadTextFile(path, 8 << 20)->size(), 8u << 20);
}

TEST_F(TextFile, OneFileOfATarInGzip) {
  const std::string end(1024, '\0');
  const std::string member = TarMember("a.csv", '0', "x,y\n1,2\n");
  const std::string pax = TarMember("PaxHeader", 'x', "20 mtime=1.5\n");
  EXPECT_EQ(*ReadTextFile(Write("a.tar.gz", Gzip(pax + member + end))), "x,y\n1,2\n");
  EXPECT_EQ(ReadTextFile(Write("b.tar.gz", Gzip(member + member + end))).status().reason(),
            "tar_files");
  const Status cut = ReadTextFile(Write("c.tar.gz", Gzip(member.substr(0, 515)))).status();
  EXPECT_EQ(cut.code(), Code::kDataLoss);
  EXPECT_NE(cut.message().find("truncated"), std::string::npos);
}

}  // namespace
}  // namespace brim::io
