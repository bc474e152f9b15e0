// LinearProgram: a linear program that grows row by row and column by column, and is solved again
// from where the last solution stood. The LP library (HiGHS) stays behind this header.
//
//   LinearProgram lp;
//   const int row = lp.AddRow(3, kLpInfinity);
//   lp.AddColumn(1, 0, kLpInfinity, {{{row, 2}}});
//   BRIM_ASSIGN_OR_RETURN(const LpSolution solution, lp.Minimise(10'000));
//
// Simplex method, one thread, no output, bounded iterations: the same answer every time. Move-only,
// one thread at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"

namespace brim::planner {

inline constexpr double kLpInfinity = std::numeric_limits<double>::infinity();

struct LpEntry {
  int row = 0;
  double value = 0;
};

// Right to the solver's tolerance (1e-7) only: a hint, never a proof.
struct LpSolution {
  double objective = 0;
  std::vector<double> columns;  // The variables.
  std::vector<double> duals;    // Per row: what one more unit of its bound costs.
};

class LinearProgram {
 public:
  LinearProgram();
  ~LinearProgram();
  LinearProgram(LinearProgram&&) noexcept;
  LinearProgram& operator=(LinearProgram&&) noexcept;

  // lower <= sum of the row's entries <= upper; an infinity leaves that side open. The row's index.
  int AddRow(double lower, double upper);
  // REQUIRES: every entry's row exists, none twice, lower <= upper. The column's index.
  int AddColumn(double cost, double lower, double upper, std::span<const LpEntry> entries);
  void SetRow(int row, double lower, double upper);
  void SetColumn(int column, double lower, double upper);

  int rows() const { return rows_; }
  int columns() const { return columns_; }

  // FAILED_PRECONDITION (lp_infeasible, lp_unbounded): no least value exists. RESOURCE_EXHAUSTED
  // (lp_limit): not found in so many iterations. INTERNAL (lp_solver): the solver refused.
  Result<LpSolution> Minimise(std::int64_t iterations_max);

 private:
  struct Solver;
  std::unique_ptr<Solver> solver_;
  int rows_ = 0;
  int columns_ = 0;
};

// "1.15.1"
const char* LpSolverVersion();

}  // namespace brim::planner
