// Fuzzes the readers of all four configuration texts; the first byte chooses.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "serving/model_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  brim::serving::ModelConfig config;
  switch (data[0] % 4) {
    case 0:
      (void)ApplyTritonConfig(text, &config).ok();
      break;
    case 1:
      (void)ApplyTritonConfigJson(text, &config).ok();
      break;
    case 2:
      (void)ApplyTfsBatching(text, &config).ok();
      break;
    default:
      (void)ApplyBrimConfig(text, &config).ok();
      break;
  }
  return 0;
}
