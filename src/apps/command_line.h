// What every subcommand with flags does first: parse, print --help, say what is wrong.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace brim::apps {

// Where there is nothing left to do (--help, or an error, both printed) `run` is false.
struct CommandLine {
  bool run = false;
  int exit_code = 0;  // 0 done, 2 the command line is wrong.
};

// `arguments` without the command's own words. `app` was given its name, description, flags and
// examples by the caller.
CommandLine ParseCommandLine(CLI::App* app, const std::vector<std::string>& arguments);

}  // namespace brim::apps
