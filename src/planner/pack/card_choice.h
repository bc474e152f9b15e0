// Which card of a node takes a share, and which cards take a pod of whole cards. Pure.
#pragma once

#include <cstdint>

#include "planner/cluster/occupancy.h"

namespace brim::planner {

// Index of the fitting card with the least free units (the most, for FreestCard); the lowest index
// among equals; -1 when none fits. For pods of one card.
std::int32_t TightestCard(const Occupancy& occupancy, const Pod& pod, std::int32_t node);
std::int32_t FreestCard(const Occupancy& occupancy, const Pod& pod, std::int32_t node);
// The first fitting cards by index, pod.cards of them. REQUIRES: there are as many.
std::uint64_t FirstCards(const Occupancy& occupancy, const Pod& pod, std::int32_t node);

inline std::uint64_t CardBit(std::int32_t card) { return std::uint64_t{1} << card; }

}  // namespace brim::planner
