// The node-type LP: pods of few classes on nodes of few types, with CPU, memory, cards, card models
// and, for shares, patterns of a card. The strongest bound here on a whole cluster, and a guide to
// which pods belong on which nodes.
//
// Pure, one thread, same answer every time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "planner/bound/bound.h"
#include "planner/bound/card_knapsack.h"
#include "planner/cluster/cluster.h"

namespace brim::planner {

// Nodes that differ in nothing but their name. The name is empty.
struct NodeType {
  Node node;
  std::int64_t count = 0;
  std::vector<std::int32_t> nodes;  // Indices into Cluster::nodes, ascending.
};
// Pods that ask for the same. Name, owner and times are not kept.
struct PodClass {
  Pod pod;
  std::int64_t count = 0;
};

// In order of appearance.
std::vector<NodeType> NodeTypes(const Cluster& cluster);
// `class_of`, if not null, gets each pod's class.
std::vector<PodClass> PodClasses(std::span<const Pod> pods, std::vector<std::int32_t>* class_of);
// Whether an empty node of the type holds the pod.
bool FitsEmpty(const Pod& pod, const Node& node);

// What a unit of each resource of a node type is worth, and each pod: the LP's dual prices, rounded
// to integers that are feasible exactly: no pod is worth more than what it takes on any node it
// fits, no card's shares more than a card.
struct NodePrices {
  std::vector<std::int64_t> pod;                          // Per class.
  std::vector<std::int64_t> cpu_milli, memory_mib, card;  // Per type.
  std::vector<std::vector<std::int64_t>> share;           // Per type, per size.
};

struct NodeLpSolution {
  double value = 0;      // Proven; see the function.
  double objective = 0;  // The solver's own; only a hint.
  NodePrices prices;
  std::vector<std::vector<double>> pods;  // [class][type]: pods of the class there.
  std::vector<double> nodes;              // Per type: nodes used.
  std::int32_t rounds = 0;
};

class NodeLp {
 public:
  // INVALID_ARGUMENT (pod_too_large): a class fits no type.
  static Result<NodeLp> Make(std::vector<NodeType> types, std::vector<PodClass> classes,
                             std::int64_t iterations_max = 1'000'000);
  NodeLp(NodeLp&&) noexcept;
  NodeLp& operator=(NodeLp&&) noexcept;
  ~NodeLp();

  // Lower bound on the cards of the nodes used, all pods placed. RESOURCE_EXHAUSTED
  // (set_too_large): they cannot be.
  Result<NodeLpSolution> FewestCards();
  // Upper bound on how many times the given pods fit, all in proportion.
  Result<NodeLpSolution> MostCopies();
  // Whether so many pods of each class could fit: false is proven.
  Result<bool> MayFit(std::span<const std::int64_t> counts);

  const std::vector<NodeType>& types() const;
  const std::vector<PodClass>& classes() const;
  const std::vector<std::int32_t>& sizes() const;  // Of shares, ascending.

 private:
  struct Model;
  explicit NodeLp(std::unique_ptr<Model> model);
  std::unique_ptr<Model> model_;
};

// The most pods from the front of the stream that could all be placed: the next one is refused by
// any scheduler, even one that knew the stream. At most pods.size().
Result<std::size_t> LongestPrefix(const Cluster& cluster, std::span<const Pod> pods,
                                  const Progress& progress = {});

}  // namespace brim::planner
