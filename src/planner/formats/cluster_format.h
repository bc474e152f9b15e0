// Reads nodes and pods from text in any of the known formats, told apart by their columns:
//
//   nodes  ours (CSV or JSON), openb_node_list of the 2023 trace, node_info_df of the 2026 one
//   pods   ours (CSV or JSON), openb_pod_list of the 2023 trace, the DLRM trace of 2025
//
// docs/planner.md describes ours. Everything wrong is `file:line: what, and what was expected`.
// A pod that no node can hold is no error here: a plan refuses it and says so.
// Pure: text in, values out; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "planner/cluster/cluster.h"

namespace brim::planner {

struct PlanInput {
  Cluster cluster;
  std::vector<Pod> pods;  // In the file's order.
  // At most so many pods of one owner on one node, per pod; 0: no limit. Empty if the format has
  // no such column (only the DLRM trace does; its owner is the application).
  std::vector<std::int32_t> owner_per_node_max;
  std::string node_format, pod_format;  // "openb nodes (Alibaba 2023)"; empty if not read.
  std::vector<std::string> notes;       // What a reader should know: columns not used, order, ...
};

// A file's name, for messages, and all of its text.
struct InputText {
  std::string file;
  std::string_view text;
};

// Names in both are unique. Card models keep one index in both: Cluster::card_models has the nodes'
// first, in order of appearance, then those that only pods name.
Result<PlanInput> ReadCluster(const InputText& nodes, const InputText& pods);

// Nodes alone, or pods alone (then the cluster has card models but no nodes).
Result<PlanInput> ReadNodes(const InputText& nodes);
Result<PlanInput> ReadPods(const InputText& pods);

// Where pods stand now, in the order of input.pods: CSV or JSON with the columns pod, node, cards
// (indices joined by '|', empty for a pod without cards); what `brim plan pack --layout FILE`
// writes. A pod that is not named stands nowhere. Checks names and indices, not that it fits.
Result<std::vector<Spot>> ReadLayout(const InputText& layout, const PlanInput& input);
// The same as CSV text. REQUIRES: one spot per pod.
std::string LayoutCsv(const PlanInput& input, const std::vector<Spot>& spots);

}  // namespace brim::planner
