// Decides with how many rows a batch is run: as many as it has, or padded to the number that its
// copy ran last.
//
// Problem: a runtime with dynamic shapes prepares its graph anew whenever the shape differs from
// that of the run before (OpenVINO on a small MLP: 27 us, beside a run of 12 us for one row and 18
// for eight), and batches of what happens to come together differ nearly every time.
// Idea: keep to one size while it fits. A larger batch needs a larger size at once. A smaller size
// is taken when, since the last change, it would have saved what the change costs: so that whatever
// comes, no more than about as much again is paid as by who knew it before (the argument of rent or
// buy; Borodin, Linial, Saks: "An optimal online algorithm for metrical task systems", 1992).
// Sizes are powers of two. Both costs are measured; a size that was not yet run is taken to cost no
// more than the next smaller one that was, and so gets tried. A runtime that does not mind changes
// never pads.
// Pure: no lock, no clock, no heap; time O(sizes).
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"
#include "serving/batch_policy.h"

namespace brim::serving {

// What is remembered of one copy between its runs; whoever holds the copy uses it.
struct RowsRun {
  std::uint32_t rows = 0;  // Of the last run; 0: not known.
  // By power of two below `rows`: what that size would have saved since the last change.
  std::array<double, RowCosts::kBuckets> saved_ns{};
};

struct PaddingState {
  std::uint32_t rows = 1;      // Of the batch.
  std::uint32_t rows_max = 1;  // No run is padded to more.
  RowCosts costs;              // Of runs whose shape had not changed.
  Duration change{0};          // What a change of shape adds; zero: not known.
};

// ENSURES: at least state.rows. Writes what is to be remembered for it.
std::uint32_t ChooseRows(const PaddingState& state, RowsRun* last);

}  // namespace brim::serving
