// Fuzzes the reader of fleet parameters: any bytes give a spec that can be drawn from, or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "planner/replay/fleet_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto spec = brim::planner::ReadFleet(
      "fuzz.json", std::string_view(reinterpret_cast<const char*>(data), size));
  if (!spec.ok()) {
    BRIM_CHECK(spec.status().message().rfind("fuzz.json", 0) == 0);
    return 0;
  }
  const brim::planner::Fleet fleet = brim::planner::DrawFleet(*spec, 1);
  BRIM_CHECK(fleet.models.size() == static_cast<std::size_t>(spec->models));
  return 0;
}
