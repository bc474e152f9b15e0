// Pods that ask for the same are one class, nodes that offer the same one type; a trace of 8,000
// pods on 1,213 nodes is 150 classes on 15 types. The LP says how many pods of each class stand on
// each type, in fractions, so that
//
//   CPU and memory of the type's nodes together hold them,
//   whole cards and cards filled by patterns (pattern_lp.h) together are no more than the type has,
//   shares of each size on the type are no more than its patterns hold,
//   and a pod stands only where an empty node would hold it (size and card model).
//
// It relaxes that a pod is on one node, and that CPU, memory and cards must be free on the same
// node. Patterns are generated per type. One set of constraints serves three questions, which
// differ in their extra columns: nodes used (fewest cards), copies of the whole mix (most copies),
// pods left out (does it fit).
//
// The proof is the same for all three. Any prices that are not negative can be made feasible from
// below: a card is worth at least its best pattern (an exact knapsack), and a pod is worth the
// cheapest sum of what it takes on any type. All in integers. By weak duality the pods' worth is at
// most that of the nodes that hold them: so worth(pods) / worth(nodes) bounds the copies, an excess
// proves that they do not fit, and so on.
#include "planner/bound/node_lp.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "planner/bound/linear_program.h"
#include "planner/bound/pattern_lp.h"

namespace brim::planner {
namespace {

__extension__ using Wide = __int128;

constexpr double kCore = 1000;  // Rows are in cores and GiB: numbers near 1 to 10,000.
constexpr double kGib = 1024;
constexpr double kLeftOut = 10'000;  // Cost of a pod left out where the goal is cards.
constexpr std::int32_t kRoundsMax = 500;
constexpr double kCardUnit = 0x1p40;  // A card's cost where the goal is cards.
constexpr double kNodeUnit = 0x1p50;  // The dearest node's worth otherwise.

enum class Goal : std::uint8_t { kCards, kCopies, kFit };

struct Rows {
  std::vector<int> pods;                // Per class.
  std::vector<int> cpu, memory, cards;  // Per type; cards -1 without any.
  std::vector<std::vector<int>> share;  // Per type and size; empty without cards.
};

double Cores(const Node& node) { return static_cast<double>(node.cpu_milli) / kCore; }
double Gib(const Node& node) { return static_cast<double>(node.memory_mib) / kGib; }

double Quotient(Wide above, Wide below) {
  return static_cast<double>(above / below) +
         static_cast<double>(above % below) / static_cast<double>(below);
}

std::int64_t Rounded(double price) {
  return static_cast<std::int64_t>(std::clamp(price, 0.0, 0x1p55));
}

}  // namespace

struct NodeLp::Model {
  std::vector<NodeType> types;
  std::vector<PodClass> classes;
  std::vector<std::int32_t> sizes;
  std::vector<std::int32_t> size_of;  // Per class: index into sizes, -1: none.
  std::vector<Pattern> seeds;
  std::unique_ptr<CardKnapsack> any;    // Any number of each size.
  std::unique_ptr<CardKnapsack> given;  // No more of a size than there are: tighter for few pods.
  std::int64_t iterations_max = 0;

  // The program of MayFit() is kept from question to question.
  struct Program;
  std::unique_ptr<Program> fit;
};

struct NodeLp::Model::Program {
  Program(const Model& model, Goal goal);

  void AddRows();
  void AddGoal();
  void AddPods();
  void AddPattern(std::size_t type, const Pattern& pattern);
  // Solves, prices, proves, until no pattern helps or `enough` says so.
  template <typename Enough>
  Result<NodeLpSolution> Run(Enough enough);
  NodePrices Prices(const std::vector<double>& duals, bool* better);
  void Guide(const LpSolution& solution, NodeLpSolution* answer) const;

