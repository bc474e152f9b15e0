// Reads models, profiles, arrivals and placements from text: our own CSV, and ParvaGPU's files as
// they are. Everything wrong is `file:line: what, and what was expected`. Pure: text in, values
// out; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "planner/mix/mix_plan.h"
#include "planner/mix/model.h"

namespace brim::planner {

struct MixText {
  std::string file;  // For messages.
  std::string text;
};

// Columns of `models`: name, rate, slo_ms, and optional owner, weights_mib, workspace_mib, load_ms,
// interference, cpu_ms, now (card, cpu or empty). Of `profiles`: model, share, batch, latency_ms,
// and optional processes, throughput (of one process, requests a second; without it batch /
// latency).
Result<std::vector<MixModel>> ReadMixModels(const MixText& models, const MixText& profiles);

// Columns time_s, model; any order of lines.
Result<Arrivals> ReadMixArrivals(const MixText& arrivals, std::span<const MixModel> models);

// github.com/MunQ-Lee/ParvaGPU_SC24: one profile file per model, in alphabetical order the columns
// of the two SLO files, which have a line per scenario and no head; N/A: not in this scenario.
struct ParvaText {
  std::vector<MixText> profiles;  // File names end in NAME.csv; any order.
  MixText rates, latencies;
};
struct ParvaChoice {
  int scenario = 1;  // From 1.
  double rate_scale = 1;
  int sets = 1;                  // So many copies of all models, told apart by "#2", "#3", ...
  Slices slices = Slices::kMig;  // kUnits: sizes become units, rounded up.
  double card_memory_mib = 80 * 1024;
};
// Objectives and rates are cut to whole numbers as ParvaGPU reads them. Memory is what the profile
// proves: a process that ran in a slice beside p - 1 equal ones needs at most 1/p of the slice; the
// least of that over a model's points with the batch or a larger one is its weights (workspace 0).
Result<std::vector<MixModel>> ReadParva(const ParvaText& text, const ParvaChoice& choice);

// A placement by ParvaGPU. Several sets are not in its files: names are the models' own.
Result<std::vector<Segment>> ReadParvaPlacement(const MixText& placement,
                                                std::span<const MixModel> models);

// Columns model, weights_mib, and optional workspace_mib, load_ms, cpu_ms: replaces what the models
// have, in every set.
Status ReadMixMemory(const MixText& memory, std::vector<MixModel>* models);

}  // namespace brim::planner
