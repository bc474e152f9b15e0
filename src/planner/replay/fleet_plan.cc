// Fleet plans: which models leave for the CPU, which share a process, which share a card.
//
// The same greedy method for every set of levers; a lever only allows more moves:
//   base          one process and one whole card (or several) per model, sized by what was declared
//   cpu           models whose objective a core can meet leave while cores last, cheapest cores per
//                 card first, and only while the cores cost less than the *marginal* card they free
//   mix           several models in one process: they take turns, weights add up, workspace is
//                 shared (its largest counts)
//   slices        a process may have a measured share of a card instead of all of it
//   right-size    rates per hour of the learned day times a margin, memory by measured peak,
//                 instead of what owners declared
// A model too hot for one card first gets cards that it fills alone. What is left of every model is
// placed largest first where it costs least: join a process, open one on a free share, open a card.
// Then cards are emptied, least loaded first, while what they carry fits elsewhere. Four orders are
// tried, the fewest cards win. O(models x processes x hours) per order.
#include "planner/replay/fleet_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "base/check.h"

namespace brim::planner {
namespace {

constexpr std::int32_t kReplicasMax = 4096;
constexpr double kPartMin = 1e-9;

struct Piece {  // Part of a model that still needs a place.
  std::int32_t model = 0;
  double part = 1;
  double compute = 0;  // Of a whole card, at the peak.
  double memory = 0;   // Of a card's, alone.
};

struct CardState {
  std::int32_t share_milli = 0;
  double memory_gib = 0;
  bool closed = false;  // A whole-card owner's: nobody joins.
  std::vector<std::int32_t> servers;
};

class FleetPlanner {
 public:
  FleetPlanner(const FleetSpec& spec, const Fleet& fleet, std::uint32_t levers,
               const std::vector<double>& boost)
      : spec_(spec), fleet_(fleet), levers_(levers), on_cpu_(fleet.models.size(), false) {
    for (std::size_t i = 0; i < fleet.models.size(); ++i) {
      rates_.push_back(PlannedRates(spec, fleet.models[i], levers));
      for (double& rate : rates_.back()) rate *= boost.empty() ? 1 : boost[i];
    }
  }

  FleetPlan Plan() {
    if (Has(kCpuMove)) ChooseCpu();
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < fleet_.models.size(); ++i) {
      if (!on_cpu_[i]) PlaceWhole(static_cast<std::int32_t>(i), &pieces);
    }
    PlacePieces(std::move(pieces));
    return Finish();
  }

 private:
  bool Has(Lever lever) const { return (levers_ & lever) != 0; }
  bool Shares() const { return Has(kMixed) || Has(kSlices); }
  const FleetModel& model(std::int32_t m) const { return fleet_.models[m]; }
  const ServiceProfile& profile(std::int32_t m) const { return spec_.profiles[model(m).profile]; }

  Load LoadOf(std::int32_t m, double part, std::int32_t share) const {
    const ServiceProfile& p = profile(m);
    return {share == 0 ? nullptr : p.At(share), p.cpu_s, p.slo_s, &rates_[m], part};
  }
  bool Holds(const std::vector<PlanMember>& members, std::int32_t share, std::int32_t executors,
             double slowdown) const {
    std::vector<Load> loads;
    for (const PlanMember& member : members) {
      loads.push_back(LoadOf(member.model, member.part, share));
      if (share != 0 && loads.back().profile == nullptr) return false;
    }
    return ServerHolds(spec_, loads, executors, slowdown);
  }
  double Slowdown(std::size_t servers_on_card) const {
    return 1 + spec_.interference * static_cast<double>(servers_on_card - 1);
  }

  double MemoryOf(const std::vector<PlanMember>& members, std::int32_t share) const {
    double resident = spec_.context_gib, workspace = 0;
    for (const PlanMember& member : members) {
      const FleetModel& m = model(member.model);
      resident += std::max(0.0, m.resident_gib - spec_.context_gib);
      workspace = std::max(workspace, m.peak_gib - m.resident_gib);
    }
    double reserved = (resident + workspace) * spec_.memory_margin;
    // Alone it may have all the card has, margin or not: the most it ever held does fit.
    if (members.size() == 1) reserved = std::min(reserved, spec_.card_memory_gib);
    // Without right-sizing a slice comes with its share of the memory, needed or not.
    const bool declared = Has(kSlices) && !Has(kRightSizing);
    return declared ? std::max(reserved, spec_.card_memory_gib * share / 1000) : reserved;
  }

