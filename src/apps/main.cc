// brim: one executable, one subcommand per job.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "apps/node.h"
#include "apps/plan.h"
#include "apps/serve.h"
#include "apps/version.h"

namespace {

constexpr const char* kHelp =
    "brim finds every model the cheapest place that keeps its latency promise.\n\n"
    "Usage: brim COMMAND [ARGUMENTS]\n\n"
    "Commands:\n"
    "  serve PATH    serve the models in PATH: TensorFlow Serving and KServe v2, REST and gRPC, "
    "one port\n"
    "  plan WHAT     how few cards are enough, and how far from the proven best: needs no "
    "cluster\n"
    "  node          slices of this host's GPU cards: 100 units each, enforced\n\n"
    "Options:\n"
    "  --version     this version, every library inside it, and the runtimes found\n"
    "  --help        this text; `brim COMMAND --help` says more\n\n"
    "Start with:\n"
    "  brim serve models/            then open http://localhost:8000/\n"
    "  brim plan --help\n";

int Fail(std::string_view what) {
  std::fprintf(stderr, "brim: %.*s\nType `brim --help` for the commands.\n",
               static_cast<int>(what.size()), what.data());
  return 2;
}

// A descriptor below 3 that is closed would be given to the next socket or model file, and lines
// meant for a person would be written into it.
void KeepStandardFiles() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd < 3);
  if (fd >= 3) close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  KeepStandardFiles();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) {
    std::fputs(kHelp, stderr);
    return 2;
  }
  const std::string& command = arguments.front();
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (command == "--help" || command == "-h" || command == "help") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (command == "--version" || command == "version") {
    std::fputs(brim::apps::VersionText().c_str(), stdout);
    return 0;
  }
  if (command == "serve") return brim::apps::Serve(rest);
  if (command == "plan") return brim::apps::Plan(rest);
  if (command == "node") return brim::apps::Node(rest);
  return Fail("there is no command '" + command + "'");
}
