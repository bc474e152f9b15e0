#include "serving/load_override.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/text.h"

namespace brim::serving {
namespace {

constexpr std::size_t kPathMax = 1024;
constexpr std::size_t kDepthMax = 8;

bool IsSafePath(std::string_view path) {
  if (path.empty() || path.size() > kPathMax || !IsUtf8(path)) return false;
  const auto parts = Split(path, '/');
  if (parts.size() > kDepthMax) return false;
  for (const std::string_view part : parts) {
    // An empty part is a leading, doubled or trailing slash.
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    if (part.find('\0') != std::string_view::npos) return false;
  }
  return true;
}

Status WriteFailed(const std::string& path, int error) {
  return Status(error == ENOSPC ? Code::kResourceExhausted : Code::kInternal, "override_unwritable",
                fmt::format("cannot write {}: {}", path, std::strerror(error)));
}

Status WriteFile(const std::string& path, std::string_view bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wbxe");  // x: never through somebody else's link.
  if (file == nullptr) return WriteFailed(path, errno);
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  const int error = errno;
  if (std::fclose(file) != 0 || !written) return WriteFailed(path, written ? errno : error);
  return OkStatus();
}

Status CheckFiles(const std::vector<std::pair<std::string, std::string>>& files) {
  std::size_t bytes = 0;
  for (const auto& [path, content] : files) {
    if (!IsSafePath(path)) {
      return Status(Code::kInvalidArgument, "override_path",
                    fmt::format("'{:.200}' is not a file of a model: write VERSION/FILE, as "
                                "1/model.onnx",
                                path));
    }
    bytes += content.size();
  }
  if (files.size() > OverrideFiles::kFilesMax || bytes > OverrideFiles::kBytesMax) {
    return Status(Code::kResourceExhausted, "override_too_large",
                  fmt::format("{} files of {} together; at most {} of {} are taken", files.size(),
                              HumanBytes(bytes), OverrideFiles::kFilesMax,
                              HumanBytes(OverrideFiles::kBytesMax)));
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<OverrideFiles>> OverrideFiles::Write(
    const std::vector<std::pair<std::string, std::string>>& files) {
  BRIM_RETURN_IF_ERROR(CheckFiles(files));
  const char* base = std::getenv("TMPDIR");
  std::string directory =
      fmt::format("{}/brim-model-XXXXXX", base != nullptr && *base != '\0' ? base : "/tmp");
  if (mkdtemp(directory.data()) == nullptr) return WriteFailed(directory, errno);
  std::unique_ptr<OverrideFiles> written(new OverrideFiles(directory));
  for (const auto& [path, content] : files) {
    const std::string target = directory + "/" + path;
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(target).parent_path(), error);
    if (error) return WriteFailed(target, error.value());
    BRIM_RETURN_IF_ERROR(WriteFile(target, content));
  }
  return written;
}

OverrideFiles::~OverrideFiles() {
  std::error_code ignored;  // A leftover in the temporary directory is nobody's failure.
  std::filesystem::remove_all(directory_, ignored);
}

bool IsModelName(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.front() == '.' || !IsUtf8(name)) return false;
  for (const char c : name) {
    if (c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
  }
  return true;
}

}  // namespace brim::serving
