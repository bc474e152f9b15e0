// The cluster's sums. Pure; any thread.
#include "planner/cluster/cluster.h"

namespace brim::planner {

std::int64_t Cluster::cards() const {
  std::int64_t sum = 0;
  for (const Node& node : nodes) sum += node.cards;
  return sum;
}

}  // namespace brim::planner