  // The smallest allowed share that holds the members, at least `share_min`; 0: none.
  std::int32_t SmallestShare(const std::vector<PlanMember>& members, std::int32_t share_min,
                             double slowdown) const {
    for (const ShareProfile& candidate : profile(members.front().model).shares) {
      std::int32_t share = candidate.share_milli;
      if (!Has(kSlices) && share != 1000) continue;
      if (!Has(kRightSizing)) {
        for (const PlanMember& member : members) {
          share_min = std::max(share_min, model(member.model).declared_share);
        }
      }
      if (share >= share_min && Holds(members, share, 1, slowdown)) return share;
    }
    return 0;
  }

  // Cards that this model alone would still need: what freeing it is worth.
  double MarginalCards(std::int32_t m) const {
    const double peak = *std::max_element(rates_[m].begin(), rates_[m].end());
    const ShareProfile& whole = profile(m).whole();
    const double compute = peak * whole.service_s.back() / whole.batch_max();
    if (!Shares() || !model(m).adopts) return std::max(1.0, std::ceil(compute));
    const double memory =
        Has(kMixed) ? model(m).resident_gib : model(m).peak_gib * spec_.memory_margin;
    return std::max(compute, memory / spec_.card_memory_gib);
  }

  std::int32_t CoresFor(const std::vector<PlanMember>& members) const {
    for (std::int32_t cores = 1; cores <= spec_.cpu_cores; ++cores) {
      if (Holds(members, 0, cores, 1)) return cores;
    }
    return spec_.cpu_cores + 1;
  }

  void ChooseCpu() {
    std::vector<std::tuple<double, double, std::int32_t>> order;  // Cores per card, cores, model.
    for (std::size_t i = 0; i < fleet_.models.size(); ++i) {
      const auto m = static_cast<std::int32_t>(i);
      if (!model(m).adopts || profile(m).cpu_s <= 0) continue;
      const std::int32_t alone = CoresFor({{m, 1, 1}});
      if (alone > spec_.cpu_cores) continue;
      const double peak = *std::max_element(rates_[m].begin(), rates_[m].end());
      // In a shared process a model costs its part of the cores, at the load the pool may carry.
      const double cores =
          Has(kMixed) ? std::min<double>(alone, peak * profile(m).cpu_s / 0.6) : alone;
      const double cards = MarginalCards(m);
      if (cores <= cards * spec_.cores_per_card) order.emplace_back(cores / cards, cores, m);
    }
    std::sort(order.begin(), order.end());
    std::int32_t used = 0;
    std::vector<PlanServer> pools;
    for (const auto& [price, cores, m] : order) {
      const auto fair = static_cast<std::int32_t>(
          std::min<double>(MarginalCards(m) * spec_.cores_per_card, spec_.cpu_cores - used));
      JoinPool(m, fair, &used, &pools);
    }
    for (PlanServer& pool : pools) servers_.push_back(std::move(pool));
  }

  // Adds the model to the pool that needs the fewest more cores for it, or to one of its own, if
  // `most` more cores are enough. Pools keep tight objectives and long requests apart.
  void JoinPool(std::int32_t m, std::int32_t most, std::int32_t* used,
                std::vector<PlanServer>* pools) {
    std::int32_t best = CoresFor({{m, 1, 1}}), best_pool = -1;
    for (std::size_t p = 0; Has(kMixed) && p < pools->size(); ++p) {
      std::vector<PlanMember> members = (*pools)[p].members;
      members.push_back({m, 1, 1});
      const std::int32_t more = CoresFor(members) - (*pools)[p].executors;
      if (more < best) best = more, best_pool = static_cast<std::int32_t>(p);
    }
    if (best > most) return;
    on_cpu_[m] = true;
    *used += best;
    if (best_pool < 0) {
      pools->push_back({-1, 0, best, 0, {{m, 1, 1}}});
      return;
    }
    (*pools)[best_pool].members.push_back({m, 1, 1});
    (*pools)[best_pool].executors += best;
  }

