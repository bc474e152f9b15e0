// Usage files: the project's own CSV, and GenTD26's two tables of pod use as they are.
//
// Own: time_s, pod, and at least one of compute_percent, memory_mib (GPU memory), cpu_milli,
// requests_per_s; optional owner, service, cards. Also understood: timestamp_s, gpu_percent,
// gpu_memory_mib. An empty field is no sample.
// GenTD26 (Alibaba, 2026): value, timestamp_anon, container_ip; a file named *duty_cycle* is
// compute, one named *memory_used* is memory in bytes. All its pods are of one service.
// Pure: text in, values out.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "planner/rightsize/usage.h"

namespace brim::planner {

// Adds the file's samples. INVALID_ARGUMENT: "file:line: what, and what was expected".
Status ReadUsage(const std::string& file, std::string_view text, UsageBuilder* builder);

}  // namespace brim::planner
