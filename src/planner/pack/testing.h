// Small random clusters and pods for this folder's tests. One thread.
#pragma once

#include <string>
#include <vector>

#include "planner/cluster/cluster.h"
#include "planner/cluster/random.h"

namespace brim::planner {

inline Cluster RandomCluster(Random* random, std::int32_t nodes) {
  Cluster cluster;
  cluster.card_models = {"A", "B"};
  const std::int32_t cards[] = {0, 1, 2, 4, 8};
  for (std::int32_t i = 0; i < nodes; ++i) {
    Node node;
    node.name = "n" + std::to_string(i);
    node.cards = cards[random->Below(5)];
    node.card_model = node.cards == 0 ? -1 : static_cast<std::int32_t>(random->Below(2));
    node.cpu_milli = 8000 * (1 + static_cast<std::int64_t>(random->Below(8)));
    node.memory_mib = 1000 * (1 + static_cast<std::int64_t>(random->Below(8)));
    if (random->Below(2) == 0 && node.cards > 0) node.card_memory_mib = 16000;
    cluster.nodes.push_back(node);
  }
  return cluster;
}

// Pods of few types, so that types repeat.
inline std::vector<Pod> RandomPods(Random* random, std::int32_t count) {
  std::vector<Pod> types;
  for (int i = 0; i < 12; ++i) {
    Pod pod;
    pod.cpu_milli = 500 * static_cast<std::int64_t>(random->Below(30));
    pod.memory_mib = 50 * static_cast<std::int64_t>(random->Below(20));
    const std::uint64_t kind = random->Below(8);
    if (kind > 0) {
      pod.cards = kind == 7 ? 2 + static_cast<std::int32_t>(random->Below(3)) : 1;
      pod.card_milli =
          kind >= 5 ? kCardMilli : 10 * (1 + static_cast<std::int32_t>(random->Below(100)));
      if (random->Below(3) == 0) pod.card_memory_mib = 6000;
      if (random->Below(4) == 0) pod.card_models = 1 + random->Below(2);
    }
    types.push_back(pod);
  }
  std::vector<Pod> pods;
  for (std::int32_t i = 0; i < count; ++i) {
    pods.push_back(types[random->Below(types.size())]);
    pods.back().name = "p" + std::to_string(i);
  }
  return pods;
}

}  // namespace brim::planner
