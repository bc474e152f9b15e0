// Turns one version on disk into one that can serve: finds its file, chooses the runtime, loads,
// checks the signature against the configuration, makes the copies, warms up.
//
// Threads: the loader's.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "runtimes/host.h"
#include "serving/loader.h"
#include "serving/model_config.h"
#include "serving/version.h"

namespace brim::serving {

struct VersionSpec {
  std::string model;
  std::int64_t number = 1;
  std::string path;  // As in VersionOnDisk.
  ModelConfig config;
  std::uint32_t copies_max = 1;  // How many copies a runtime makes whose copies are free.
};

// The version hands what it holds to `inbox` when its last handle goes.
Result<MutableVersionHandle> LoadVersion(const VersionSpec& spec, runtimes::Host& host,
                                         const std::shared_ptr<Loader::Inbox>& inbox,
                                         const Clock& clock, const Logger& logger);

}  // namespace brim::serving
