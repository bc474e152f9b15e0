#include "runtimes/openvino/shape_check.h"

#include <sys/mman.h>

#include <algorithm>

#include "openvino/core/graph_util.hpp"
#include "openvino/op/constant.hpp"
#include "runtimes/openvino/types.h"

namespace brim::runtimes {
namespace {

constexpr std::size_t kGoodMax = 1024;
constexpr std::size_t kBadMax = 64;
// Smaller constants may be shapes, axes or their tables, whose values shape inference reads; of
// real numbers such are the few factors of a resize.
constexpr std::size_t kWeightBytesMin = 65536;
constexpr std::size_t kRealWeightBytesMin = 256;
// Many models see one or two combinations in their life; a probe is as large as the copy it is
// made from (1.6 MB for a classifier of 750 nodes), and making it a fourth of a check.
constexpr std::size_t kProbeKeptFrom = 3;

std::map<std::size_t, ov::PartialShape> Shapes(const ShapeKey& key) {
  std::map<std::size_t, ov::PartialShape> shapes;
  std::size_t input = 0;
  for (std::size_t at = 0; at < key.size(); at += 1 + static_cast<std::size_t>(key[at])) {
    const auto first = key.begin() + static_cast<std::ptrdiff_t>(at) + 1;
    shapes[input++] = ov::PartialShape(std::vector<ov::Dimension>(first, first + key[at]));
  }
  return shapes;
}

bool IsWeight(const std::shared_ptr<ov::Node>& node) {
  const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node);
  if (constant == nullptr) return false;
  const ov::element::Type& type = constant->get_element_type();
  return type != ov::element::string &&
         constant->get_byte_size() >= (type.is_real() ? kRealWeightBytesMin : kWeightBytesMin);
}

}  // namespace

ShapeCheck::ShapeCheck(const ov::Model& model) : model_(model.clone()) {
  try {
    LeaveOutWeights();
    ShareConstants();
  } catch (...) {
    if (zeros_ != nullptr) munmap(zeros_, zeros_bytes_);
    throw;
  }
}

ShapeCheck::~ShapeCheck() {
  probe_.reset();
  model_.reset();
  if (zeros_ != nullptr) munmap(zeros_, zeros_bytes_);
}

void ShapeCheck::LeaveOutWeights() {
  const ov::NodeVector nodes = model_->get_ops();
  for (const auto& node : nodes) {
    if (IsWeight(node)) {
      zeros_bytes_ =
          std::max(zeros_bytes_, ov::as_type_ptr<ov::op::v0::Constant>(node)->get_byte_size());
    }
  }
  if (zeros_bytes_ == 0) return;
  void* zeros =
      mmap(nullptr, zeros_bytes_, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (zeros == MAP_FAILED) return;  // The weights stay: only memory is lost.
  zeros_ = zeros;
  for (const auto& node : nodes) {
    if (!IsWeight(node)) continue;
    const ov::Tensor nothing(node->get_output_element_type(0), node->get_output_shape(0), zeros_);
    ov::replace_node(node, std::make_shared<ov::op::v0::Constant>(nothing));
  }
}

// A node takes 2.5 KB, and half of an OCR network's are constants, many of them the same axis or
// shape; weights of one shape are the same too by now.
void ShapeCheck::ShareConstants() {
  std::map<std::string, std::shared_ptr<ov::Node>> first;
  for (const auto& node : model_->get_ops()) {
    const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node);
    if (constant == nullptr || constant->get_element_type() == ov::element::string) continue;
    std::string key =
        constant->get_element_type().get_type_name() + constant->get_shape().to_string();
    const void* data = constant->get_data_ptr();
    if (data != zeros_ && constant->get_byte_size() != 0) {
      key.append(1, '=').append(static_cast<const char*>(data), constant->get_byte_size());
    }
    const auto [it, added] = first.emplace(std::move(key), node);
    if (!added) ov::replace_node(node, it->second);
  }
}

bool ShapeCheck::Accepts(const ShapeKey& key, std::string* why) {
  const std::lock_guard lock(mutex_);
  if (good_.contains(key)) return true;
  if (const auto it = bad_.find(key); it != bad_.end()) {
    *why = it->second;
    return false;
  }
  try {
    if (probe_ == nullptr) probe_ = model_->clone();
    probe_->reshape(Shapes(key));
  } catch (const std::exception& refused) {
    probe_.reset();
    *why = Cleaned(refused.what());
    if (bad_.size() == kBadMax) bad_.clear();
    bad_.emplace(key, *why);
    return false;
  }
  if (probed_ < kProbeKeptFrom && ++probed_ < kProbeKeptFrom) probe_.reset();
  if (good_.size() == kGoodMax) good_.clear();
  good_.insert(key);
  return true;
}

}  // namespace brim::runtimes
