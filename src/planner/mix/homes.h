// CPU or card, decided together with the packing.
//
// A card costs P cores. In a packing on C cards every model bears a part of C P by what it takes:
//   price(m) = C P (w share(m) / all shares + (1 - w) memory(m) / all memory),
// and these add up to the cards' price. w is the Lagrangian weight of share against memory: it
// grows while shares are the scarcer of the two and falls while memory is, so what is plentiful is
// free. A model whose cores on a CPU cost less than its price moves there; one on CPU comes back
// when the price of what it would take is less. The models are packed again and the prices follow,
// until nothing changes or a few rounds have passed. Cards are whole, so the last question is asked
// whole: do the cheapest models to move, together, free a card for less than it costs? The cheapest
// of all that was seen is kept. Hysteresis: a model that runs somewhere counts its other home
// dearer. O(rounds * packing). Pure; any thread.
#pragma once

#include <span>
#include <vector>

#include "planner/mix/shared_packing.h"

namespace brim::planner {

struct Homes {
  std::vector<bool> on_cpu;       // Per model.
  std::vector<HomePrice> prices;  // Per model; of the packing that was kept.
  double share_weight = 1;
  double cost_cores = 0;  // Cards and CPU cores, hysteresis included.
};

// Cores that a model wants on CPU, or why it cannot run there.
HomePrice CpuPrice(const MixContext& context, std::int32_t m);

// `may_card`: models that a card can hold. Others go to CPU if they can. REQUIRES: a card price.
Homes ChooseHomes(const MixContext& context, const FitRule& rule, const std::vector<bool>& may_card,
                  const Progress& progress);

}  // namespace brim::planner
