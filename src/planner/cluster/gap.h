// Bound and Gap: how far a plan is from what is provably possible. Every plan printed has one.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace brim::planner {

// A proven lower bound on the number of cards (or cores) that any plan needs.
struct Bound {
  std::string name;   // "area", "L2", "pattern LP", "aggregated LP", "fluid", ...
  double value = 0;   // Cards, before rounding.
  std::string means;  // One sentence: what is relaxed, so why it is a bound.

  // No plan uses fewer. The small term forgives the solver's tolerance.
  std::int64_t cards() const { return static_cast<std::int64_t>(std::ceil(value - 1e-6)); }
};

struct Gap {
  std::string bound;       // The tightest bound's name; empty without bounds.
  std::int64_t cards = 0;  // The plan's cards above it.
  double share = 0;        // The same over the bound; 0 when the bound is 0.
};

// REQUIRES: no bound exceeds plan_cards (a bound above a real plan is wrong; checked).
Gap GapTo(std::int64_t plan_cards, const std::vector<Bound>& bounds);

}  // namespace brim::planner