  const Model& m;
  Goal goal;
  CardKnapsack& knapsack;
  LinearProgram lp;
  Rows rows;
  std::vector<std::vector<std::pair<std::size_t, int>>> pod_columns;  // Per class: type, column.
  std::vector<int> node_columns;                                      // Per type; goal kCards.
  std::vector<std::int64_t> counts;                                   // Per class.
};

NodeLp::Model::Program::Program(const Model& model, Goal g)
    : m(model), goal(g), knapsack(g == Goal::kCards ? *model.given : *model.any) {
  for (const PodClass& c : m.classes) counts.push_back(c.count);
  AddRows();
  AddGoal();
  AddPods();
  for (std::size_t t = 0; t < m.types.size(); ++t) {
    if (m.types[t].node.cards == 0) continue;
    for (const Pattern& pattern : m.seeds) AddPattern(t, pattern);
  }
}

void NodeLp::Model::Program::AddRows() {
  for (const std::int64_t count : counts) {
    const double least = goal == Goal::kCopies ? 0 : static_cast<double>(count);
    rows.pods.push_back(lp.AddRow(least, kLpInfinity));
  }
  for (const NodeType& type : m.types) {
    const double n = goal == Goal::kCards ? 0 : static_cast<double>(type.count);
    rows.cpu.push_back(lp.AddRow(-kLpInfinity, n * Cores(type.node)));
    rows.memory.push_back(lp.AddRow(-kLpInfinity, n * Gib(type.node)));
    rows.share.emplace_back();
    rows.cards.push_back(-1);
    if (type.node.cards == 0) continue;
    rows.cards.back() = lp.AddRow(-kLpInfinity, n * type.node.cards);
    for (std::size_t s = 0; s < m.sizes.size(); ++s) {
      rows.share.back().push_back(lp.AddRow(-kLpInfinity, 0));
    }
  }
}

void NodeLp::Model::Program::AddGoal() {
  if (goal == Goal::kCards) {
    for (std::size_t t = 0; t < m.types.size(); ++t) {
      const Node& node = m.types[t].node;
      std::vector<LpEntry> entries = {{rows.cpu[t], -Cores(node)}, {rows.memory[t], -Gib(node)}};
      if (node.cards > 0) entries.push_back({rows.cards[t], -static_cast<double>(node.cards)});
      const auto most = static_cast<double>(m.types[t].count);
      node_columns.push_back(lp.AddColumn(node.cards, 0, most, entries));
    }
  }
  if (goal == Goal::kCopies) {
    std::vector<LpEntry> entries;
    for (std::size_t p = 0; p < counts.size(); ++p) {
      entries.push_back({rows.pods[p], -static_cast<double>(counts[p])});
    }
    lp.AddColumn(-1, 0, kLpInfinity, entries);
    return;
  }
  // Whatever the patterns known so far, a pod left out keeps the program soluble.
  for (const int row : rows.pods) {
    lp.AddColumn(goal == Goal::kCards ? kLeftOut : 1, 0, kLpInfinity, {{{row, 1}}});
  }
}

void NodeLp::Model::Program::AddPods() {
  for (std::size_t p = 0; p < m.classes.size(); ++p) {
    const Pod& pod = m.classes[p].pod;
    pod_columns.emplace_back();
    for (std::size_t t = 0; t < m.types.size(); ++t) {
      if (!FitsEmpty(pod, m.types[t].node)) continue;
      std::vector<LpEntry> entries = {{rows.pods[p], 1},
                                      {rows.cpu[t], static_cast<double>(pod.cpu_milli) / kCore},
                                      {rows.memory[t], static_cast<double>(pod.memory_mib) / kGib}};
      if (m.size_of[p] >= 0) entries.push_back({rows.share[t][m.size_of[p]], 1});
      if (pod.whole()) entries.push_back({rows.cards[t], static_cast<double>(pod.cards)});
      pod_columns[p].emplace_back(t, lp.AddColumn(0, 0, kLpInfinity, entries));
    }
  }
}

void NodeLp::Model::Program::AddPattern(std::size_t type, const Pattern& pattern) {
  std::vector<LpEntry> entries = {{rows.cards[type], 1}};
  for (std::size_t s = 0; s < pattern.size(); ++s) {
    if (pattern[s] > 0) entries.push_back({rows.share[type][s], -static_cast<double>(pattern[s])});
  }
  lp.AddColumn(0, 0, kLpInfinity, entries);
}

// Rounds the duals to feasible integer prices, and adds the patterns that were worth more than a
// card; `better` says whether there were any.
NodePrices NodeLp::Model::Program::Prices(const std::vector<double>& duals, bool* better) {
  double unit = kCardUnit;
  if (goal != Goal::kCards) {
    double dearest = 1e-30;
    for (std::size_t t = 0; t < m.types.size(); ++t) {
      const Node& node = m.types[t].node;
      double worth = -duals[rows.cpu[t]] * Cores(node) - duals[rows.memory[t]] * Gib(node);
      if (node.cards > 0) worth -= duals[rows.cards[t]] * node.cards;
      dearest = std::max(dearest, worth);
    }
    unit = kNodeUnit / dearest;
  }
  NodePrices prices;
  *better = false;
  for (std::size_t t = 0; t < m.types.size(); ++t) {
    prices.cpu_milli.push_back(Rounded(-duals[rows.cpu[t]] / kCore * unit));
    prices.memory_mib.push_back(Rounded(-duals[rows.memory[t]] / kGib * unit));
    prices.card.push_back(0);
    prices.share.emplace_back();
    if (rows.cards[t] < 0) continue;
    const std::int64_t card = Rounded(-duals[rows.cards[t]] * unit);
    // Bounded so that a card's shares together stay far from overflow.
    for (const int row : rows.share[t]) {
      prices.share[t].push_back(std::min(Rounded(-duals[row] * unit), std::int64_t{1} << 50));
    }
    const std::int64_t best = knapsack.Solve(prices.share[t]);
    prices.card[t] = std::max(card, best);
    const double excess = static_cast<double>(best - card);
    if (excess <= 1e-7 * unit && excess <= 1e-7 * static_cast<double>(card)) continue;
    if (excess <= 1e-9 * static_cast<double>(best)) continue;
    *better = true;
    AddPattern(t, knapsack.Best());
  }
  for (std::size_t p = 0; p < m.classes.size(); ++p) {
    const Pod& pod = m.classes[p].pod;
    Wide cheapest = std::numeric_limits<std::int64_t>::max();
    for (const auto& [t, column] : pod_columns[p]) {
      Wide worth =
          Wide{prices.cpu_milli[t]} * pod.cpu_milli + Wide{prices.memory_mib[t]} * pod.memory_mib;
      if (m.size_of[p] >= 0) worth += prices.share[t][m.size_of[p]];
      if (pod.whole()) worth += Wide{prices.card[t]} * pod.cards;
      cheapest = std::min(cheapest, worth);
    }
    prices.pod.push_back(static_cast<std::int64_t>(cheapest));
  }
  return prices;
}

void NodeLp::Model::Program::Guide(const LpSolution& solution, NodeLpSolution* answer) const {
  answer->pods.assign(m.classes.size(), std::vector<double>(m.types.size(), 0));
  for (std::size_t p = 0; p < m.classes.size(); ++p) {
    for (const auto& [t, column] : pod_columns[p]) answer->pods[p][t] = solution.columns[column];
  }
  for (std::size_t t = 0; t < m.types.size(); ++t) {
    answer->nodes.push_back(goal == Goal::kCards ? solution.columns[node_columns[t]]
                                                 : static_cast<double>(m.types[t].count));
  }
}

namespace {

struct Worths {
  Wide pods = 0;   // Of all the pods.
  Wide nodes = 0;  // Of all the nodes.
  Wide spare = 0;  // Sum over the types of count * min(0, a node's cost - its worth).
};

Worths Weigh(const NodePrices& prices, const std::vector<std::int64_t>& counts,
             const std::vector<NodeType>& types) {
  Worths worths;
  for (std::size_t p = 0; p < counts.size(); ++p) worths.pods += Wide{prices.pod[p]} * counts[p];
  for (std::size_t t = 0; t < types.size(); ++t) {
    const Node& node = types[t].node;
    const Wide worth = Wide{prices.cpu_milli[t]} * node.cpu_milli +
                       Wide{prices.memory_mib[t]} * node.memory_mib +
                       Wide{prices.card[t]} * node.cards;
    worths.nodes += worth * types[t].count;
    const Wide cost = static_cast<Wide>(kCardUnit) * node.cards;
    worths.spare += std::min(Wide{0}, cost - worth) * types[t].count;
  }
  return worths;
}

}  // namespace

template <typename Enough>
Result<NodeLpSolution> NodeLp::Model::Program::Run(Enough enough) {
  NodeLpSolution answer;
  answer.value = goal == Goal::kCards ? 0 : kLpInfinity;
  for (answer.rounds = 1; answer.rounds <= kRoundsMax; ++answer.rounds) {
    BRIM_ASSIGN_OR_RETURN(const LpSolution solution, lp.Minimise(m.iterations_max));
    bool better = false;
    NodePrices prices = Prices(solution.duals, &better);
    const Worths worths = Weigh(prices, counts, m.types);
    // kCards: the cards. Otherwise: the copies; below 1 the pods do not fit.
    const double value =
        goal == Goal::kCards
            ? Quotient(worths.pods + worths.spare, static_cast<Wide>(kCardUnit))
            : (worths.pods > 0 ? Quotient(worths.nodes, worths.pods) : kLpInfinity);
    answer.objective = solution.objective;
    const bool tighter = goal == Goal::kCards ? value > answer.value : value < answer.value;
    if (tighter || answer.rounds == 1) {
      answer.value = goal == Goal::kCards ? std::max(value, 0.0) : value;
      answer.prices = std::move(prices);
    }
    if (better && answer.rounds < kRoundsMax && !enough(answer)) continue;
    Guide(solution, &answer);
    break;
  }
  return answer;
}

NodeLp::NodeLp(std::unique_ptr<Model> model) : model_(std::move(model)) {}
NodeLp::NodeLp(NodeLp&&) noexcept = default;
NodeLp& NodeLp::operator=(NodeLp&&) noexcept = default;
NodeLp::~NodeLp() = default;

const std::vector<NodeType>& NodeLp::types() const { return model_->types; }
const std::vector<PodClass>& NodeLp::classes() const { return model_->classes; }
const std::vector<std::int32_t>& NodeLp::sizes() const { return model_->sizes; }

Result<NodeLp> NodeLp::Make(std::vector<NodeType> types, std::vector<PodClass> classes,
                            std::int64_t iterations_max) {
  auto model = std::make_unique<Model>();
  model->types = std::move(types);
  model->classes = std::move(classes);
  model->iterations_max = iterations_max;
  std::vector<SizeCount> shares;
  for (const PodClass& c : model->classes) {
    const auto fits = [&](const NodeType& type) { return FitsEmpty(c.pod, type.node); };
    if (std::none_of(model->types.begin(), model->types.end(), fits)) {
      return Status(Code::kInvalidArgument, "pod_too_large",
                    fmt::format("no node, even empty, holds a pod of {} milli-cores, {} MiB and "
                                "{} x {} milli-cards",
                                c.pod.cpu_milli, c.pod.memory_mib, c.pod.cards, c.pod.card_milli));
    }
    if (c.pod.cards == 1 && !c.pod.whole()) shares.push_back({c.pod.card_milli, c.count});
  }
  BRIM_ASSIGN_OR_RETURN(const PatternLp patterns, SolvePatternLp(shares, iterations_max));
  model->seeds = patterns.patterns;
  for (const SizeCount& size : patterns.sizes) model->sizes.push_back(size.milli);
  std::vector<std::int64_t> copies;
  for (const SizeCount& size : patterns.sizes) copies.push_back(size.count);
  model->given = std::make_unique<CardKnapsack>(model->sizes, copies);
  copies.assign(copies.size(), kCardMilli);
  model->any = std::make_unique<CardKnapsack>(model->sizes, copies);
  for (const PodClass& c : model->classes) {
    const auto at = std::lower_bound(model->sizes.begin(), model->sizes.end(), c.pod.card_milli);
    const bool share = c.pod.cards == 1 && !c.pod.whole() && at != model->sizes.end();
    model->size_of.push_back(share ? static_cast<std::int32_t>(at - model->sizes.begin()) : -1);
  }
  return NodeLp(std::move(model));
}

Result<NodeLpSolution> NodeLp::FewestCards() {
  std::vector<std::int64_t> counts;
  for (const PodClass& c : model_->classes) counts.push_back(c.count);
  Model::Program program(*model_, Goal::kCards);
  BRIM_ASSIGN_OR_RETURN(NodeLpSolution solution,
                        program.Run([](const NodeLpSolution&) { return false; }));
  double cards = 0;
  for (std::size_t t = 0; t < model_->types.size(); ++t) {
    cards += solution.nodes[t] * model_->types[t].node.cards;
  }
  if (solution.objective > cards + 1) {  // Something was left out.
    BRIM_ASSIGN_OR_RETURN(const bool fits, MayFit(counts));
    if (!fits) {
      return Status(Code::kResourceExhausted, "set_too_large",
                    "the nodes cannot hold these pods, however they are placed: add nodes or "
                    "leave pods out");
    }
  }
  return solution;
}

Result<NodeLpSolution> NodeLp::MostCopies() {
  Model::Program program(*model_, Goal::kCopies);
  return program.Run([](const NodeLpSolution&) { return false; });
}

Result<bool> NodeLp::MayFit(std::span<const std::int64_t> counts) {
  BRIM_CHECK(counts.size() == model_->classes.size());
  if (model_->fit == nullptr) {
    model_->fit = std::make_unique<Model::Program>(*model_, Goal::kFit);
  }
  Model::Program& program = *model_->fit;
  for (std::size_t p = 0; p < counts.size(); ++p) {
    program.counts[p] = counts[p];
    program.lp.SetRow(program.rows.pods[p], static_cast<double>(counts[p]), kLpInfinity);
  }
  const auto decided = [](const NodeLpSolution& answer) {
    return answer.value < 1 || answer.objective < 1e-6;
  };
  BRIM_ASSIGN_OR_RETURN(const NodeLpSolution solution, program.Run(decided));
  return solution.value >= 1;
}

bool FitsEmpty(const Pod& pod, const Node& node) {
  if (pod.cpu_milli > node.cpu_milli || pod.memory_mib > node.memory_mib) return false;
  if (pod.cards == 0) return true;
  if (pod.cards > node.cards) return false;
  if (pod.card_models != 0 &&
      (node.card_model < 0 || (pod.card_models >> node.card_model & 1) == 0)) {
    return false;
  }
  return node.card_memory_mib == 0 || pod.card_memory_mib <= node.card_memory_mib;
}

std::vector<NodeType> NodeTypes(const Cluster& cluster) {
  std::vector<NodeType> types;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int32_t, std::int32_t, std::int64_t>,
           std::size_t>
      known;
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
    const Node& node = cluster.nodes[i];
    const auto [at, fresh] = known.try_emplace(
        {node.cpu_milli, node.memory_mib, node.cards, node.card_model, node.card_memory_mib},
        types.size());
    if (fresh) {
      types.push_back({node, 0, {}});
      types.back().node.name.clear();
    }
    ++types[at->second].count;
    types[at->second].nodes.push_back(static_cast<std::int32_t>(i));
  }
  return types;
}

