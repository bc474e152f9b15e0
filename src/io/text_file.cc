// Reads whole files through zlib's gzip layer, and unpacks the one regular file of a tar archive.
//
// tar: POSIX.1-1988 "ustar" headers of 512 bytes, sizes in octal or GNU's base 256; pax and GNU
// long-name members say nothing that is needed here and are passed over.
#include "io/text_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.h"

namespace brim::io {
namespace {

constexpr std::size_t kStep = std::size_t{1} << 20;
constexpr std::size_t kTarBlock = 512;

Status FromErrno(const std::string& path, const char* what, int error) {
  if (error == ENOENT || error == ENOTDIR) {
    return Status(Code::kNotFound, "file_missing",
                  fmt::format("{}: there is no such file: check the path", path));
  }
  if (error == EACCES || error == EPERM) {
    return Status(Code::kPermissionDenied, "file_permission",
                  fmt::format("{}: {} is not permitted: check its owner and mode", path, what));
  }
  return Status(Code::kInternal, "file_io",
                fmt::format("{}: {} failed: {}", path, what, std::strerror(error)));
}

Status TooLarge(const std::string& path, std::size_t bytes_max) {
  return Status(
      Code::kResourceExhausted, "file_too_large",
      fmt::format("{}: more than {} once unpacked: split it", path, HumanBytes(bytes_max)));
}

Status Damaged(const std::string& path, const char* what) {
  return Status(Code::kDataLoss, "file_damaged",
                fmt::format("{}: {}: copy or download it again", path, what));
}

// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  // The kernel may report a failed write only now.
  int Close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

Result<std::string> ReadBytes(const std::string& path, std::size_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return FromErrno(path, "reading", errno);
  struct stat about {};
  if (::fstat(file.get(), &about) != 0) return FromErrno(path, "reading", errno);
  if (S_ISDIR(about.st_mode)) {
    return Status(Code::kInvalidArgument, "file_is_directory",
                  fmt::format("{}: is a directory: name a file in it", path));
  }
  if (S_ISREG(about.st_mode) && static_cast<std::uint64_t>(about.st_size) > bytes_max) {
    return TooLarge(path, bytes_max);
  }
  std::string bytes;
  // A pipe says no size; a file's may be out of date. Both are read to their end.
  std::size_t room = S_ISREG(about.st_mode) ? static_cast<std::size_t>(about.st_size) + 1 : kStep;
  for (;;) {
    const std::size_t before = bytes.size();
    bytes.resize(before + room);
    const ssize_t got = ::read(file.get(), bytes.data() + before, room);
    const int error = errno;
    bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && error != EINTR) return FromErrno(path, "reading", error);
    if (got == 0) return bytes;
    if (bytes.size() > bytes_max) return TooLarge(path, bytes_max);
    room = kStep;
  }
}

class Inflater {
 public:
  Inflater() { ready_ = inflateInit2(&stream_, 15 + 16) == Z_OK; }  // 15-bit window, gzip wrapping.
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  bool ready() const { return ready_; }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

// All members of a gzip file, one after another (RFC 1952 section 2.2).
Result<std::string> Gunzip(const std::string& path, std::string_view packed,
                           std::size_t bytes_max) {
  Inflater inflater;
  if (!inflater.ready())
    return Status(Code::kResourceExhausted, "file_memory", "no memory for zlib");
  z_stream& stream = inflater.stream();
  std::string text;
  std::size_t taken = 0;
  for (;;) {
    const std::size_t before = text.size();
    const std::size_t room = std::clamp(before, kStep, std::size_t{1} << 28);
    text.resize(before + std::min(room, bytes_max - before + 1));
    stream.next_out = reinterpret_cast<Bytef*>(text.data() + before);
    stream.avail_out = static_cast<uInt>(text.size() - before);
    const std::size_t give = std::min<std::size_t>(packed.size() - taken, 1u << 30);
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(packed.data() + taken));
    stream.avail_in = static_cast<uInt>(give);
    const int rc = inflate(&stream, Z_NO_FLUSH);
    taken += give - stream.avail_in;
    const bool full = stream.avail_out == 0;
    text.resize(text.size() - stream.avail_out);
    if (text.size() > bytes_max) return TooLarge(path, bytes_max);
    if (rc == Z_STREAM_END) {
      if (taken == packed.size()) return text;
      if (inflateReset(&stream) != Z_OK) return Damaged(path, "the gzip file is damaged");
      continue;
    }
    if (rc != Z_OK && rc != Z_BUF_ERROR) return Damaged(path, "the gzip file is damaged");
    if (!full && taken == packed.size()) {
      return Damaged(path, "the gzip file is truncated: its end is missing");
    }
  }
}

// A number of a tar header: octal digits, or GNU's base 256 when the first bit is set.
std::uint64_t TarNumber(std::string_view field) {
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    for (std::size_t i = 4; i < field.size(); ++i) {  // 8 bytes of 12 hold any size there is.
      value = value << 8 | static_cast<unsigned char>(field[i]);
    }
    return value;
  }
  for (const char c : field) {
    if (c >= '0' && c <= '7') value = value * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

// The header's bytes sum up to its checksum, which counts as spaces (POSIX.1-1988).
bool IsTarHeader(std::string_view block) {
  if (block.size() < kTarBlock || block.substr(257, 5) != "ustar") return false;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) {
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  }
  return sum == TarNumber(block.substr(148, 8));
}

Result<std::string> OneFileOfTar(const std::string& path, std::string text) {
  std::size_t found_at = 0, found_bytes = 0;
  int found = 0;
  std::size_t at = 0;
  while (at + kTarBlock <= text.size()) {
    const std::string_view block = std::string_view(text).substr(at, kTarBlock);
    if (block.find_first_not_of('\0') == std::string_view::npos) break;  // The end's zero block.
    if (!IsTarHeader(block)) return Damaged(path, "the tar archive in it is damaged");
    const std::uint64_t bytes = TarNumber(block.substr(124, 12));
    at += kTarBlock;
    if (bytes > text.size() - at) return Damaged(path, "the tar archive in it is truncated");
    if (block[156] == '0' || block[156] == '\0') {
      ++found;
      found_at = at;
      found_bytes = static_cast<std::size_t>(bytes);
    }
    at += (static_cast<std::size_t>(bytes) + kTarBlock - 1) / kTarBlock * kTarBlock;
  }
  if (found != 1) {
    return Status(
        Code::kInvalidArgument, "tar_files",
        fmt::format("{}: the tar archive holds {} regular files, one was expected: unpack "
                    "it and name the file",
                    path, found));
  }
  text.erase(0, found_at);
  text.resize(found_bytes);
  return text;
}

}  // namespace

