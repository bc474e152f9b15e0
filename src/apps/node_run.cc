// `brim node run` and `brim node doctor`.
#include <dlfcn.h>
#include <errno.h>
#include <fmt/format.h>
#include <string.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "apps/command_line.h"
#include "apps/node.h"
#include "base/text.h"
#include "planner/report/report.h"
#include "vgpu/agent/card_probe.h"

namespace brim::apps {
namespace {

// The vendor's library: what the environment says, else where the loader finds it, by full path.
std::string VendorPath(const char* variable, const char* file) {
  const char* const told = getenv(variable);
  if (told != nullptr && *told != '\0') return told;
  for (const char* folder : {"/run/brim/driver", "/usr/lib/x86_64-linux-gnu", "/usr/lib64",
                             "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib", "/usr/lib"}) {
    const std::string path = fmt::format("{}/{}", folder, file);
    if (access(path.c_str(), R_OK) == 0) return path;
  }
  return {};
}

void SetFirst(const char* variable, const std::string& folder) {
  const char* const before = getenv(variable);
  const bool empty = before == nullptr || *before == '\0';
  setenv(variable, (empty ? folder : folder + ":" + before).c_str(), 1);
}

// The library to preload, or why there is none to be had.
Result<std::string> PreloadLibrary(const std::string& shim) {
  const std::string library = shim + "/libbrim_preload.so";
  if (access(library.c_str(), R_OK) != 0) {
    return Status(Code::kNotFound, "no_preload",
                  fmt::format("{} is missing: install the whole package, build the target "
                              "brim_preload, or use --inject replace",
                              library));
  }
  // The loader takes both for the end of a name.
  if (library.find_first_of(" :") != std::string::npos) {
    return Status(Code::kInvalidArgument, "preload_path",
                  fmt::format("{} cannot be preloaded: its path has a space or a colon; move the "
                              "package, or use --inject replace",
                              library));
  }
  // The loader starts a program without what it cannot preload, and so without limits.
  void* const loaded = dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (loaded == nullptr) {
    return Status(Code::kFailedPrecondition, "preload_unusable",
                  fmt::format("{} cannot be preloaded: {}; install the package again, or use "
                              "--inject replace",
                              library, dlerror()));
  }
  dlclose(loaded);
  return library;
}

// What each backend offers on each card, with the reason.
void AddOffers(vgpu::Node* node, const std::vector<vgpu::CardInfo>& cards,
               planner::Report* report) {
  planner::ReportTable& table = report->Table(
      "backends", {{"card", ""}, {"backend", ""}, {"holds", ""}, {"works", ""}, {"reason", ""}},
      "what can enforce a slice");
  for (const vgpu::CardInfo& card : cards) {
    for (const vgpu::Offer& offer : node->Offers(card).offers) {
      table.Row({static_cast<std::int64_t>(card.index), offer.backend, offer.holds, offer.works,
                 offer.reason});
    }
  }
}

}  // namespace

int NodeRun(const std::vector<std::string>& arguments) {
  constexpr const char* kName = "brim node run";
  std::string folder = vgpu::Node::DefaultFolder();
  std::string slice;
  std::string inject = "replace";
  // What follows "--" is the program's own.
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  const std::vector<std::string> own(arguments.begin(), end);
  std::vector<std::string> program(end == arguments.end() ? end : end + 1, arguments.end());
  CLI::App app("Runs a program in a slice: brim node run --slice NAME -- COMMAND ARGUMENTS", kName);
  AddNodeFolder(&app, &folder);
  app.add_option("--slice", slice, "Name of the slice.")->required();
  app.add_option("--inject", inject,
                 "replace: our libcuda.so.1 is found first; preload: one library is preloaded, for "
                 "programs that find the driver by a path of their own.")
      ->check(CLI::IsMember({"replace", "preload"}))
      ->capture_default_str();
  const CommandLine parsed = ParseCommandLine(&app, own);
  if (!parsed.run) return parsed.exit_code;
  if (program.empty()) {
    std::fprintf(stderr,
                 "%s: no command: put it behind `--`, as in `%s --slice %s -- nvidia-smi`\n", kName,
                 kName, slice.c_str());
    return 2;
  }
  Result<vgpu::Node> node = OpenNode(folder, false);
  if (!node.ok()) return FailNode(kName, node.status());
  const vgpu::SliceSpec* spec = node->Find(slice);
  if (spec == nullptr) {
    return FailNode(
        kName,
        Status(Code::kNotFound, "slice_unknown",
               fmt::format("there is no slice '{}'; `brim node slices list` shows them", slice)));
  }
  if (const Status fault = node->Fault(slice); !fault.ok()) return FailNode(kName, fault);
  const std::string shim = ShimFolder();
  const std::string cuda = VendorPath("BRIM_REAL_LIBCUDA", "libcuda.so.1");
  if (shim.empty() || cuda.empty()) {
    return FailNode(
        kName, Status(Code::kNotFound, "no_library",
                      shim.empty() ? "the slice libraries are not beside this executable; "
                                     "`brim node doctor` says where they are looked for"
                                   : "this host has no libcuda.so.1: install the NVIDIA driver, "
                                     "or name the file in BRIM_REAL_LIBCUDA"));
  }
  const bool preload = inject == "preload";
  const Result<std::string> library = preload ? PreloadLibrary(shim) : std::string();
  if (!library.ok()) return FailNode(kName, library.status());
  // First: a backend that is asked may start a program of the driver's, which needs no slice.
  if (const Status entered = node->Enter(slice); !entered.ok()) return FailNode(kName, entered);
  spec = node->Find(slice);
  const vgpu::CardInfo* const card = node->Card(spec->card);
  setenv("BRIM_SLICE", node->SliceFolder(slice).c_str(), 1);
  setenv("BRIM_REAL_LIBCUDA", cuda.c_str(), 1);
  if (const std::string nvml = VendorPath("BRIM_REAL_LIBNVIDIA_ML", "libnvidia-ml.so.1");
      !nvml.empty()) {
    setenv("BRIM_REAL_LIBNVIDIA_ML", nvml.c_str(), 1);
  }
  if (card != nullptr) setenv("CUDA_VISIBLE_DEVICES", card->uuid.c_str(), 1);
  SetFirst(preload ? "LD_PRELOAD" : "LD_LIBRARY_PATH", preload ? *library : shim);
  std::vector<char*> argv;
  for (std::string& argument : program) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  std::fprintf(stderr, "%s: %s: %s\n", kName, argv[0], strerror(errno));
  return errno == ENOENT ? 127 : 126;
}

int NodeDoctor(const std::vector<std::string>& arguments) {
  constexpr const char* kName = "brim node doctor";
  std::string folder = vgpu::Node::DefaultFolder();
  bool json = false;
  CLI::App app("What this host has for slices, and what is missing.", kName);
  AddNodeFolder(&app, &folder);
  app.add_flag("--json", json, "Print JSON.");
  const CommandLine parsed = ParseCommandLine(&app, arguments);
  if (!parsed.run) return parsed.exit_code;
  planner::Report report(kName);
  bool good = true;
  const auto miss = [&](const std::string& what) {
    good = false;
    report.Note(what);
  };
  const std::string shim = ShimFolder();
  report.Text("slice_libraries", shim.empty() ? "missing" : shim);
  if (shim.empty()) {
    miss(
        "libcuda.so.1 of brim is not in ../lib/brim/slice or ../slice of this executable's folder: "
        "install the whole package, or build the target brim_shim_cuda.");
  }
  // Programs start without it too: only --inject preload needs it.
  if (!shim.empty()) {
    const Result<std::string> preload = PreloadLibrary(shim);
    report.Text("preload_library", preload.ok() ? *preload : "unusable");
    if (!preload.ok()) report.Note(preload.status().message());
  }
  const std::string cuda = VendorPath("BRIM_REAL_LIBCUDA", "libcuda.so.1");
  report.Text("driver_library", cuda.empty() ? "missing" : cuda);
  if (cuda.empty()) miss("No libcuda.so.1: install the NVIDIA driver (580 or later is tested).");
  const Result<vgpu::Probe> probe = vgpu::ProbeCards();
  if (!probe.ok()) {
    miss(probe.status().message());
  } else {
    report.Text("driver_version", probe->driver.driver_version);
    report.Text("cuda_version", probe->driver.cuda_version);
    planner::ReportTable& cards =
        report.Table("cards", {{"card", ""}, {"name", ""}, {"uuid", ""}, {"memory", "MiB"}});
    for (const vgpu::CardInfo& card : probe->cards) {
      cards.Row({static_cast<std::int64_t>(card.index), card.name, card.uuid,
                 static_cast<double>(card.memory >> 20)});
    }
    if (probe->cards.empty()) miss("The driver sees no card.");
  }
  Result<vgpu::Node> node = vgpu::Node::Open(folder);
  if (node.ok() && probe.ok()) AddOffers(&*node, probe->cards, &report);
  report.Text("dir", node.ok() ? folder : folder + ": " + node.status().message());
  for (std::size_t i = 0; node.ok() && i < node->state().slices.size(); ++i) {
    const Status fault = node->Fault(node->state().slices[i].name);
    if (!fault.ok()) miss(fault.message());
  }
  if (!node.ok()) miss("The node's folder cannot be used; --dir names another.");
  if (good) report.Note("All is there. `brim node slices create --help` shows the next step.");
  std::fputs((json ? report.ToJson() : report.ToText()).c_str(), stdout);
  return good ? 0 : 1;
}

}  // namespace brim::apps
