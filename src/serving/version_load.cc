#include "serving/version_load.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "serving/repository_scan.h"
#include "serving/signature_check.h"
#include "serving/warm_up.h"

namespace brim::serving {
namespace {

// Cheap and late by some pages, unlike runtimes::ResidentBytes: used for what a model adds after
// its load, where a walk over all mappings would cost more than the copy.
std::uint64_t QuickResidentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long total = 0;
  unsigned long long resident = 0;
  const int read = std::fscanf(file, "%llu %llu", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

// Runtimes say of a file without read permission that its format is unknown.
Status CheckReadable(const std::string& file) {
  if (access(file.c_str(), R_OK) == 0) return OkStatus();
  return Status(Code::kFailedPrecondition, "model_unreadable",
                fmt::format("cannot read {}: {}; give the server's user the right to read it", file,
                            std::strerror(errno)));
}

Status MakeCopies(const VersionSpec& spec, Version::Parts* parts) {
  const std::uint32_t wanted = parts->loaded->instances_are_free() ? spec.copies_max : 1;
  for (std::uint32_t i = 0; i < std::max(wanted, 1u); ++i) {
    BRIM_ASSIGN_OR_RETURN(auto instance, parts->loaded->NewInstance());
    parts->instances.push_back(std::move(instance));
  }
  return OkStatus();
}

}  // namespace

Result<MutableVersionHandle> LoadVersion(const VersionSpec& spec, runtimes::Host& host,
                                         const std::shared_ptr<Loader::Inbox>& inbox,
                                         const Clock& clock, const Logger& logger) {
  const Time started = clock.Now();
  BRIM_ASSIGN_OR_RETURN(const std::string file,
                        FindModelFile(spec.path, spec.config.default_filename));
  BRIM_RETURN_IF_ERROR(CheckReadable(file));
  BRIM_ASSIGN_OR_RETURN(runtimes::Runtime * runtime, host.Choose(file, spec.config.runtime));
  runtimes::LoadOptions options;
  options.path = file;
  options.device = spec.config.device;
  options.precision = spec.config.precision;
  options.width = spec.config.width;
  options.options = spec.config.options;
  Version::Parts parts;
  BRIM_ASSIGN_OR_RETURN(parts.loaded, runtime->Load(options));
  parts.model = spec.model;
  parts.number = spec.number;
  parts.config = spec.config;
  parts.info = parts.loaded->info();
  BRIM_RETURN_IF_ERROR(CheckSignature(spec.config, &parts.info));
  if (!parts.info.note.empty()) {
    logger.Warn("model_note", {{"model", spec.model},
                               {"version", std::to_string(spec.number)},
                               {"note", parts.info.note}});
  }
  const std::uint64_t before = QuickResidentBytes();
  BRIM_RETURN_IF_ERROR(MakeCopies(spec, &parts));
  if (spec.config.warm_up) {
    const WarmUpResult warm = WarmUp(parts.info, parts.instances.front().get());
    if (warm.end == WarmUpEnd::kFailed) return warm.status;
    if (warm.end == WarmUpEnd::kSkipped) {
      logger.Info("warm_up_skipped", {{"model", spec.model},
                                      {"version", std::to_string(spec.number)},
                                      {"reason", warm.status.message()}});
    }
  }
  const std::uint64_t after = QuickResidentBytes();
  parts.info.memory_bytes += after > before ? after - before : 0;
  parts.load_seconds = std::chrono::duration<double>(clock.Now() - started).count();
  parts.release = [inbox](std::unique_ptr<runtimes::Model> model,
                          std::vector<std::unique_ptr<runtimes::Instance>> instances) {
    inbox->Retire(Retired{std::move(model), std::move(instances)});
  };
  return std::make_shared<Version>(std::move(parts));
}

}  // namespace brim::serving
