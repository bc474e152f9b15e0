#include "serving/repository_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "base/text.h"
#include "serving/model_config.h"

namespace brim::serving {
namespace {

// Preferred first: where one name has several files, the first is the model.
constexpr std::string_view kModelSuffixes[] = {".xml",        ".onnx", ".tflite", ".pdmodel",
                                               ".savedmodel", ".pb",   ".fake"};

struct Entry {
  std::string name;
  struct stat status {};  // Of a directory: st_mode alone.
  bool directory() const { return S_ISDIR(status.st_mode); }
  bool file() const { return S_ISREG(status.st_mode); }
};

// Hidden entries are left out; links are followed, broken ones left out. By name.
Result<std::vector<Entry>> ListDirectory(const std::string& path) {
  struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(path.c_str()));
  if (directory == nullptr) {
    return Status(errno == ENOENT ? Code::kNotFound : Code::kFailedPrecondition,
                  "directory_unreadable",
                  fmt::format("cannot list {}: {}", path, std::strerror(errno)));
  }
  std::vector<Entry> entries;
  while (const dirent* found = readdir(directory.get())) {
    if (found->d_name[0] == '.') continue;
    if (entries.size() >= kEntriesMax) {
      return Status(Code::kFailedPrecondition, "directory_too_large",
                    fmt::format("{} holds more than {} entries", path, kEntriesMax));
    }
    Entry entry;
    if (found->d_type == DT_DIR) {
      entry.status.st_mode = S_IFDIR;  // Half the cost of a scan is in asking.
    } else if (fstatat(dirfd(directory.get()), found->d_name, &entry.status, 0) != 0) {
      continue;
    }
    entry.name = found->d_name;
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

std::optional<struct stat> StatusOf(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return status;
}
bool IsFile(const std::string& path) {
  const auto status = StatusOf(path);
  return status.has_value() && S_ISREG(status->st_mode);
}

bool IsSavedModel(const std::string& directory) {
  return IsFile(directory + "/saved_model.pb") || IsFile(directory + "/saved_model.pbtxt");
}

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() > suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

// Which kModelSuffixes a name ends in; their count for none.
std::size_t SuffixRank(std::string_view name) {
  std::size_t rank = 0;
  while (rank < std::size(kModelSuffixes) && !EndsWith(name, kModelSuffixes[rank])) ++rank;
  return rank;
}

bool IsModelEntry(const Entry& entry) {
  const std::size_t rank = SuffixRank(entry.name);
  if (rank >= std::size(kModelSuffixes)) return false;
  return (kModelSuffixes[rank] == ".savedmodel") ? entry.directory() : entry.file();
}

std::string Stem(std::string_view name) { return std::string(name.substr(0, name.rfind('.'))); }

// FNV-1a with a final mix: the fingerprint guards against unnoticed change, not against an
// adversary.
class Fingerprint {
 public:
  void Add(std::string_view text) {
    for (const char c : text) Byte(static_cast<unsigned char>(c));
    Byte(0);
  }
  void Add(const struct stat& status) {
    Number(static_cast<std::uint64_t>(status.st_size));
    Number(static_cast<std::uint64_t>(status.st_mtim.tv_sec));
    Number(static_cast<std::uint64_t>(status.st_mtim.tv_nsec));
    Number(status.st_ino);
  }
  std::uint64_t value() const { return value_; }

 private:
  void Byte(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001B3u; }
  void Number(std::uint64_t number) {
    value_ = (value_ ^ number) * 0x9E3779B97F4A7C15u;
    value_ ^= value_ >> 29;
  }
  std::uint64_t value_ = 0xCBF29CE484222325u;
};

void AddTree(const std::string& path, int depth, std::size_t* files, Fingerprint* out) {
  const auto entries = ListDirectory(path);
  if (!entries.ok()) return out->Add(entries.status().message());
  for (const Entry& entry : *entries) {
    if (++*files > kFingerprintFilesMax) return;
    out->Add(entry.name);
    // A directory's own time moves when hidden files come and go; its entries say enough.
    if (!entry.directory()) {
      out->Add(entry.status);
    } else if (depth < kFingerprintDepthMax) {
      AddTree(path + "/" + entry.name, depth + 1, files, out);
    }
  }
}

std::uint64_t FingerprintOfTree(const std::string& directory) {
  Fingerprint fingerprint;
  std::size_t files = 0;
  AddTree(directory, 0, &files, &fingerprint);
  return fingerprint.value();
}

// A plain model file with what belongs to it: NAME.bin beside NAME.xml, NAME.onnx.data, and so on.
std::uint64_t FingerprintOfFile(const std::vector<Entry>& siblings, const std::string& stem,
                                const std::string& config_name) {
  Fingerprint fingerprint;
  const std::string prefix = stem + ".";
  for (const Entry& entry : siblings) {
    if (!entry.file() || entry.name.compare(0, prefix.size(), prefix) != 0) continue;
    if (entry.name == config_name) continue;
    fingerprint.Add(entry.name);
    fingerprint.Add(entry.status);
  }
  return fingerprint.value();
}

std::uint64_t FingerprintOfConfig(const std::vector<Entry>& entries) {
  Fingerprint fingerprint;
  for (const Entry& entry : entries) {
    bool is_config = entry.name == kTritonConfigFile || entry.name == kBrimConfigFile;
    for (const std::string_view name : kTfsBatchingFiles) is_config |= entry.name == name;
    if (!is_config) continue;
    fingerprint.Add(entry.name);
    fingerprint.Add(entry.status);
  }
  return fingerprint.value();
}

std::string ListNames(const std::vector<Entry>& entries) {
  constexpr std::size_t kShown = 12;
  if (entries.empty()) return "nothing";
  std::string names;
  for (std::size_t i = 0; i < entries.size() && i < kShown; ++i) {
    fmt::format_to(std::back_inserter(names), "{}{}{}", i == 0 ? "" : ", ", entries[i].name,
                   entries[i].directory() ? "/" : "");
  }
  if (entries.size() > kShown) {
    fmt::format_to(std::back_inserter(names), " and {} more", entries.size() - kShown);
  }
  return names;
}

std::vector<VersionOnDisk> NumberedVersions(const std::string& directory,
                                            const std::vector<Entry>& entries,
                                            std::vector<std::string>* warnings) {
  std::map<std::int64_t, const Entry*, std::greater<>> numbered;
  for (const Entry& entry : entries) {
    const std::int64_t number = entry.directory() ? ParseVersionName(entry.name) : -1;
    if (number < 0) continue;
    const auto [same, added] = numbered.emplace(number, &entry);
    if (added) continue;
    // "7" beside "007": the shorter name is the version.
    const Entry* passed = &entry;
    if (entry.name.size() < same->second->name.size()) std::swap(passed, same->second);
    warnings->push_back(fmt::format("{}/{} was passed over: '{}' is the same version", directory,
                                    passed->name, same->second->name));
  }
  std::vector<VersionOnDisk> versions;
  for (const auto& [number, entry] : numbered) {
    if (versions.size() >= kVersionsOnDiskMax) {
      warnings->push_back(fmt::format("{} holds more than {} versions; the lowest were passed over",
                                      directory, kVersionsOnDiskMax));
      break;
    }
    VersionOnDisk version;
    version.number = number;
    version.path = directory + "/" + entry->name;
    version.fingerprint = FingerprintOfTree(version.path);
    versions.push_back(std::move(version));
  }
  return versions;
}

// A numbered directory is a version of the directory around it when it holds a model itself; a
// model that is named "7" holds one only a level deeper.
bool HoldsVersions(const std::string& path, const std::vector<Entry>& entries) {
  if (IsFile(path + "/" + std::string(kTritonConfigFile))) return true;
  for (const Entry& entry : entries) {
    if (!entry.directory() || ParseVersionName(entry.name) < 0) continue;
    const auto inside = ListDirectory(path + "/" + entry.name);
    if (!inside.ok()) continue;
    for (const Entry& file : *inside) {
      if (IsModelEntry(file) || file.name == "saved_model.pbtxt") return true;
    }
  }
  return false;
}

// Where several files share a name, e.g. a.xml and a.onnx, the preferred kind is the model.
void AddPlainFiles(const std::string& path, const std::vector<Entry>& entries,
                   std::map<std::string, ModelOnDisk>* models, std::vector<std::string>* warnings) {
  std::vector<const Entry*> files;
  for (const Entry& entry : entries) {
    if (entry.file() && IsModelEntry(entry)) files.push_back(&entry);
  }
  std::stable_sort(files.begin(), files.end(), [](const Entry* a, const Entry* b) {
    return SuffixRank(a->name) < SuffixRank(b->name);
  });
  for (const Entry* file : files) {
    ModelOnDisk model;
    model.name = Stem(file->name);
    if (const auto taken = models->find(model.name); taken != models->end()) {
      warnings->push_back(fmt::format("{}/{} was passed over: another entry is the model '{}'",
                                      path, file->name, model.name));
      continue;
    }
    const std::string config_name = model.name + "." + std::string(kBrimConfigFile);
    model.config_file = path + "/" + config_name;
    for (const Entry& entry : entries) {
      if (entry.name != config_name) continue;
      Fingerprint fingerprint;
      fingerprint.Add(entry.status);
      model.config_fingerprint = fingerprint.value();
    }
    VersionOnDisk version;
    version.path = path + "/" + file->name;
    version.fingerprint = FingerprintOfFile(entries, model.name, config_name);
    model.versions.push_back(std::move(version));
    models->emplace(model.name, std::move(model));
  }
}

std::string BaseName(const std::string& path) {
  // Resolved, so that "." and "models/" have a name.
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         &std::free);
  const std::string resolved = real != nullptr ? real.get() : path;
  return resolved.substr(resolved.rfind('/') + 1);
}

Result<RepositoryOnDisk> ScanOneFile(const std::string& path) {
  const std::string base = BaseName(path);
  if (SuffixRank(base) >= std::size(kModelSuffixes)) {
    return Status(
        Code::kFailedPrecondition, "not_a_model",
        fmt::format("{} is not a model file; those end in .xml, .onnx, .tflite, .pdmodel or "
                    ".pb. Or name a directory of models",
                    path));
  }
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
  BRIM_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListDirectory(directory));
  std::vector<Entry> siblings;  // By the name that was given, which may be a link's.
  const std::string given = path.substr(slash == std::string::npos ? 0 : slash + 1);
  for (const Entry& entry : entries) {
    if (entry.name == given || !IsModelEntry(entry)) siblings.push_back(entry);
  }
  std::map<std::string, ModelOnDisk> models;
  RepositoryOnDisk found;
  AddPlainFiles(directory, siblings, &models, &found.warnings);
  for (auto& [name, model] : models) found.models.push_back(std::move(model));
  return found;
}

}  // namespace

