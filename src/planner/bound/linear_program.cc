#include "planner/bound/linear_program.h"

#include <interfaces/highs_c_api.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "base/check.h"

namespace brim::planner {

// The C interface: sanitised builds mark standard containers, the archive does not, so none may
// cross. HiGHS may throw (out of memory); what it throws ends in Minimise() or in a CHECK.
struct LinearProgram::Solver {
  Solver() : highs(Highs_create()) {
    BRIM_CHECK(highs != nullptr);
    Set(Highs_setBoolOptionValue(highs, "output_flag", 0));
    Set(Highs_setIntOptionValue(highs, "threads", 1));
    Set(Highs_setStringOptionValue(highs, "parallel", "off"));
    Set(Highs_setStringOptionValue(highs, "solver", "simplex"));
    // Presolve would throw the last basis away, which is most of what re-solving saves.
    Set(Highs_setStringOptionValue(highs, "presolve", "off"));
  }
  ~Solver() { Highs_destroy(highs); }
  Solver(const Solver&) = delete;
  Solver& operator=(const Solver&) = delete;

  static void Set(HighsInt status) { BRIM_CHECK(status != kHighsStatusError); }

  void* highs;
};

LinearProgram::LinearProgram() : solver_(std::make_unique<Solver>()) {}
LinearProgram::~LinearProgram() = default;
LinearProgram::LinearProgram(LinearProgram&&) noexcept = default;
LinearProgram& LinearProgram::operator=(LinearProgram&&) noexcept = default;

int LinearProgram::AddRow(double lower, double upper) {
  Solver::Set(Highs_addRow(solver_->highs, lower, upper, 0, nullptr, nullptr));
  return rows_++;
}

int LinearProgram::AddColumn(double cost, double lower, double upper,
                             std::span<const LpEntry> entries) {
  std::vector<HighsInt> rows(entries.size());
  std::vector<double> values(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    rows[i] = entries[i].row;
    values[i] = entries[i].value;
  }
  Solver::Set(Highs_addCol(solver_->highs, cost, lower, upper,
                           static_cast<HighsInt>(entries.size()), rows.data(), values.data()));
  return columns_++;
}

void LinearProgram::SetRow(int row, double lower, double upper) {
  Solver::Set(Highs_changeRowBounds(solver_->highs, row, lower, upper));
}

void LinearProgram::SetColumn(int column, double lower, double upper) {
  Solver::Set(Highs_changeColBounds(solver_->highs, column, lower, upper));
}

namespace {

Status Verdict(HighsInt model_status) {
  if (model_status == kHighsModelStatusOptimal || model_status == kHighsModelStatusModelEmpty) {
    return OkStatus();
  }
  if (model_status == kHighsModelStatusInfeasible) {
    return Status(Code::kFailedPrecondition, "lp_infeasible",
                  "the linear program has no solution: its demands do not fit its capacities");
  }
  if (model_status == kHighsModelStatusUnbounded ||
      model_status == kHighsModelStatusUnboundedOrInfeasible) {
    return Status(Code::kFailedPrecondition, "lp_unbounded",
                  "the linear program has no least value");
  }
  if (model_status == kHighsModelStatusIterationLimit ||
      model_status == kHighsModelStatusTimeLimit) {
    return Status(Code::kResourceExhausted, "lp_limit",
                  "the linear program was not solved within its limit of iterations");
  }
  return Status(Code::kInternal, "lp_solver",
                "the LP solver ended with status " + std::to_string(model_status));
}

}  // namespace

Result<LpSolution> LinearProgram::Minimise(std::int64_t iterations_max) {
  void* highs = solver_->highs;
  LpSolution solution;
  solution.columns.resize(columns_);
  solution.duals.resize(rows_);
  std::vector<double> reduced(columns_), activity(rows_);
  try {
    constexpr std::int64_t kMost = 1'000'000'000;
    Solver::Set(Highs_setIntOptionValue(
        highs, "simplex_iteration_limit",
        static_cast<HighsInt>(std::clamp<std::int64_t>(iterations_max, 0, kMost))));
    if (Highs_run(highs) == kHighsStatusError) {
      return Status(Code::kInternal, "lp_solver", "the LP solver refused the program");
    }
    BRIM_RETURN_IF_ERROR(Verdict(Highs_getModelStatus(highs)));
    Highs_getSolution(highs, solution.columns.data(), reduced.data(), activity.data(),
                      solution.duals.data());
    solution.objective = Highs_getObjectiveValue(highs);
  } catch (const std::exception& error) {
    return Status(Code::kInternal, "lp_solver", error.what());
  }
  return solution;
}

const char* LpSolverVersion() { return Highs_version(); }

}  // namespace brim::planner