Result<std::string> ReadTextFile(const std::string& path, std::size_t bytes_max) {
  Result<std::string> bytes = ReadBytes(path, bytes_max);
  if (!bytes.ok() || !std::string_view(*bytes).starts_with("\x1F\x8B")) return bytes;
  BRIM_ASSIGN_OR_RETURN(std::string text, Gunzip(path, *bytes, bytes_max));
  if (!IsTarHeader(text)) return text;
  return OneFileOfTar(path, std::move(text));
}

Status WriteTextFile(const std::string& path, std::string_view text) {
  const std::string aside = fmt::format("{}.{}.part", path, ::getpid());
  Descriptor file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.get() < 0) return FromErrno(path, "writing", errno);
  int error = 0;
  while (!text.empty() && error == 0) {
    const ssize_t wrote = ::write(file.get(), text.data(), text.size());
    if (wrote >= 0) {
      text.remove_prefix(static_cast<std::size_t>(wrote));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  // On the disk before it has the name: after a power cut there is the old file or the new one.
  if (error == 0 && ::fsync(file.get()) != 0 && errno != EINVAL) error = errno;
  if (file.Close() != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(aside.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return OkStatus();
  ::unlink(aside.c_str());
  return FromErrno(path, "writing", error);
}

}  // namespace brim::io