  void OpenWhole(std::int32_t m, double part, bool closed) {
    cards_.push_back({1000,
                      MemoryOf({{m, part, 1}}, 1000),
                      closed,
                      {static_cast<std::int32_t>(servers_.size())}});
    servers_.push_back({static_cast<std::int32_t>(cards_.size()) - 1,
                        1000,
                        1,
                        cards_.back().memory_gib,
                        {{m, part, 1}}});
  }

  // Whole cards that this model fills; what is left of it becomes a piece. Without sharing, all.
  void PlaceWhole(std::int32_t m, std::vector<Piece>* pieces) {
    const bool closed = !Shares() || !model(m).adopts;
    if (closed) {
      std::int32_t replicas = 1;
      while (replicas < kReplicasMax && !Holds({{m, 1.0 / replicas, 1}}, 1000, 1, 1)) ++replicas;
      for (std::int32_t i = 0; i < replicas; ++i) OpenWhole(m, 1.0 / replicas, true);
      return;
    }
    double left = 1;
    if (!Holds({{m, 1, 1}}, 1000, 1, 1)) {
      double low = 1.0 / kReplicasMax, high = 1;
      for (int i = 0; i < 40; ++i) {
        const double middle = (low + high) / 2;
        (Holds({{m, middle, 1}}, 1000, 1, 1) ? low : high) = middle;
      }
      while (left > low) {
        OpenWhole(m, low, false);
        left -= low;
      }
    }
    if (left < kPartMin) return;
    const ShareProfile& whole = profile(m).whole();
    const double peak = *std::max_element(rates_[m].begin(), rates_[m].end());
    pieces->push_back({m, left, left * peak * whole.service_s.back() / whole.batch_max(),
                       MemoryOf({{m, left, 1}}, 0) / spec_.card_memory_gib});
  }

  struct Option {
    double cost = 1e300;
    std::int32_t card = -1, server = -1, share = 0;
    double memory = 0;  // Of the server, with the piece.
  };

  // Others on the card must stand one more neighbour, when neighbours hurt.
  bool NeighboursHold(const CardState& card, std::int32_t except, double slowdown) const {
    if (spec_.interference <= 0) return true;
    for (const std::int32_t s : card.servers) {
      if (s != except && !Holds(servers_[s].members, servers_[s].share_milli, 1, slowdown)) {
        return false;
      }
    }
    return true;
  }

  void TryJoin(const Piece& piece, std::int32_t c, Option* best) const {
    const CardState& card = cards_[c];
    for (const std::int32_t s : card.servers) {
      const PlanServer& server = servers_[s];
      std::vector<PlanMember> members = server.members;
      bool same = false;
      for (PlanMember& member : members) {
        if (member.model == piece.model) member.part += piece.part, same = true;
      }
      if (!same) members.push_back({piece.model, piece.part, 1});
      const double resident = MemoryOf(members, server.share_milli);
      if (card.memory_gib - server.memory_gib + resident > spec_.card_memory_gib) continue;
      const std::int32_t share =
          SmallestShare(members, server.share_milli, Slowdown(card.servers.size()));
      if (share == 0 || card.share_milli - server.share_milli + share > 1000) continue;
      const double memory = MemoryOf(members, share);
      const double more = memory - server.memory_gib;
      if (card.memory_gib + more > spec_.card_memory_gib) continue;
      const double cost = (share - server.share_milli) / 1000.0 + more / spec_.card_memory_gib;
      if (cost < best->cost) *best = {cost, c, s, share, memory};
    }
  }

  void TryOpen(const Piece& piece, std::int32_t c, Option* best) const {
    const CardState& card = cards_[c];
    const double slowdown = Slowdown(card.servers.size() + 1);
    const std::vector<PlanMember> members = {{piece.model, piece.part, 1}};
    const std::int32_t share = SmallestShare(members, 0, slowdown);
    if (share == 0 || card.share_milli + share > 1000) return;
    const double memory = MemoryOf(members, share);
    if (card.memory_gib + memory > spec_.card_memory_gib) return;
    const double cost = share / 1000.0 + memory / spec_.card_memory_gib;
    if (cost < best->cost && NeighboursHold(card, -1, slowdown))
      *best = {cost, c, -1, share, memory};
  }