std::int64_t ParseVersionName(std::string_view name) {
  if (name.empty() || name.size() > 64) return -1;
  for (const char c : name) {
    if (c < '0' || c > '9') return -1;
  }
  return ParseInt64(name).value_or(-1);
}

ModelOnDisk ScanModelDirectory(const std::string& directory, const std::string& name) {
  ModelOnDisk model;
  model.name = name;
  model.directory = directory;
  const auto entries = ListDirectory(directory);
  if (!entries.ok()) {
    model.status = entries.status();
    return model;
  }
  model.config_fingerprint = FingerprintOfConfig(*entries);
  model.versions = NumberedVersions(directory, *entries, &model.warnings);
  if (!model.versions.empty()) return model;
  // No numbers: what lies in the directory itself is version 1.
  const auto file = FindModelFile(directory, "");
  if (file.ok()) {
    VersionOnDisk version;
    version.path = directory;
    version.fingerprint = FingerprintOfTree(directory);
    model.versions.push_back(std::move(version));
  } else {
    model.status =
        Status(Code::kFailedPrecondition, "model_empty",
               fmt::format("{} has no version to load: put the model into {}/1/; it holds {}",
                           directory, directory, ListNames(*entries)));
  }
  return model;
}

Result<RepositoryOnDisk> ScanRepository(const std::string& path, const ScanLimits& limits) {
  const auto status = StatusOf(path);
  if (!status.has_value()) {
    return Status(Code::kNotFound, "path_unknown",
                  fmt::format("{}: {}. Name a directory of models or a model file", path,
                              std::strerror(errno)));
  }
  if (!S_ISDIR(status->st_mode)) return ScanOneFile(path);
  BRIM_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListDirectory(path));
  RepositoryOnDisk found;
  if (IsSavedModel(path) || EndsWith(path, ".savedmodel") || HoldsVersions(path, entries)) {
    std::string name = BaseName(path);
    if (EndsWith(name, ".savedmodel")) name = Stem(name);
    found.models.push_back(ScanModelDirectory(path, name));
    return found;
  }
  std::map<std::string, ModelOnDisk> models;
  for (const Entry& entry : entries) {
    if (!entry.directory()) continue;
    std::string name = EndsWith(entry.name, ".savedmodel") ? Stem(entry.name) : entry.name;
    if (models.size() > limits.models_max) break;  // One above shows that there are more.
    models.emplace(name, ScanModelDirectory(path + "/" + entry.name, name));
  }
  AddPlainFiles(path, entries, &models, &found.warnings);
  for (auto& [name, model] : models) {
    if (found.models.size() >= limits.models_max) {
      found.warnings.push_back(
          fmt::format("{} holds more than {} models; those after '{}' were passed over", path,
                      limits.models_max, found.models.back().name));
      break;
    }
    found.models.push_back(std::move(model));
  }
  return found;
}

