// A plain event loop over sorted arrivals and departures; card-hours are the sum of rectangles
// between events. O(events x cost of one placement); consolidation adds its own cost per round.
#include "planner/replay/pod_replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "planner/pack/packing.h"

namespace brim::planner {
namespace {

struct Event {
  double t_s;
  int kind;  // 0: leaves, 1: arrives.
  std::int32_t pod;
};

class PodPlayer {
 public:
  PodPlayer(const Cluster& cluster, const std::vector<Pod>& pods, const PodReplayOptions& options)
      : cluster_(cluster),
        options_(options),
        occupancy_(cluster),
        pods_(Rounded(pods)),
        declared_(pods),
        scorer_(MakeScorer(options.policy, occupancy_, MixOf(pods), options.seed)),
        placer_(occupancy_, *scorer_,
                {options.policy.any_node ? Ties::kRandom : options.ties, options.seed}) {
    replay_.spots.resize(pods.size());
    at_.resize(pods.size());
    std::unordered_map<std::string, std::int32_t> ids;
    for (const Pod& pod : pods) {
      owner_.push_back(ids.emplace(pod.owner, static_cast<std::int32_t>(ids.size())).first->second);
    }
  }

  PodReplay Play(const std::vector<Event>& events, const Progress& progress) {
    if (!events.empty()) replay_.begin_s = now_ = events.front().t_s;
    next_round_ = now_ + options_.consolidate_every_s;
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (progress && i % 256 == 0) {
        progress("events", static_cast<std::int64_t>(i), static_cast<std::int64_t>(events.size()));
      }
      while (options_.consolidate_every_s > 0 && next_round_ <= events[i].t_s) {
        Advance(next_round_);
        Round();
        next_round_ += options_.consolidate_every_s;
      }
      Advance(events[i].t_s);
      if (events[i].kind == 0) {
        Leave(events[i].pod);
      } else {
        Arrive(events[i].pod);
      }
      Record();
    }
    replay_.end_s = now_;
    replay_.standing = replay_.placed - replay_.left;
    for (const RefusedPod& refused : replay_.refused) {
      const Pod& pod = declared_[refused.pod];
      const double until = pod.leaves_s < 0 ? replay_.end_s : pod.leaves_s;
      replay_.refused_card_h += CardHours(pod, until - refused.t_s);
    }
    return std::move(replay_);
  }

 private:
  std::vector<Pod> Rounded(std::vector<Pod> pods) const {
    if (!options_.policy.whole_cards) return pods;
    for (Pod& pod : pods) {
      if (pod.cards > 0) pod.card_milli = kCardMilli;
    }
    return pods;
  }
  static double CardHours(const Pod& pod, double seconds) {
    return static_cast<double>(pod.demand_milli()) / kCardMilli * seconds / 3600;
  }

  void Advance(double t) {
    const double hours = (t - now_) / 3600;
    replay_.used_card_h += static_cast<double>(occupancy_.used_cards()) * hours;
    replay_.declared_card_h += static_cast<double>(demand_milli_) / kCardMilli * hours;
    replay_.used_node_h += used_nodes_ * hours;
    now_ = t;
  }

  void Record() {
    if (occupancy_.used_cards() > replay_.peak_cards) {
      replay_.peak_cards = occupancy_.used_cards();
      replay_.peak_s = now_;
    }
    replay_.peak_nodes = std::max(replay_.peak_nodes, used_nodes_);
    const ReplayPoint point{now_, occupancy_.used_cards(), demand_milli_, used_nodes_};
    if (!replay_.points.empty() && replay_.points.back().t_s == now_) {
      replay_.points.back() = point;
    } else {
      replay_.points.push_back(point);
    }
  }

  void Put(std::int32_t p, const Spot& spot) {
    if (!occupancy_.free(spot.node).used()) ++used_nodes_;
    occupancy_.Place(pods_[p], spot);
    placer_.Changed(spot.node);
    at_[p] = spot;
  }
  void Take(std::int32_t p, const Spot& spot) {
    occupancy_.Remove(pods_[p], spot);
    placer_.Changed(spot.node);
    if (!occupancy_.free(spot.node).used()) --used_nodes_;
  }

  std::uint64_t OwnerKey(std::int32_t p, std::int32_t node) const {
    return static_cast<std::uint64_t>(owner_[p]) << 32 | static_cast<std::uint32_t>(node);
  }
  std::int32_t LimitOf(std::int32_t p) const {
    return options_.owner_per_node_max.empty() ? 0 : options_.owner_per_node_max[p];
  }
  // Whether rules beyond capacity let the pod onto the node.
  bool Allowed(std::int32_t p, std::int32_t node, bool* owner_limit) const {
    if (options_.separate_roles && pods_[p].cards == 0 && cluster_.nodes[node].cards > 0) {
      return false;
    }
    if (LimitOf(p) <= 0) return true;
    const auto it = on_node_.find(OwnerKey(p, node));
    if (it == on_node_.end() || it->second < LimitOf(p)) return true;
    *owner_limit = true;
    return false;
  }

