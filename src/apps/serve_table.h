// What `brim serve` prints when it is up: a table of models for people, or the same as JSON.
//
// Pure but for reading the repository's listings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "serving/repository.h"

namespace brim::apps {

struct StartReport {
  std::string host;
  std::vector<std::uint16_t> ports;  // At least one.
  std::uint32_t workers = 0;
  std::uint32_t loops = 0;
  bool tls = false;
};

// "  ocr_rec 1 ready\n" or "  ocr_rec failed: why\n".
std::string ProgressLine(const serving::ModelStatus& model);
// Models with version, runtime, precision, tensors, memory and load time; then URLs and a line to
// paste.
std::string StartTable(const serving::Repository& repository, const StartReport& report);
std::string StartJson(const serving::Repository& repository, const StartReport& report);

}  // namespace brim::apps
