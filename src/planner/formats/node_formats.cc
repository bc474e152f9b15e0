// The node formats: their columns, and what a row means.
#include <array>
#include <utility>

#include "planner/formats/cluster_builder.h"

namespace brim::planner {
namespace {

using Need = CsvColumn::Need;

constexpr double kCountMax = 1e12;  // Milli-cores and MiB: keeps every sum in 64 bits.

namespace own {
enum Column : std::size_t { kName, kCpu, kMemory, kCards, kModel, kCardMemory };
constexpr std::array kColumns = {
    CsvColumn{"name", CsvKind::kText},
    CsvColumn{"cpu_milli", CsvKind::kInteger, 0, kCountMax},
    CsvColumn{"memory_mib", CsvKind::kInteger, 0, kCountMax},
    CsvColumn{"cards", CsvKind::kInteger, 0, kCardsPerNodeMax, Need::kOptional},
    CsvColumn{"card_model", CsvKind::kText, 0, 0, Need::kOptional},
    CsvColumn{"card_memory_mib", CsvKind::kInteger, 0, kCountMax, Need::kOptional},
};
}  // namespace own

namespace openb {
enum Column : std::size_t { kName, kCpu, kMemory, kCards, kModel };
constexpr std::array kColumns = {
    CsvColumn{"sn", CsvKind::kText},
    CsvColumn{"cpu_milli", CsvKind::kInteger, 0, kCountMax},
    CsvColumn{"memory_mib", CsvKind::kInteger, 0, kCountMax},
    CsvColumn{"gpu", CsvKind::kInteger, 0, kCardsPerNodeMax},
    CsvColumn{"model", CsvKind::kText, 0, 0, Need::kMayBeEmpty},
};
}  // namespace openb

namespace spot {
enum Column : std::size_t { kModel, kCards, kCores, kName };
constexpr std::array kColumns = {
    CsvColumn{"gpu_model", CsvKind::kText, 0, 0, Need::kMayBeEmpty},
    CsvColumn{"gpu_capacity_num", CsvKind::kInteger, 0, kCardsPerNodeMax},
    CsvColumn{"cpu_num", CsvKind::kInteger, 0, kCountMax / 1000},
    CsvColumn{"node_name", CsvKind::kText},
};
}  // namespace spot

// A node with cards of no named model: all such are one model.
constexpr std::string_view kNoModel = "card";

Status AddNode(const CsvTable& table, std::size_t row, std::string_view model, Node node,
               ClusterBuilder* builder) {
  if (node.cards > 0) {
    BRIM_ASSIGN_OR_RETURN(node.card_model,
                          builder->CardModel(table, row, model.empty() ? kNoModel : model));
  } else {
    node.card_memory_mib = 0;
  }
  builder->input().cluster.nodes.push_back(std::move(node));
  return OkStatus();
}

Status ReadOwn(const CsvTable& table, ClusterBuilder* builder) {
  BRIM_RETURN_IF_ERROR(ClusterBuilder::CheckUnique(table, own::kName, "node"));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    Node node;
    node.name = table.Text(row, own::kName);
    node.cpu_milli = table.Integer(row, own::kCpu);
    node.memory_mib = table.Integer(row, own::kMemory);
    node.cards = static_cast<std::int32_t>(table.Integer(row, own::kCards));
    node.card_memory_mib = table.Integer(row, own::kCardMemory);
    BRIM_RETURN_IF_ERROR(
        AddNode(table, row, table.Text(row, own::kModel), std::move(node), builder));
  }
  return OkStatus();
}

Status ReadOpenb(const CsvTable& table, ClusterBuilder* builder) {
  BRIM_RETURN_IF_ERROR(ClusterBuilder::CheckUnique(table, openb::kName, "node"));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    Node node;
    node.name = table.Text(row, openb::kName);
    node.cpu_milli = table.Integer(row, openb::kCpu);
    node.memory_mib = table.Integer(row, openb::kMemory);
    node.cards = static_cast<std::int32_t>(table.Integer(row, openb::kCards));
    BRIM_RETURN_IF_ERROR(
        AddNode(table, row, table.Text(row, openb::kModel), std::move(node), builder));
  }
  return OkStatus();
}

Status ReadSpot(const CsvTable& table, ClusterBuilder* builder) {
  BRIM_RETURN_IF_ERROR(ClusterBuilder::CheckUnique(table, spot::kName, "node"));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    Node node;
    node.name = table.Text(row, spot::kName);
    node.cpu_milli = table.Integer(row, spot::kCores) * 1000;
    node.memory_mib = kMemoryUnknownMib;
    node.cards = static_cast<std::int32_t>(table.Integer(row, spot::kCards));
    BRIM_RETURN_IF_ERROR(
        AddNode(table, row, table.Text(row, spot::kModel), std::move(node), builder));
  }
  builder->input().notes.emplace_back("The nodes' file says no memory: memory refuses no pod.");
  return OkStatus();
}

}  // namespace

std::span<const ClusterFormat> NodeFormats() {
  static constexpr std::array kFormats = {
      ClusterFormat{"brim nodes", own::kColumns, ReadOwn},
      ClusterFormat{"openb_node_list (Alibaba GPU trace 2023)", openb::kColumns, ReadOpenb},
      ClusterFormat{"node_info_df (Alibaba spot trace 2026)", spot::kColumns, ReadSpot},
  };
  return kFormats;
}

}  // namespace brim::planner
