// See command_line.h.
#include "apps/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string_view>

#include "planner/formats/nearest_name.h"

namespace brim::apps {
namespace {

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

CommandLine ParseCommandLine(CLI::App* app, const std::vector<std::string>& arguments) {
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

}  // namespace brim::apps