std::vector<PodClass> PodClasses(std::span<const Pod> pods, std::vector<std::int32_t>* class_of) {
  std::vector<PodClass> classes;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int32_t, std::int32_t, std::int64_t,
                      std::uint64_t>,
           std::size_t>
      known;
  if (class_of != nullptr) class_of->clear();
  for (const Pod& pod : pods) {
    const auto [at, fresh] =
        known.try_emplace({pod.cpu_milli, pod.memory_mib, pod.cards, pod.card_milli,
                           pod.card_memory_mib, pod.card_models},
                          classes.size());
    if (fresh) {
      classes.push_back({pod, 0});
      classes.back().pod.name.clear();
      classes.back().pod.owner.clear();
    }
    ++classes[at->second].count;
    if (class_of != nullptr) class_of->push_back(static_cast<std::int32_t>(at->second));
  }
  return classes;
}

Result<std::size_t> LongestPrefix(const Cluster& cluster, std::span<const Pod> pods,
                                  const Progress& progress) {
  std::vector<std::int32_t> class_of;
  std::vector<PodClass> classes = PodClasses(pods, &class_of);
  const std::size_t kinds = classes.size();
  BRIM_ASSIGN_OR_RETURN(NodeLp lp, NodeLp::Make(NodeTypes(cluster), std::move(classes)));
  std::size_t fits = 0, fails = pods.size() + 1;
  for (std::int64_t step = 0; fits + 1 < fails; ++step) {
    if (progress) progress("longest prefix", step, 15);
    const std::size_t middle = fits + (fails - fits) / 2;
    std::vector<std::int64_t> counts(kinds, 0);
    for (std::size_t i = 0; i < middle; ++i) ++counts[class_of[i]];
    BRIM_ASSIGN_OR_RETURN(const bool may_fit, lp.MayFit(counts));
    (may_fit ? fits : fails) = middle;
  }
  return fits;
}

}  // namespace brim::planner
