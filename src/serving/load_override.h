// OverrideFiles: the model files that a load request brought along, in a private directory.
//
// The directory lies under $TMPDIR (else /tmp), is readable by this user alone, and is removed with
// the object. Threads: none of its own.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace brim::serving {

class OverrideFiles {
 public:
  static constexpr std::size_t kFilesMax = 1024;
  static constexpr std::size_t kBytesMax = std::size_t{2}
                                           << 30;  // Of one model, as gRPC's largest message.

  // Paths are relative, as "1/model.onnx"; kInvalidArgument for any that leaves the directory.
  static Result<std::unique_ptr<OverrideFiles>> Write(
      const std::vector<std::pair<std::string, std::string>>& files);
  ~OverrideFiles();
  OverrideFiles(const OverrideFiles&) = delete;
  OverrideFiles& operator=(const OverrideFiles&) = delete;

  const std::string& directory() const { return directory_; }

 private:
  explicit OverrideFiles(std::string directory) : directory_(std::move(directory)) {}

  const std::string directory_;
};

// Whether a name may stand for a model: 1 to 255 bytes of UTF-8, no '/', no control character, not
// starting with '.'.
bool IsModelName(std::string_view name);

}  // namespace brim::serving
