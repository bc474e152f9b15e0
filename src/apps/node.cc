// The agent, and the table of subcommands.
#include "apps/node.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include "apps/command_line.h"
#include "io/server.h"
#include "planner/formats/nearest_name.h"
#include "vgpu/agent/agent.h"
#include "vgpu/agent/card_probe.h"

namespace brim::apps {
namespace {

constexpr const char* kHelp =
    "Cuts this host's GPU cards into slices of 1 to 100 units and some memory, each enforced.\n\n"
    "Usage: brim node [OPTIONS]                   runs the agent: metrics, clean-up, loans\n"
    "       brim node slices create NAME --card 0 --cores 30 --memory 8GiB\n"
    "       brim node slices list | show NAME | resize NAME ... | remove NAME\n"
    "       brim node run --slice NAME -- COMMAND  runs a CUDA program in a slice\n"
    "       brim node doctor                       what this host has, and what is missing\n\n"
    "Slices work without the agent; only ended processes are not taken out of the count, nothing "
    "is\n"
    "lent above --soft-memory, and there are no metrics until it runs.\n\n"
    "Start with:\n"
    "  brim node doctor\n"
    "  brim node slices create a --card 0 --cores 30 --memory 8GiB\n"
    "  brim node run --slice a -- python3 train.py\n"
    "  brim node --port 9400 &      then curl localhost:9400/metrics\n";

// /metrics, and a line for whoever looks elsewhere.
class Pages final : public io::HttpHandler {
 public:
  explicit Pages(const vgpu::Agent& agent) : agent_(agent) {}

  void OnRequest(io::HttpCall& call) override {
    io::HttpReply reply;
    reply.content_type = "text/plain; charset=utf-8";
    std::string text = "brim node: see /metrics\n";
    if (call.path() == "/metrics") {
      reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
      text = vgpu::MetricsText(agent_.Figures());
    } else if (call.path() != "/") {
      reply.status = 404;
    }
    reply.body.Append(text);
    call.Reply(std::move(reply));
  }

 private:
  const vgpu::Agent& agent_;
};

struct AgentFlags {
  std::string folder = vgpu::Node::DefaultFolder();
  std::string host = "127.0.0.1";
  std::uint32_t port = 9400;
};

// Ticks ten times a second until a signal comes; at once when a process ends.
void RunUntilSignal(vgpu::Agent* agent, const sigset_t& stop) {
  for (;;) {
    const timespec none{};
    if (sigtimedwait(&stop, nullptr, &none) > 0) return;
    agent->WaitForDeath(std::chrono::milliseconds(100));
    agent->Tick();
  }
}

int RunAgent(const AgentFlags& flags) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  const SystemClock clock;
  const Logger logger(STDERR_FILENO, LogLevel::kInfo, LogFormat::kText, clock);
  Result<vgpu::Node> node = OpenNode(flags.folder, true);
  if (!node.ok()) return FailNode("brim node", node.status());
  vgpu::Agent agent(&*node, clock, logger, vgpu::UseByProcess);
  if (const Status started = agent.Start(); !started.ok()) return FailNode("brim node", started);
  Pages pages(agent);
  io::ServerOptions options;
  options.listen = {{flags.host, static_cast<std::uint16_t>(flags.port)}};
  options.connections_max = 64;
  options.body_bytes_max = 4096;
  io::Server server(options, clock, logger, {&pages, nullptr});
  if (const Status started = server.Start(); !started.ok()) return FailNode("brim node", started);
  std::printf("brim node: %zu cards, %zu slices in %s\nmetrics: http://%s:%u/metrics\n",
              node->state().cards.size(), node->state().slices.size(), flags.folder.c_str(),
              flags.host.c_str(), static_cast<unsigned>(server.ports().front()));
  std::fflush(stdout);
  RunUntilSignal(&agent, stop);
  server.Drain(std::chrono::seconds(1));
  return 0;
}

int AgentCommand(const std::vector<std::string>& arguments) {
  AgentFlags flags;
  CLI::App app("Looks after this host's slices.", "brim node");
  AddNodeFolder(&app, &flags.folder);
  app.add_option("--host", flags.host, "Address of the metrics page.")->capture_default_str();
  app.add_option("--port", flags.port, "Its port; 0 lets the kernel choose.")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  const CommandLine parsed = ParseCommandLine(&app, arguments);
  return parsed.run ? RunAgent(flags) : parsed.exit_code;
}

}  // namespace

void AddNodeFolder(CLI::App* app, std::string* folder) {
  app->add_option("--dir", *folder, "The node's folder; BRIM_NODE_DIR names another default.")
      ->type_name("FOLDER")
      ->capture_default_str();
}

Result<vgpu::Node> OpenNode(const std::string& folder, bool probe) {
  Result<vgpu::Node> node = vgpu::Node::Open(folder);
  if (!node.ok() || !probe) return node;
  Result<vgpu::Probe> found = vgpu::ProbeCards();
  // Without a driver the cards that are known stay known.
  if (!found.ok()) {
    if (node->state().cards.empty()) return found.status();
    return node;
  }
  for (vgpu::CardInfo& card : found->cards) {
    const vgpu::CardInfo* const known = node->Card(card.index);
    if (known != nullptr && known->uuid == card.uuid && known->context_bytes > 0) {
      card.context_bytes = known->context_bytes;
      card.module_bytes = known->module_bytes;
    } else {
      vgpu::Calibrate(&card);
    }
  }
  if (const Status status = node->SetCards(found->cards); !status.ok()) return status;
  return node;
}

int FailNode(const char* command, const Status& status) {
  std::fprintf(stderr, "%s: %s\n", command, status.message().c_str());
  return 1;
}

std::string ShimFolder() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const char* place : {"../lib/brim/slice", "../slice", "slice"}) {
    const std::filesystem::path folder = self.parent_path() / place;
    if (std::filesystem::exists(folder / "libcuda.so.1", error)) {
      return std::filesystem::canonical(folder, error).string();
    }
  }
  return {};
}

int Node(const std::vector<std::string>& arguments) {
  const std::string first = arguments.empty() ? "" : arguments.front();
  const std::vector<std::string> rest(arguments.begin() + (arguments.empty() ? 0 : 1),
                                      arguments.end());
  if (first == "--help" || first == "-h" || first == "help") {
    std::fputs(kHelp, stdout);
    std::fputs("\nThe agent's options:\n", stdout);
    return AgentCommand({"--help"});
  }
  if (first == "slices") return NodeSlices(rest);
  if (first == "run") return NodeRun(rest);
  if (first == "doctor") return NodeDoctor(rest);
  // Of this program to itself: see vgpu/agent/card_probe.h.
  if (first == "calibrate" && rest.size() == 1) return vgpu::CalibrateChild(rest.front());
  if (first.empty() || first.front() == '-') return AgentCommand(arguments);
  constexpr std::string_view kKnown[] = {"slices", "run", "doctor"};
  std::fprintf(stderr,
               "brim node: there is no subcommand '%s'%s\nType `brim node --help` for them.\n",
               first.c_str(), planner::DidYouMean(first, kKnown).c_str());
  return 2;
}

}  // namespace brim::apps