  bool PlacePiece(const Piece& piece, bool may_open, std::int32_t except) {
    Option best;
    for (std::size_t c = 0; c < cards_.size(); ++c) {
      const auto card = static_cast<std::int32_t>(c);
      if (cards_[c].closed || card == except || cards_[c].servers.empty()) continue;
      if (Has(kMixed)) TryJoin(piece, card, &best);
      if (Has(kSlices)) TryOpen(piece, card, &best);
    }
    if (best.card < 0) {
      if (!may_open) return false;
      const std::vector<PlanMember> members = {{piece.model, piece.part, 1}};
      std::int32_t share = SmallestShare(members, 0, 1);
      if (share == 0) share = 1000;
      cards_.push_back({});
      best = {0, static_cast<std::int32_t>(cards_.size()) - 1, -1, share, MemoryOf(members, share)};
    }
    Put(piece, best);
    return true;
  }

  void Put(const Piece& piece, const Option& option) {
    CardState& card = cards_[option.card];
    if (option.server < 0) {
      card.servers.push_back(static_cast<std::int32_t>(servers_.size()));
      servers_.push_back(
          {option.card, option.share, 1, option.memory, {{piece.model, piece.part, 1}}});
      card.share_milli += option.share;
      card.memory_gib += option.memory;
      return;
    }
    PlanServer& server = servers_[option.server];
    card.share_milli += option.share - server.share_milli;
    card.memory_gib += option.memory - server.memory_gib;
    server.share_milli = option.share;
    server.memory_gib = option.memory;
    for (PlanMember& member : server.members) {
      if (member.model == piece.model) {
        member.part += piece.part;
        return;
      }
    }
    server.members.push_back({piece.model, piece.part, 1});
  }

  std::int32_t UsedCards() const {
    return static_cast<std::int32_t>(std::count_if(
        cards_.begin(), cards_.end(), [](const auto& c) { return !c.servers.empty(); }));
  }

  // Empties one card if all it carries fits elsewhere; else leaves everything as it was.
  bool Empty(std::int32_t c) {
    const auto saved = std::make_pair(cards_, servers_);
    const std::vector<std::int32_t> gone = std::exchange(cards_[c].servers, {});
    cards_[c].share_milli = 0;
    cards_[c].memory_gib = 0;
    for (const std::int32_t s : gone) {
      const std::vector<PlanMember> members = std::exchange(servers_[s].members, {});
      for (const PlanMember& member : members) {
        if (!PlacePiece({member.model, member.part, 0, 0}, false, c)) {
          std::tie(cards_, servers_) = saved;
          return false;
        }
      }
    }
    return true;
  }

  void EmptyCards() {
    for (bool better = true; better;) {
      better = false;
      std::vector<std::tuple<double, std::int32_t>> order;
      for (std::size_t c = 0; c < cards_.size(); ++c) {
        if (cards_[c].closed || cards_[c].servers.empty()) continue;
        order.emplace_back(cards_[c].memory_gib / spec_.card_memory_gib, c);
      }
      std::sort(order.begin(), order.end());
      for (const auto& [load, c] : order) better = Empty(c) || better;
    }
  }

  void PlacePieces(std::vector<Piece> pieces) {
    const auto start = std::make_pair(cards_, servers_);
    auto best = start;
    std::int32_t best_cards = -1;
    for (int order = 0; order < 4 && !pieces.empty(); ++order) {
      std::tie(cards_, servers_) = start;
      const auto key = [order](const Piece& p) {
        const double keys[] = {std::max(p.compute, p.memory), p.memory, p.compute,
                               p.compute + p.memory};
        return keys[order];
      };
      std::sort(pieces.begin(), pieces.end(), [&](const Piece& a, const Piece& b) {
        return std::make_tuple(-key(a), a.model) < std::make_tuple(-key(b), b.model);
      });
      for (const Piece& piece : pieces) PlacePiece(piece, true, -1);
      EmptyCards();
      if (best_cards < 0 || UsedCards() < best_cards) {
        best = {cards_, servers_};
        best_cards = UsedCards();
      }
    }
    if (!pieces.empty()) std::tie(cards_, servers_) = best;
  }

