// The page that Prometheus reads: every row of metrics/rows.inc, from the counters of all that
// serves now.
//
// Threads: any; it reads relaxed counters, so figures may be a request apart.
#pragma once

#include <string>

#include "api/process_stats.h"
#include "api/protocol.h"

namespace brim::api {

// Models without an owner are shown as this.
inline constexpr std::string_view kUnowned = "unowned";

std::string MetricsPage(const Services& services, const ProcessStats& process);

}  // namespace brim::api