Result<std::string> FindModelFile(const std::string& path, const std::string& default_filename) {
  if (IsFile(path)) return path;
  BRIM_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListDirectory(path));
  if (!default_filename.empty()) {
    for (const Entry& entry : entries) {
      if (entry.name == default_filename) return path + "/" + entry.name;
    }
    return Status(Code::kNotFound, "model_file_unknown",
                  fmt::format("{} has no '{}', which default_model_filename names; it holds {}",
                              path, default_filename, ListNames(entries)));
  }
  if (IsSavedModel(path)) return path;
  const Entry* only = nullptr;
  for (const std::string_view suffix : kModelSuffixes) {
    for (const Entry& entry : entries) {
      if (entry.name == fmt::format("model{}", suffix) && IsModelEntry(entry)) {
        return path + "/" + entry.name;
      }
    }
  }
  int candidates = 0;
  for (const Entry& entry : entries) {
    const bool nested = entry.directory() && IsSavedModel(path + "/" + entry.name);
    if (!nested && !IsModelEntry(entry)) continue;
    ++candidates;
    only = &entry;
  }
  if (candidates == 1) return path + "/" + only->name;
  return Status(
      Code::kNotFound, candidates == 0 ? "model_file_unknown" : "model_file_ambiguous",
      fmt::format(
          "{} has {} model to load; it holds {}. Looked for saved_model.pb, model.xml, "
          "model.onnx, model.tflite, model.pdmodel, model.pb, model.savedmodel/, or one file "
          "of such a kind",
          path, candidates == 0 ? "no" : "more than one", ListNames(entries)));
}

std::string DescribeLayouts(const std::string& path) {
  const auto entries = ListDirectory(path);
  return fmt::format(
      "{} holds no model: it holds {}. It should look like one of\n"
      "  TensorFlow Serving  {}/NAME/1/saved_model.pb\n"
      "  Triton              {}/NAME/1/model.onnx (and NAME/config.pbtxt)\n"
      "  plain files         {}/NAME.onnx, NAME.xml, NAME.tflite, NAME.pdmodel, NAME.pb\n"
      "or be one model's own directory (1/saved_model.pb, 1/model.onnx) or one model file",
      path, entries.ok() ? ListNames(*entries) : entries.status().message(), path, path, path);
}

}  // namespace brim::serving
