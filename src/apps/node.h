// `brim node`: slices of this host's GPU cards. One file per group of subcommands: node.cc (the
// agent), node_slices.cc (create, list, show, resize, remove), node_run.cc (run, doctor).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "vgpu/agent/node.h"

namespace CLI {
class App;
}

namespace brim::apps {

// `arguments` without "brim node". Returns the exit code: 0 done, 1 it failed, 2 the command line
// is wrong; of `run` that of the program.
int Node(const std::vector<std::string>& arguments);

int NodeSlices(const std::vector<std::string>& arguments);
int NodeRun(const std::vector<std::string>& arguments);
int NodeDoctor(const std::vector<std::string>& arguments);

// --dir, which every subcommand has.
void AddNodeFolder(CLI::App* app, std::string* folder);
// Opens the node; with `probe` asks the driver for the cards first, where there is one.
Result<vgpu::Node> OpenNode(const std::string& folder, bool probe);
// Prints "brim node ...: <message>"; returns 1.
int FailNode(const char* command, const Status& status);
// The folder with our libcuda.so.1 and libnvidia-ml.so.1, beside this executable; empty: none.
std::string ShimFolder();

}  // namespace brim::apps
