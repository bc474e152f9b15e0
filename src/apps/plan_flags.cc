// What the planner's subcommands have in common on the command line and the terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string_view>

#include "apps/command_line.h"
#include "apps/plan.h"
#include "io/text_file.h"

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

// Prints the report (text or JSON by the flags) and writes the picture; the exit code.
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

// Prints "brim plan pack: <message>" and the next command to type; returns 1.
int FailPlan(const std::string& command, const Status& status) {
  std::fprintf(stderr, "%s: %s\nType `%s --help` for what it takes.\n", command.c_str(),
               status.message().c_str(), command.c_str());
  return 1;
}

}  // namespace

planner::Progress StderrProgress() {
  auto line = std::make_shared<ProgressLine>();
  return [line](std::string_view what, std::int64_t done, std::int64_t total) {
    line->Show(what, done, total);
  };
}

int RunPlan(CLI::App* app, const std::vector<std::string>& arguments, PlanFlags* flags,
            const PlanMaker& make) {
  AddPlanFlags(app, flags);
  const CommandLine line = ParseCommandLine(app, arguments);
  if (!line.run) return line.exit_code;
  planner::Report report(app->get_name());
  std::string svg;
  const Status made = make(&report, &svg);
  return made.ok() ? FinishPlan(report, *flags, svg) : FailPlan(app->get_name(), made);
}

}  // namespace brim::apps
