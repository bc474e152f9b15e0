// What the planner's subcommands have in common on the command line and the terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string_view>

#include "apps/plan.h"
#include "io/text_file.h"
#include "planner/formats/nearest_name.h"

namespace brim::apps {
namespace {

// Says on standard error how far a computation is; erases its line on a terminal when the last
// copy of the Progress goes.
class ProgressLine {
 public:
  ProgressLine() : terminal_(::isatty(STDERR_FILENO) == 1) {}
  ~ProgressLine() {
    if (terminal_ && shown_) std::fputs("\r\033[K", stderr);
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(std::string_view what, std::int64_t done, std::int64_t total) {
    using std::chrono::milliseconds;
    const Time now = std::chrono::steady_clock::now();
    if (now < next_) return;
    // A log needs fewer lines than a terminal, where one line is written over.
    next_ = now + (terminal_ ? milliseconds(500) : milliseconds(5000));
    shown_ = true;
    std::string line = fmt::format("{}: {}", what, done);
    if (total > 0) {
      line += fmt::format(" of {} ({:.0f}%)", total,
                          100.0 * static_cast<double>(done) / static_cast<double>(total));
    }
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
    std::fflush(stderr);
  }

 private:
  using Time = std::chrono::steady_clock::time_point;
  const bool terminal_;
  bool shown_ = false;
  Time next_ = std::chrono::steady_clock::now() + std::chrono::seconds(2);
};

// What an unknown flag was meant to be.
std::string Suggestion(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  for (const std::string& extra : app.remaining()) {
    const std::string typed = extra.substr(0, extra.find('='));
    if (typed.starts_with("--")) return planner::DidYouMean(typed, known);
  }
  return {};
}

}  // namespace

void AddPlanFlags(CLI::App* app, PlanFlags* flags) {
  constexpr const char* kGroup = "Output";
  app->add_flag("--json", flags->json, "Print JSON: the same values, all rows, all digits.")
      ->group(kGroup);
  app->add_option("--svg", flags->svg, "Also write a picture there.")
      ->type_name("FILE")
      ->group(kGroup);
  app->add_option("--explain", flags->explain,
                  "Say why this pod or model stands where it stands, and what would free a card.")
      ->type_name("NAME")
      ->group(kGroup);
  app->add_option("--rows", flags->rows_max, "Rows of each table that are printed; 0: all.")
      ->type_name("N")
      ->capture_default_str()
      ->group(kGroup);
  app->add_flag("--timing", flags->timing,
                "Also say how long each step took, which no two runs share.")
      ->group(kGroup);
  app->add_option("--seed", flags->seed, "Of everything random: the same seed, the same result.")
      ->type_name("N")
      ->capture_default_str();
}

ParsedPlan ParsePlan(CLI::App* app, const std::vector<std::string>& arguments) {
  const std::string name = app->get_name();
  app->get_formatter()->column_width(36);
  // CLI11 takes arguments in reverse order.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app->parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app->help().c_str(), stdout);
    return {false, 0};
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "%s: %s%s\nType `%s --help` for what it takes.\n", name.c_str(),
                 error.what(), Suggestion(*app).c_str(), name.c_str());
    return {false, 2};
  }
  return {true, 0};
}

planner::Progress StderrProgress() {
  auto line = std::make_shared<ProgressLine>();
  return [line](std::string_view what, std::int64_t done, std::int64_t total) {
    line->Show(what, done, total);
  };
}

int FinishPlan(const planner::Report& report, const PlanFlags& flags, const std::string& svg_text) {
  if (!flags.svg.empty()) {
    const Status written = io::WriteTextFile(flags.svg, svg_text);
    if (!written.ok()) {
      std::fprintf(stderr, "brim plan: %s\n", written.message().c_str());
      return 1;
    }
  }
  const std::string text =
      flags.json ? report.ToJson(flags.timing) : report.ToText(flags.rows_max, flags.timing);
  const bool printed =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!printed) {
    std::fputs("brim plan: the result could not be written to standard output\n", stderr);
    return 1;
  }
  if (!flags.svg.empty()) std::fprintf(stderr, "wrote %s\n", flags.svg.c_str());
  return 0;
}

int FailPlan(const char* command, const Status& status) {
  std::fprintf(stderr, "%s: %s\nType `%s --help` for what it takes.\n", command,
               status.message().c_str(), command);
  return 1;
}

}  // namespace brim::apps
