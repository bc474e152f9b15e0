// Consolidation: which pods of a live layout to move so that cards fall free, and whether that is
// worth its price. See consolidate.cc for the method.
//
// Make before break: the new copy stands, loaded, before the old one goes, so every step needs room
// for both, in CPU and memory too. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "planner/cluster/cluster.h"

namespace brim::planner {

// Prices are in card-hours, so that a move and a freed card can be compared.
struct MovePrices {
  double load_s = 22.7;             // The new copy loads this long; both copies hold cards.
  double disruption_card_h = 0.05;  // Warm caches lost, connections moved.
  double slo_risk = 0.01;           // Probability that a move breaks an objective...
  double slo_card_h = 1;            // ...and what that is worth.
};

struct ConsolidateOptions {
  MovePrices prices;
  double horizon_h = 24;          // A freed card is worth its free hours within this.
  double moves_per_hour = 60;     // Budget.
  std::int32_t worst_cards = 12;  // Searched exactly after the greedy drains; 0: none.
  std::int64_t search_nodes_max = 200'000;
};

struct Move {
  std::int32_t pod = 0;  // Index into the pods.
  Spot from, to;
  double start_s = 0;      // The copy starts to load.
  double end_s = 0;        // The old one is gone.
  std::int32_t group = 0;  // Index into Consolidation::groups.
};

// Moves that free cards together; done as a whole or not at all.
struct MoveGroup {
  std::vector<Spot> freed;  // One card each.
  std::int64_t moves = 0;
  double gain_card_h = 0;  // Free hours within the horizon.
  double cost_card_h = 0;
  bool searched = false;  // Found by the exact search, not by a drain.
};

// A card that was looked at and stays.
struct Stays {
  Spot card;
  std::int32_t pods = 0;
  std::int32_t milli = 0;
  std::string why;
};

struct Consolidation {
  std::vector<Move> moves;  // In order of start.
  std::vector<MoveGroup> groups;
  std::vector<Stays> stays;
  std::vector<Spot> spots;                         // After the moves.
  std::int64_t cards_before = 0, cards_after = 0;  // With anything on them.
  bool search_complete = true;                     // False: search_nodes_max was reached.
};

// REQUIRES: every placed pod fits where it stands (CheckLayout).
Consolidation Consolidate(const Cluster& cluster, const std::vector<Pod>& pods,
                          const std::vector<Spot>& spots, const ConsolidateOptions& options);

// What is wrong with a layout: an overfull node or card, named; empty: nothing.
std::string CheckLayout(const Cluster& cluster, const std::vector<Pod>& pods,
                        const std::vector<Spot>& spots);
// Plays the moves one by one with both copies standing; what breaks first, empty: nothing. Counts
// everything anew, without Occupancy.
std::string CheckMoves(const Cluster& cluster, const std::vector<Pod>& pods,
                       std::vector<Spot> spots, const std::vector<Move>& moves);

double MoveCost(const MovePrices& prices, const Pod& pod);

}  // namespace brim::planner
