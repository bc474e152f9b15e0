// Layouts: which pod stands on which node and cards.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "planner/formats/cluster_builder.h"
#include "planner/formats/cluster_format.h"

namespace brim::planner {
namespace {

enum Column : std::size_t { kPod, kNode, kCards };
constexpr std::array kColumns = {
    CsvColumn{"pod", CsvKind::kText},
    CsvColumn{"node", CsvKind::kText},
    CsvColumn{"cards", CsvKind::kText, 0, 0, CsvColumn::Need::kMayBeEmpty},
};

Result<std::uint64_t> ReadCards(const CsvTable& table, std::size_t row, const Node& node) {
  std::uint64_t mask = 0;
  const std::string_view cards = table.Text(row, kCards);
  if (cards.empty()) return mask;
  for (const std::string_view piece : Split(cards, '|')) {
    const auto card = ParseInt64(piece);
    if (!card || *card < 0 || *card >= node.cards) {
      return table.Error(row,
                         fmt::format("'{}' is no card of node {}, expected indices from 0 to {} "
                                     "joined by '|'",
                                     piece.substr(0, 40), node.name, node.cards - 1));
    }
    const std::uint64_t bit = std::uint64_t{1} << *card;
    if ((mask & bit) != 0) return table.Error(row, fmt::format("card {} is named twice", *card));
    mask |= bit;
  }
  return mask;
}

template <typename T>
std::unordered_map<std::string_view, std::size_t> ByName(const std::vector<T>& items) {
  std::unordered_map<std::string_view, std::size_t> index;
  index.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) index.emplace(items[i].name, i);
  return index;
}

void AppendField(std::string* out, std::string_view text) {
  const bool quoted =
      text.find_first_of(",\"") != std::string_view::npos || Trim(text).size() != text.size();
  if (!quoted) {
    *out += text;
    return;
  }
  *out += '"';
  for (const char c : text) {
    if (c == '"') *out += '"';
    *out += c;
  }
  *out += '"';
}

}  // namespace

Result<std::vector<Spot>> ReadLayout(const InputText& layout, const PlanInput& input) {
  BRIM_ASSIGN_OR_RETURN(const CsvTable table,
                        CsvTable::ParseAny(layout.file, layout.text, "layout", kColumns));
  BRIM_RETURN_IF_ERROR(ClusterBuilder::CheckUnique(table, kPod, "pod"));
  const auto pods = ByName(input.pods), nodes = ByName(input.cluster.nodes);
  std::vector<Spot> spots(input.pods.size());
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto pod = pods.find(table.Text(row, kPod));
    if (pod == pods.end()) {
      return table.Error(row, fmt::format("there is no pod '{}' in the pods' file",
                                          table.Text(row, kPod).substr(0, 80)));
    }
    const auto node = nodes.find(table.Text(row, kNode));
    if (node == nodes.end()) {
      return table.Error(row, fmt::format("there is no node '{}' in the nodes' file",
                                          table.Text(row, kNode).substr(0, 80)));
    }
    Spot& spot = spots[pod->second];
    spot.node = static_cast<std::int32_t>(node->second);
    BRIM_ASSIGN_OR_RETURN(spot.cards, ReadCards(table, row, input.cluster.nodes[node->second]));
    const auto held = static_cast<std::int32_t>(__builtin_popcountll(spot.cards));
    if (held != input.pods[pod->second].cards) {
      return table.Error(row,
                         fmt::format("pod {} stands on {} cards, expected {}: as many as it asks "
                                     "for",
                                     pod->first, held, input.pods[pod->second].cards));
    }
  }
  return spots;
}

std::string LayoutCsv(const PlanInput& input, const std::vector<Spot>& spots) {
  BRIM_CHECK(spots.size() == input.pods.size());
  std::string out = "pod,node,cards\n";
  for (std::size_t i = 0; i < spots.size(); ++i) {
    if (!spots[i].placed()) continue;
    AppendField(&out, input.pods[i].name);
    out += ',';
    AppendField(&out, input.cluster.nodes[static_cast<std::size_t>(spots[i].node)].name);
    out += ',';
    bool first = true;
    for (int card = 0; card < kCardsPerNodeMax; ++card) {
      if ((spots[i].cards >> card & 1) == 0) continue;
      fmt::format_to(std::back_inserter(out), "{}{}", first ? "" : "|", card);
      first = false;
    }
    out += '\n';
  }
  return out;
}

}  // namespace brim::planner
