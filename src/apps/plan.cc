// The table of `brim plan`'s subcommands, and its help.
#include "apps/plan.h"

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "planner/formats/nearest_name.h"

namespace brim::apps {
namespace {

struct Subcommand {
  std::string_view name;
  int (*run)(const std::vector<std::string>& arguments);
  const char* says;
};

// In the order of the help.
std::vector<Subcommand> Subcommands() {
  return {
      {"pack", PlanPack, "pods onto nodes and cards: how many cards are enough?"},
      {"bound", PlanBound, "how few cards could any plan need? proven lower bounds"},
      {"rightsize", PlanRightsize, "use over time into requests, and what those would have broken"},
      {"mix", PlanMix, "models into shared processes, slices and CPU cores"},
      {"replay", PlanReplay, "a recorded stream of pods or requests again, in virtual time"},
      {"consolidate", PlanConsolidate, "moves on a live layout that free cards, with their price"},
      {"fleet", PlanFleet, "what CPU move, mixing, slices and right-sizing save, in all orders"},
  };
}

constexpr const char* kHead =
    "Answers, without a cluster and in seconds: how many cards are enough, what would have\n"
    "broken, and how far is this plan from what is provably possible?\n\n"
    "Usage: brim plan SUBCOMMAND [ARGUMENTS]\n\n"
    "Subcommands:\n";

constexpr const char* kTail =
    "\nEach takes --json, --svg FILE, --explain NAME and --seed N; its --help has examples.\n"
    "Files may be CSV or JSON, plain or gzip; formats are told apart by their columns\n"
    "(docs/planner.md describes them).\n\n"
    "Start with the data in examples/plan, 120 pods of eight owners and 24 nodes:\n"
    "  brim plan pack --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv\n"
    "It says how many cards hold anything, which pods were refused and why, and the gap to the\n"
    "tightest proven bound. Then ask why a pod stands where it stands, and draw the cards:\n"
    "  brim plan pack --nodes examples/plan/nodes.csv --pods examples/plan/pods.csv \\\n"
    "    --explain ocr-rec-1 --svg cards.svg\n\n"
    "Exit codes: 0 done; 1 the input or the plan failed; 2 the command line is wrong.\n";

std::string Help() {
  std::string text = kHead;
  for (const Subcommand& command : Subcommands()) {
    text += fmt::format("  {:<12}{}\n", command.name, command.says);
  }
  return text + kTail;
}

}  // namespace

int Plan(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    std::fputs(Help().c_str(), stderr);
    return 2;
  }
  const std::string& name = arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    std::fputs(Help().c_str(), stdout);
    return 0;
  }
  std::vector<std::string_view> known;
  for (const Subcommand& command : Subcommands()) {
    if (command.name == name) return command.run({arguments.begin() + 1, arguments.end()});
    known.push_back(command.name);
  }
  const std::string nearest = planner::DidYouMean(name, known);
  std::fprintf(stderr,
               "brim plan: there is no subcommand '%s'%s\nType `brim plan --help` for them.\n",
               name.c_str(), nearest.c_str());
  return 2;
}

}  // namespace brim::apps