  // Numbers the cards without holes, sets batches, counts loads.
  FleetPlan Finish() {
    FleetPlan plan;
    std::vector<std::int32_t> number(cards_.size(), -1);
    for (std::size_t c = 0; c < cards_.size(); ++c) {
      if (!cards_[c].servers.empty()) number[c] = plan.cards++;
    }
    for (PlanServer& server : servers_) {
      if (server.members.empty()) continue;
      double slo_min = 1e300;
      for (const PlanMember& m : server.members) {
        slo_min = std::min(slo_min, profile(m.model).slo_s);
      }
      const double slowdown = server.card < 0 ? 1 : Slowdown(cards_[server.card].servers.size());
      for (PlanMember& member : server.members) {
        const Load load = LoadOf(member.model, member.part, server.share_milli);
        member.batch_max = std::max(1, BatchWithin(load, slo_min, slowdown));
      }
      if (server.card < 0) {
        plan.cpu_cores += server.executors;
      } else {
        server.card = number[server.card];
      }
      plan.migrations += static_cast<std::int64_t>(server.members.size());
      plan.servers.push_back(std::move(server));
    }
    // Every card is somebody's from before; one model on it need not load anew.
    plan.migrations -= plan.cards;
    return plan;
  }

  const FleetSpec& spec_;
  const Fleet& fleet_;
  const std::uint32_t levers_;
  std::vector<HourRates> rates_;
  std::vector<bool> on_cpu_;
  std::vector<CardState> cards_;
  std::vector<PlanServer> servers_;
};

}  // namespace

const char* LeverName(int lever) {
  static constexpr const char* kNames[kLevers] = {"cpu", "mix", "slices", "right-size"};
  return kNames[lever];
}

std::string LeverSetName(std::uint32_t levers) {
  if (levers == 0) return "base";
  std::string name;
  for (int i = 0; i < kLevers; ++i) {
    if ((levers >> i & 1) != 0) name += (name.empty() ? "" : "+") + std::string(LeverName(i));
  }
  return name;
}

FleetPlan PlanFleetCards(const FleetSpec& spec, const Fleet& fleet, std::uint32_t levers,
                         const std::vector<double>& boost) {
  FleetPlan plan = FleetPlanner(spec, fleet, levers, boost).Plan();
  if ((levers & kMixed) != 0 && (levers & kSlices) != 0) {
    // A lever may be left alone: where slices do not help shared processes, whole cards stay.
    FleetPlan whole = FleetPlanner(spec, fleet, levers & ~std::uint32_t{kSlices}, boost).Plan();
    if (whole.cards < plan.cards) return whole;
  }
  return plan;
}

std::string CheckFleetPlan(const FleetSpec& spec, const Fleet& fleet, const FleetPlan& plan) {
  std::vector<double> share(plan.cards), memory(plan.cards), served(fleet.models.size());
  std::int32_t cores = 0;
  for (const PlanServer& server : plan.servers) {
    for (const PlanMember& member : server.members) served[member.model] += member.part;
    if (server.card < 0) {
      cores += server.executors;
      continue;
    }
    share[server.card] += server.share_milli;
    memory[server.card] += server.memory_gib;
  }
  for (std::int32_t c = 0; c < plan.cards; ++c) {
    if (share[c] <= 0) return fmt::format("card {} carries nothing", c);
    if (share[c] > 1000) return fmt::format("card {} is sold {} times", c, share[c] / 1000);
    if (memory[c] > spec.card_memory_gib * (1 + 1e-9)) {
      return fmt::format("card {} holds {:.2f} GiB of {:.2f}", c, memory[c], spec.card_memory_gib);
    }
  }
  for (std::size_t m = 0; m < served.size(); ++m) {
    if (std::abs(served[m] - 1) > 1e-6) {
      return fmt::format("{} is served {:.6f} times", fleet.models[m].name, served[m]);
    }
  }
  if (cores > spec.cpu_cores) return fmt::format("{} cores of {}", cores, spec.cpu_cores);
  return {};
}

}  // namespace brim::planner
