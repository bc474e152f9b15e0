// Finds models and their versions on disk, in the layouts that README.md lists.
//
// A scan only lists directories and reads file status: names, sizes, times. What a version
// directory holds is decided at load (FindModelFile), once the configuration has named the file.
// Threads: none of its own; touches only the file system. Bounds below.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace brim::serving {

inline constexpr std::size_t kVersionsOnDiskMax = 1000;     // Of one model; the highest are kept.
inline constexpr std::size_t kEntriesMax = 100000;          // Of one directory.
inline constexpr std::size_t kFingerprintFilesMax = 10000;  // Of one version.
inline constexpr int kFingerprintDepthMax = 6;

struct VersionOnDisk {
  std::int64_t number = 1;
  std::string path;               // The version's directory, or the model file itself.
  std::uint64_t fingerprint = 0;  // Of every file in it: name, size, time, inode.
};

struct ModelOnDisk {
  std::string name;
  std::string directory;    // Holds the configuration files; empty for a plain model file.
  std::string config_file;  // A plain model file's own NAME.brim.json; else empty.
  std::uint64_t config_fingerprint = 0;
  std::vector<VersionOnDisk> versions;  // Highest first.
  Status status;                        // Why nothing in it can be loaded.
  std::vector<std::string> warnings;    // Entries passed over, and why.
};

struct ScanLimits {
  std::uint32_t models_max = 10000;
};

struct RepositoryOnDisk {
  std::vector<ModelOnDisk> models;    // By name.
  std::vector<std::string> warnings;  // Entries passed over, and why.
};

// kNotFound: no such path. kFailedPrecondition: unreadable. Nothing in it is not an error here.
Result<RepositoryOnDisk> ScanRepository(const std::string& path, const ScanLimits& limits);

// One model's directory, e.g. one that a load request brought along.
ModelOnDisk ScanModelDirectory(const std::string& directory, const std::string& name);

// The file or SavedModel directory to load from a version's path. kNotFound lists what was seen and
// what is looked for; `default_filename` (may be empty) is the only one tried when it is stated.
Result<std::string> FindModelFile(const std::string& path, const std::string& default_filename);

// What `path` holds and what each layout looks like: for the error that nothing can be loaded.
std::string DescribeLayouts(const std::string& path);

// A directory name as a version: decimal digits only, leading zeros allowed ("00000123" is 123, as
// in TensorFlow Serving), 0 to 2^63 - 1. -1 if it is not one.
std::int64_t ParseVersionName(std::string_view name);

}  // namespace brim::serving
