// Progress: how a long pure computation tells its caller how far it is. The caller decides, by its
// own clock, whether to print.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace brim::planner {

// Called now and then from the computing thread: `what` is done to `done` of `total`.
using Progress = std::function<void(std::string_view what, std::int64_t done, std::int64_t total)>;

}  // namespace brim::planner
