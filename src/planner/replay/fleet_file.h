// Reads the parameters of a fleet from JSON; docs/planner.md describes every key. All keys but
// those said to be optional must be there, and an unknown key is an error: a parameter that is
// misspelt must not fall back to a default in silence.
//
// Pure; any thread. Errors are INVALID_ARGUMENT: `file: key: what, and what was expected`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "planner/replay/fleet.h"

namespace brim::planner {

Result<FleetSpec> ReadFleet(const std::string& file, std::string_view text);

}  // namespace brim::planner