  void Arrive(std::int32_t p) {
    ++replay_.arrived;
    const Choice choice = placer_.Choose(pods_[p]);
    Spot spot = choice.spot;
    bool owner_limit = false;
    if (spot.placed() && !Allowed(p, spot.node, &owner_limit)) spot = BestAllowed(p, &owner_limit);
    if (!spot.placed()) {
      replay_.refused.push_back(
          {p, now_, choice.spot.placed() ? Misfit::kNone : choice.nearest(), owner_limit});
      return;
    }
    Put(p, spot);
    if (LimitOf(p) > 0) ++on_node_[OwnerKey(p, spot.node)];
    replay_.spots[p] = spot;
    ++replay_.placed;
    demand_milli_ += declared_[p].demand_milli();
  }

  // The best of the nodes that the rules allow; the placer does not know the rules.
  Spot BestAllowed(std::int32_t p, bool* owner_limit) {
    Spot best;
    std::int32_t best_score = 0;
    for (std::int32_t node = 0; node < occupancy_.nodes(); ++node) {
      if (!occupancy_.Fits(pods_[p], node) || !Allowed(p, node, owner_limit)) continue;
      const std::int32_t score = scorer_->Score(pods_[p], node);
      if (!best.placed() || score > best_score) best.node = node, best_score = score;
    }
    if (best.placed() && pods_[p].cards > 0) best.cards = scorer_->Cards(pods_[p], best.node);
    return best;
  }

  void Leave(std::int32_t p) {
    if (!replay_.spots[p].placed()) return;  // Was refused.
    Take(p, at_[p]);
    if (LimitOf(p) > 0) --on_node_[OwnerKey(p, at_[p].node)];
    at_[p] = {};
    ++replay_.left;
    demand_milli_ -= declared_[p].demand_milli();
  }

  void Round() {
    ConsolidateOptions options = options_.consolidate;
    options.horizon_h = std::min(options.horizon_h, options_.consolidate_every_s / 3600);
    const Consolidation result = Consolidate(cluster_, pods_, at_, options);
    for (const Move& move : result.moves) {
      Put(move.pod, move.to);
      Take(move.pod, move.from);
      ++replay_.migrations;
      replay_.migration_card_h += CardHours(pods_[move.pod], options.prices.load_s);
      MoveGroup group = result.groups[move.group];
      const bool last = &move == &result.moves.back() || (&move + 1)->group != move.group;
      // The freed cards are free here at once; until the last copy stood they were not.
      if (last) {
        replay_.migration_card_h += static_cast<double>(group.freed.size()) * move.end_s / 3600;
      }
    }
    Record();
  }

  const Cluster& cluster_;
  const PodReplayOptions& options_;
  Occupancy occupancy_;
  const std::vector<Pod> pods_;  // As placed.
  const std::vector<Pod>& declared_;
  std::unique_ptr<NodeScorer> scorer_;
  Placer placer_;
  PodReplay replay_;
  std::vector<Spot> at_;  // Now.
  std::vector<std::int32_t> owner_;
  std::unordered_map<std::uint64_t, std::int32_t> on_node_;  // Owner and node: pods.
  double now_ = 0, next_round_ = 0;
  std::int64_t demand_milli_ = 0;
  std::int32_t used_nodes_ = 0;
};

}  // namespace

Result<PodReplay> ReplayPods(const Cluster& cluster, const std::vector<Pod>& pods,
                             const PodReplayOptions& options, const Progress& progress) {
  if (options.consolidate_every_s > 0 &&
      (!options.owner_per_node_max.empty() || options.policy.whole_cards)) {
    return Status(Code::kInvalidArgument, "consolidation_refused",
                  "consolidation moves shares and does not know limits per owner: leave out "
                  "--consolidate-every, or the limits (and use a policy that shares cards)");
  }
  std::vector<Event> events;
  for (std::size_t p = 0; p < pods.size(); ++p) {
    const auto pod = static_cast<std::int32_t>(p);
    if (pods[p].leaves_s >= 0 && pods[p].leaves_s < pods[p].arrives_s) {
      return Status(Code::kInvalidArgument, "bad_times",
                    fmt::format("pod '{}' leaves at {} s, before it arrives at {} s", pods[p].name,
                                pods[p].leaves_s, pods[p].arrives_s));
    }
    if (pods[p].leaves_s == pods[p].arrives_s) continue;  // Never stands.
    events.push_back({pods[p].arrives_s, 1, pod});
    if (pods[p].leaves_s >= 0) events.push_back({pods[p].leaves_s, 0, pod});
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::tie(a.t_s, a.kind, a.pod) < std::tie(b.t_s, b.kind, b.pod);
  });
  return PodPlayer(cluster, pods, options).Play(events, progress);
}

}  // namespace brim::planner
