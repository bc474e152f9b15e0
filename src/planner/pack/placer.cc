// The memo of scores, and the choice among them.
//
// Problem: a score costs tens of nanoseconds to microseconds, and every arrival asks it of every
// node. Idea: an arrival changes one node, and pods come in few types. Keep a row of scores for
// each type and a log of changed nodes; before a row is used, score again only the nodes in the
// part of the log that it has not seen. A score is then computed once for each (type, change), and
// a choice is one pass over a row of integers. Nodes of equal capacity with nothing on them have
// equal scores, so a new row costs one score for each kind of node and one for each node in use.
// Memory: 4 bytes for each type and node, bounded; the row used longest ago goes first.
#include "planner/pack/placer.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/check.h"

namespace brim::planner {
namespace {

constexpr std::int32_t kUnfit = std::numeric_limits<std::int32_t>::min();

std::vector<std::int32_t> FirstAlike(const Cluster& cluster) {
  std::map<std::tuple<std::int64_t, std::int64_t, std::int32_t, std::int32_t, std::int64_t>,
           std::int32_t>
      first;
  std::vector<std::int32_t> alike(cluster.nodes.size());
  for (std::size_t i = 0; i < alike.size(); ++i) {
    const Node& node = cluster.nodes[i];
    const auto key = std::tuple(node.cpu_milli, node.memory_mib, node.cards, node.card_model,
                                node.card_memory_mib);
    alike[i] = first.try_emplace(key, static_cast<std::int32_t>(i)).first->second;
  }
  return alike;
}

}  // namespace

std::vector<ScoreTerm> NodeScorer::Terms(const Pod& pod, std::int32_t node) {
  return {{"score", static_cast<double>(Score(pod, node))}};
}

void NodeScorer::Changed(std::int32_t) {}

Misfit Choice::nearest() const {
  for (std::int32_t i = kMisfits - 1; i > 0; --i) {
    if (misfits[i] > 0) return static_cast<Misfit>(i);
  }
  return Misfit::kNone;
}

Placer::Placer(const Occupancy& occupancy, NodeScorer& scorer, const PlacerOptions& options)
    : occupancy_(occupancy),
      scorer_(scorer),
      ties_(options.ties),
      rows_max_(std::max<std::size_t>(
          1, options.memo_bytes_max / (sizeof(std::int32_t) *
                                       static_cast<std::size_t>(std::max(1, occupancy.nodes()))))),
      random_(options.seed),
      alike_(FirstAlike(occupancy.cluster())),
      stamps_(alike_.size(), 0) {}

void Placer::Changed(std::int32_t node) {
  scorer_.Changed(node);
  // A row further behind than the log reaches is built anew, which costs no more.
  if (changes_.size() >= 4 * stamps_.size() + 64) {
    const std::size_t drop = changes_.size() / 2;
    changes_.erase(changes_.begin(), changes_.begin() + static_cast<std::ptrdiff_t>(drop));
    changes_dropped_ += drop;
  }
  changes_.push_back(node);
}

void Placer::Forget() {
  for (Row& row : rows_) row.scores = {};
  rows_built_ = 0;
}

std::int32_t Placer::Evaluate(const Pod& pod, std::int32_t node) {
  const Misfit misfit = occupancy_.WhyNot(pod, node);
  if (misfit != Misfit::kNone) return kUnfit + static_cast<std::int32_t>(misfit);
  ++evaluations_;
  return scorer_.Score(pod, node);
}

void Placer::Build(std::int32_t type, Row* row) {
  const Pod& pod = types_.pod(type);
  const std::int32_t nodes = occupancy_.nodes();
  row->scores.resize(nodes);
  constexpr std::int32_t kUnknown = kUnfit;          // No Misfit is kNone in a row.
  std::vector<std::int32_t> empty(nodes, kUnknown);  // By alike_.
  for (std::int32_t node = 0; node < nodes; ++node) {
    if (occupancy_.free(node).used()) {
      row->scores[node] = Evaluate(pod, node);
      continue;
    }
    std::int32_t& known = empty[alike_[node]];
    if (known == kUnknown) known = Evaluate(pod, node);
    row->scores[node] = known;
  }
  row->seen = changes_dropped_ + changes_.size();
}

void Placer::MakeRoom() {
  if (rows_built_ < rows_max_) return;
  Row* oldest = nullptr;
  for (Row& row : rows_) {
    if (!row.scores.empty() && (oldest == nullptr || row.used < oldest->used)) oldest = &row;
  }
  oldest->scores = {};
  --rows_built_;
}

Placer::Row& Placer::Fresh(std::int32_t type) {
  if (type >= static_cast<std::int32_t>(rows_.size())) rows_.resize(type + 1);
  if (rows_[type].scores.empty()) {
    MakeRoom();
    Build(type, &rows_[type]);
    ++rows_built_;
    return rows_[type];
  }
  Row& row = rows_[type];
  const std::uint64_t end = changes_dropped_ + changes_.size();
  if (row.seen < changes_dropped_ || end - row.seen > stamps_.size()) {
    Build(type, &row);
    return row;
  }
  const Pod& pod = types_.pod(type);
  ++stamp_;
  for (; row.seen < end; ++row.seen) {
    const std::int32_t node = changes_[row.seen - changes_dropped_];
    if (stamps_[node] == stamp_) continue;
    stamps_[node] = stamp_;
    row.scores[node] = Evaluate(pod, node);
  }
  return row;
}

Choice Placer::Refuse(const Row& row) const {
  Choice choice;
  for (const std::int32_t score : row.scores) ++choice.misfits[score - kUnfit];
  return choice;
}

Choice Placer::Choose(const Pod& pod) {
  if (occupancy_.nodes() == 0) return {};
  if (scorer_.Learn()) Forget();
  const std::int32_t type = types_.IdOf(pod);
  Row& row = Fresh(type);
  row.used = ++asked_;
  std::int32_t best = kScoreFloor;
  for (const std::int32_t score : row.scores) best = std::max(best, score);
  if (best == kScoreFloor) return Refuse(row);
  Choice choice;
  choice.score = best;
  for (std::int32_t node = 0; node < occupancy_.nodes(); ++node) {
    if (row.scores[node] != best) continue;
    ++choice.equals;
    // Reservoir sampling: after n equals each was kept with chance 1/n.
    if (choice.equals == 1 || (ties_ == Ties::kRandom && random_.Below(choice.equals) == 0)) {
      choice.spot.node = node;
    }
  }
  choice.spot.cards = pod.cards == 0 ? 0 : scorer_.Cards(pod, choice.spot.node);
  return choice;
}

}  // namespace brim::planner
