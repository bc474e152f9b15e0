// `brim node slices`: create, list, show, resize, remove.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "apps/command_line.h"
#include "apps/node.h"
#include "base/text.h"
#include "planner/report/report.h"
#include "vgpu/agent/agent.h"
#include "vgpu/ledger/ledger.h"

namespace brim::apps {
namespace {

// What create and resize take; empty texts and zeros were not given.
struct SliceFlags {
  std::string folder = vgpu::Node::DefaultFolder();
  std::string name;
  std::uint32_t card = 0;
  std::uint32_t cores = 0;
  std::string memory, soft_memory, policy, priority, owner, memory_backend, cores_backend;
  bool json = false;
};

void AddSliceFlags(CLI::App* app, SliceFlags* f, bool create) {
  AddNodeFolder(app, &f->folder);
  app->add_option("NAME", f->name, "Name of the slice.")->required();
  if (create) {
    app->add_option("--card", f->card, "Index of the card, as `brim node doctor` lists it.")
        ->capture_default_str();
  }
  CLI::Option* const cores =
      app->add_option("--cores", f->cores, "Units of the card's time, 1 to 100.");
  CLI::Option* const memory =
      app->add_option("--memory", f->memory, "Memory that is never exceeded, for example 8GiB.");
  if (create) {
    cores->required();
    memory->required();
    app->add_option("--memory-backend", f->memory_backend,
                    "Who keeps it within its memory: auto (default), shim, or native, the driver's "
                    "own limit. auto takes native where it works.")
        ->check(CLI::IsMember({"auto", "shim", "native"}));
    app->add_option("--cores-backend", f->cores_backend,
                    "Who shares out the card's time: auto (default), shim, or mps, which gives "
                    "each process a part of the multiprocessors. auto is shim.")
        ->check(CLI::IsMember({"auto", "shim", "mps"}));
  }
  app->add_option(
      "--soft-memory", f->soft_memory,
      "Memory that is guaranteed; what is between it and --memory is borrowed from what "
      "others leave. Without it all is guaranteed.");
  app->add_option(
         "--policy", f->policy,
         "elastic: takes time that others leave (default); hard: never more than its units.")
      ->check(CLI::IsMember({"elastic", "hard"}));
  app->add_option("--priority", f->priority,
                  "online (default); offline: launches only while no online slice wants the card.")
      ->check(CLI::IsMember({"online", "offline"}));
  app->add_option("--owner", f->owner, "Who answers for it: a label of its metrics.");
}

Result<vgpu::SliceChange> ChangeOf(const SliceFlags& f) {
  vgpu::SliceChange change;
  if (f.cores > 0) change.cores = f.cores;
  if (!f.memory.empty()) {
    BRIM_ASSIGN_OR_RETURN(change.memory_hard, vgpu::ParseBytes(f.memory));
  }
  if (!f.soft_memory.empty()) {
    BRIM_ASSIGN_OR_RETURN(change.memory_soft, vgpu::ParseBytes(f.soft_memory));
  }
  if (!f.policy.empty()) {
    change.share = f.policy == "hard" ? vgpu::Share::kHard : vgpu::Share::kElastic;
  }
  if (!f.priority.empty()) {
    change.priority = f.priority == "offline" ? vgpu::Priority::kOffline : vgpu::Priority::kOnline;
  }
  if (!f.owner.empty()) change.owner = f.owner;
  return change;
}

std::string Sentence(const vgpu::SliceSpec& s) {
  const std::string soft = s.memory_soft == s.memory_hard
                               ? ""
                               : fmt::format(" ({} guaranteed)", HumanBytes(s.memory_soft));
  return fmt::format("slice '{}': card {}, {} units, {}{}, {}, {}", s.name, s.card, s.cores,
                     HumanBytes(s.memory_hard), soft,
                     s.share == vgpu::Share::kHard ? "hard" : "elastic",
                     s.priority == vgpu::Priority::kOffline ? "offline" : "online") +
         fmt::format("; memory by {}, cores by {}", NameOf(s.memory_backend),
                     NameOf(s.cores_backend));
}

int Create(const std::vector<std::string>& arguments) {
  constexpr const char* kName = "brim node slices create";
  SliceFlags f;
  CLI::App app("Cuts a slice from a card.", kName);
  AddSliceFlags(&app, &f, true);
  const CommandLine parsed = ParseCommandLine(&app, arguments);
  if (!parsed.run) return parsed.exit_code;
  const Result<vgpu::SliceChange> asked = ChangeOf(f);
  if (!asked.ok()) return FailNode(kName, asked.status());
  vgpu::SliceSpec spec;
  spec.name = f.name;
  spec.owner = f.owner;
  spec.card = f.card;
  spec.cores = f.cores;
  spec.memory_hard = *asked->memory_hard;
  spec.memory_soft = asked->memory_soft.value_or(spec.memory_hard);
  spec.share = asked->share.value_or(vgpu::Share::kElastic);
  spec.priority = asked->priority.value_or(vgpu::Priority::kOnline);
  if (const Status good = vgpu::CheckSpec(spec); !good.ok()) return FailNode(kName, good);
  Result<vgpu::Node> node = OpenNode(f.folder, true);
  if (!node.ok()) return FailNode(kName, node.status());
  // A card that is not there is refused by Create(), which says which there are.
  if (const vgpu::CardInfo* const card = node->Card(f.card)) {
    const Result<vgpu::BackendWish> wish = vgpu::ParseWish(f.memory_backend, f.cores_backend);
    if (!wish.ok()) return FailNode(kName, wish.status());
    const Result<vgpu::BackendChoice> choice =
        vgpu::ChooseBackends(*wish, node->Offers(*card, &*wish));
    if (!choice.ok()) return FailNode(kName, choice.status());
    spec.memory_backend = choice->memory;
    spec.cores_backend = choice->cores;
  }
  if (const Status made = node->Create(spec); !made.ok()) return FailNode(kName, made);
  std::printf("%s\nRun something in it:\n  brim node run --slice %s -- COMMAND\n",
              Sentence(spec).c_str(), spec.name.c_str());
  return 0;
}

int Resize(const std::vector<std::string>& arguments) {
  constexpr const char* kName = "brim node slices resize";
  SliceFlags f;
  CLI::App app(
      "Changes a slice while its processes run. Less memory than it holds is no error: new "
      "allocations are refused until enough was freed.",
      kName);
  AddSliceFlags(&app, &f, false);
  const CommandLine parsed = ParseCommandLine(&app, arguments);
  if (!parsed.run) return parsed.exit_code;
  const Result<vgpu::SliceChange> change = ChangeOf(f);
  if (!change.ok()) return FailNode(kName, change.status());
  Result<vgpu::Node> node = OpenNode(f.folder, false);
  if (!node.ok()) return FailNode(kName, node.status());
  const Result<vgpu::SliceSpec> spec = node->Resize(f.name, *change);
  if (!spec.ok()) return FailNode(kName, spec.status());
  std::printf("%s\n", Sentence(*spec).c_str());
  const std::uint64_t held = vgpu::HeldBytes(*node->Files(f.name)->segment);
  if (held > spec->memory_hard) {
    std::printf("It holds %s: nothing more is given until that is below the limit.\n",
                HumanBytes(held).c_str());
  }
  if (spec->cores_backend == vgpu::CoresBackend::kMps && change->cores) {
    std::puts(
        "Programs that run keep their part of the multiprocessors: MPS gives it at the "
        "start.");
  }
  return 0;
}

int Remove(const std::vector<std::string>& arguments) {
  constexpr const char* kName = "brim node slices remove";
  SliceFlags f;
  CLI::App app("Removes a slice that no process is in.", kName);
  AddNodeFolder(&app, &f.folder);
  app.add_option("NAME", f.name, "Name of the slice.")->required();
  const CommandLine parsed = ParseCommandLine(&app, arguments);
  if (!parsed.run) return parsed.exit_code;
  Result<vgpu::Node> node = OpenNode(f.folder, false);
  if (!node.ok()) return FailNode(kName, node.status());
  if (const Status removed = node->Remove(f.name); !removed.ok()) return FailNode(kName, removed);
  std::printf("slice '%s' is gone\n", f.name.c_str());
  return 0;
}

planner::ReportCell Text(std::string text) { return text; }
planner::ReportCell Count(std::uint64_t count) { return static_cast<std::int64_t>(count); }

void AddRow(const vgpu::SliceFigures& f, planner::ReportTable* table) {
  constexpr double kMiB = 1 << 20;
  const auto mib = [](std::uint64_t bytes) { return static_cast<double>(bytes) / kMiB; };
  table->Row({Text(f.spec.name), Text(f.spec.owner), Count(f.spec.card), Count(f.spec.cores),
              Text(f.spec.share == vgpu::Share::kHard ? "hard" : "elastic"),
              Text(f.spec.priority == vgpu::Priority::kOffline ? "offline" : "online"), mib(f.held),
              mib(f.memory_now), mib(f.spec.memory_hard), Count(f.pids.size()), f.gpu_seconds,
              f.throttled_seconds, Count(f.launches), Count(f.refusals)});
}

std::vector<planner::ReportColumn> Columns() {
  return {{"slice", ""},         {"owner", ""},     {"card", ""},    {"cores", "units"},
          {"policy", ""},        {"priority", ""},  {"held", "MiB"}, {"limit", "MiB"},
          {"hard_limit", "MiB"}, {"processes", ""}, {"gpu", "s"},    {"throttled", "s"},
          {"launches", ""},      {"refusals", ""}};
}

int List(const std::vector<std::string>& arguments) {
  constexpr const char* kName = "brim node slices list";
  SliceFlags f;
  CLI::App app("The slices of this host and what they use.", kName);
  AddNodeFolder(&app, &f.folder);
  app.add_flag("--json", f.json, "Print JSON.");
  const CommandLine parsed = ParseCommandLine(&app, arguments);
  if (!parsed.run) return parsed.exit_code;
  Result<vgpu::Node> node = OpenNode(f.folder, false);
  if (!node.ok()) return FailNode(kName, node.status());
  planner::Report report(kName);
  report.Text("dir", f.folder);
  planner::ReportTable& table = report.Table("slices", Columns());
  const Time now = SystemClock().Now();
  for (const vgpu::SliceSpec& spec : node->state().slices) {
    if (const Status fault = node->Fault(spec.name); !fault.ok()) {
      report.Note(fault.message());
      continue;
    }
    AddRow(vgpu::ReadFigures(spec, *node->Files(spec.name), node->FilesOfCard(spec.card), now),
           &table);
  }
  if (node->state().slices.empty())
    report.Note("No slices yet. `brim node slices create --help` shows how.");
  std::fputs((f.json ? report.ToJson() : report.ToText()).c_str(), stdout);
  return 0;
}

// Who enforces the slice, and what the driver itself counts where it does.
void AddBackends(vgpu::Node* node, const vgpu::SliceSpec& spec, planner::Report* report) {
  report->Text("memory_backend", std::string(NameOf(spec.memory_backend)));
  report->Text("cores_backend", std::string(NameOf(spec.cores_backend)));
  const Result<std::optional<std::uint64_t>> used = node->DriverUsed(spec);
  if (!used.ok()) {
    report->Note(
        fmt::format("The driver's limit is not in force: {}. The agent and `brim node run "
                    "--slice {}` put it back.",
                    used.status().message(), spec.name));
  } else if (*used) {
    report->Count("driver_used", static_cast<std::int64_t>(**used), "bytes",
                  "counted by the driver against its own limit");
  }
}

int Show(const std::vector<std::string>& arguments) {
  constexpr const char* kName = "brim node slices show";
  SliceFlags f;
  CLI::App app("One slice: limits, use by class, processes.", kName);
  AddNodeFolder(&app, &f.folder);
  app.add_option("NAME", f.name, "Name of the slice.")->required();
  app.add_flag("--json", f.json, "Print JSON.");
  const CommandLine parsed = ParseCommandLine(&app, arguments);
  if (!parsed.run) return parsed.exit_code;
  Result<vgpu::Node> node = OpenNode(f.folder, false);
  if (!node.ok()) return FailNode(kName, node.status());
  const vgpu::SliceSpec* const spec = node->Find(f.name);
  if (spec == nullptr) {
    return FailNode(
        kName,
        Status(Code::kNotFound, "slice_unknown",
               fmt::format("there is no slice '{}'; `brim node slices list` shows them", f.name)));
  }
  if (const Status fault = node->Fault(f.name); !fault.ok()) return FailNode(kName, fault);
  const vgpu::SliceFigures figures = vgpu::ReadFigures(
      *spec, *node->Files(f.name), node->FilesOfCard(spec->card), SystemClock().Now());
  planner::Report report(kName);
  AddRow(figures, &report.Table("slices", Columns()));
  AddBackends(&*node, *spec, &report);
  planner::ReportTable& memory = report.Table("memory", {{"class", ""}, {"held", "bytes"}});
  for (int i = 0; i < vgpu::kMemoryClasses; ++i) {
    memory.Row({Text(vgpu::MemoryClassName(static_cast<vgpu::MemoryClass>(i))),
                Count(figures.class_bytes[i])});
  }
  planner::ReportTable& processes = report.Table("processes", {{"pid", ""}});
  for (const std::int32_t pid : figures.pids)
    processes.Row({Count(static_cast<std::uint64_t>(pid))});
  for (const std::string& name : figures.unknown_names) {
    report.Note(
        fmt::format("asked for '{}', which this version does not know and does not limit", name));
  }
  std::fputs((f.json ? report.ToJson() : report.ToText()).c_str(), stdout);
  return 0;
}

}  // namespace

int NodeSlices(const std::vector<std::string>& arguments) {
  const std::string first = arguments.empty() ? "list" : arguments.front();
  const std::vector<std::string> rest(arguments.begin() + (arguments.empty() ? 0 : 1),
                                      arguments.end());
  if (first == "create") return Create(rest);
  if (first == "list") return List(rest);
  if (first == "show") return Show(rest);
  if (first == "resize") return Resize(rest);
  if (first == "remove") return Remove(rest);
  const bool help = first == "--help" || first == "-h" || first == "help";
  std::fputs(
      "Usage: brim node slices create NAME --card 0 --cores 30 --memory 8GiB [--soft-memory 4GiB]\n"
      "                               [--policy elastic|hard] [--priority online|offline]\n"
      "                               [--owner WHO] [--memory-backend auto|shim|native]\n"
      "                               [--cores-backend auto|shim|mps]\n"
      "       brim node slices list [--json]\n"
      "       brim node slices show NAME [--json]\n"
      "       brim node slices resize NAME [the options of create]\n"
      "       brim node slices remove NAME\n",
      help ? stdout : stderr);
  return help ? 0 : 2;
}

}  // namespace brim::apps
