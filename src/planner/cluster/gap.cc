// The tightest of several bounds, and a plan's distance from it. Pure; any thread.
#include "planner/cluster/gap.h"

#include "base/check.h"

namespace brim::planner {

Gap GapTo(std::int64_t plan_cards, const std::vector<Bound>& bounds) {
  const Bound* tightest = nullptr;
  for (const Bound& bound : bounds) {
    BRIM_CHECK(bound.cards() <= plan_cards);
    if (tightest == nullptr || bound.value > tightest->value) tightest = &bound;
  }
  if (tightest == nullptr) return {};
  const std::int64_t cards = plan_cards - tightest->cards();
  const double share = tightest->cards() == 0
                           ? 0
                           : static_cast<double>(cards) / static_cast<double>(tightest->cards());
  return {tightest->name, cards, share};
}

}  // namespace brim::planner
