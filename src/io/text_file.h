// Whole files in and out, for commands that read tables and write pictures.
//
// A gzip file (by its magic bytes, whatever its name) is unpacked, and a tar archive in it with one
// regular file gives that file: the forms in which public traces come. Blocking; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace brim::io {

inline constexpr std::size_t kTextFileBytesMax = std::size_t{1} << 30;

// Errors name the path and what to do: NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (more than
// bytes_max once unpacked), DATA_LOSS (a truncated or damaged gzip or tar), INVALID_ARGUMENT (a
// directory; a tar with several files).
Result<std::string> ReadTextFile(const std::string& path,
                                 std::size_t bytes_max = kTextFileBytesMax);

// Writes aside and renames, so that a reader never sees half a file.
Status WriteTextFile(const std::string& path, std::string_view text);

}  // namespace brim::io
