// `brim plan`: the planner's subcommands, and what they have in common. One file per subcommand
// (plan_pack.cc, plan_bound.cc, ...): flags, read, compute, print; no policy here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "planner/cluster/progress.h"
#include "planner/report/report.h"

namespace CLI {
class App;
}

namespace brim::apps {

// `arguments` without "brim plan". Returns the exit code: 0 done, 1 the input or the plan failed,
// 2 the command line is wrong.
int Plan(const std::vector<std::string>& arguments);

// The subcommands; `arguments` without the subcommand's name. Same exit codes.
int PlanPack(const std::vector<std::string>& arguments);
int PlanBound(const std::vector<std::string>& arguments);
int PlanRightsize(const std::vector<std::string>& arguments);
int PlanMix(const std::vector<std::string>& arguments);
int PlanReplay(const std::vector<std::string>& arguments);
int PlanConsolidate(const std::vector<std::string>& arguments);
int PlanFleet(const std::vector<std::string>& arguments);

// Flags that every subcommand has.
struct PlanFlags {
  bool json = false;
  bool timing = false;  // Also values and columns named "seconds" or "*_seconds".
  std::string svg;      // Write the picture there; empty: none.
  std::string explain;  // Pod or model to explain; empty: none.
  std::uint64_t seed = 1;
  std::size_t rows_max = 40;  // Rows of a table that are printed for people; 0: all.
};

// Fills the report and, where --svg was given, the text of the picture.
using PlanMaker = std::function<Status(planner::Report* report, std::string* svg)>;
// All of a subcommand but its own: adds the flags above to `app` (which has its description, flags
// and examples), parses, makes, and prints the report, or the error with the next command to type.
// Returns the exit code.
int RunPlan(CLI::App* app, const std::vector<std::string>& arguments, PlanFlags* flags,
            const PlanMaker& make);

// Prints to standard error, once a computation has taken two seconds, and at most twice a second.
planner::Progress StderrProgress();

}  // namespace brim::apps
