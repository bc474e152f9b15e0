#include "runtimes/openvino/attention_guard.h"

#include <algorithm>
#include <string>

#include "openvino/op/convert.hpp"
#include "openvino/op/matmul.hpp"
#include "openvino/op/util/multi_subgraph_base.hpp"
#include "openvino/op/util/op_types.hpp"

namespace brim::runtimes {
namespace {

// Queries, keys and values; a mask or a scale may be more. Sharing memory needs an own producer for
// each.
constexpr std::size_t kAttentionInputsMin = 3;
constexpr std::size_t kAttentionRankMin = 4;

bool IsConstant(const ov::Node* node) {
  while (ov::is_type<ov::op::v0::Convert>(node)) node = node->get_input_node_ptr(0);
  return ov::op::util::is_constant(node);
}

bool IsAttention(const ov::Node& node) {
  if (ov::is_type<ov::op::v0::MatMul>(&node)) {
    return !IsConstant(node.get_input_node_ptr(0)) && !IsConstant(node.get_input_node_ptr(1));
  }
  const std::string type = node.get_type_name();
  return type == "ScaledDotProductAttention" || type == "Einsum";
}

bool RepeatsADimension(const ov::Shape& shape) {
  // The last is the size of a head, which stays the last.
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) {
    if (shape[i] > 1 && std::find(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(i),
                                  shape[i]) != shape.begin() + static_cast<std::ptrdiff_t>(i)) {
      return true;
    }
  }
  return false;
}

bool MayMixUp(const ov::Node& node) {
  const ov::RTMap& info = node.get_rt_info();
  const auto layer = info.find("layerType");
  if (layer == info.end() || layer->second.as<std::string>() != "Subgraph") return false;
  if (node.get_input_size() < kAttentionInputsMin) return false;
  const ov::PartialShape& in = node.get_input_partial_shape(0);
  const ov::PartialShape& out = node.get_output_partial_shape(0);
  return in.is_static() && out.is_static() && in.size() >= kAttentionRankMin && in == out &&
         RepeatsADimension(out.to_shape());
}

}  // namespace

bool HasAttention(const ov::Model& model) {
  const auto ops = model.get_ops();
  return std::any_of(ops.begin(), ops.end(),
                     [](const std::shared_ptr<ov::Node>& node) { return IsAttention(*node); });
}

bool HidesAttention(const ov::Model& model) {
  for (const std::shared_ptr<ov::Node>& node : model.get_ops()) {
    const auto holder = ov::as_type_ptr<ov::op::util::MultiSubGraphOp>(node);
    if (holder == nullptr) continue;
    for (const std::shared_ptr<ov::Model>& body : holder->get_functions()) {
      if (HasAttention(*body) || HidesAttention(*body)) return true;
    }
  }
  return false;
}

bool MayMixUpHeads(const ov::CompiledModel& compiled) {
  const auto ops = compiled.get_runtime_model()->get_ops();
  return std::any_of(ops.begin(), ops.end(),
                     [](const std::shared_ptr<ov::Node>& node) { return MayMixUp(*node); });
}

}  // namespace brim::runtimes
