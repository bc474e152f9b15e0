#include "serving/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

namespace brim::serving {
namespace {

using model::Signature;
using model::TensorSpec;
using model::TensorView;

// Above this many inputs names are looked up by binary search: a quadratic walk of a recommender's
// hundreds of features, in the arbitrary order of a protobuf map, would cost more than its run.
constexpr std::size_t kQuadraticMax = 32;
constexpr std::size_t kNamesShownMax = 16;

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

std::string Names(const std::vector<TensorSpec>& specs) {
  std::string names;
  for (std::size_t i = 0; i < specs.size() && i < kNamesShownMax; ++i) {
    names += fmt::format("{}'{}'", i == 0 ? "" : ", ", specs[i].name);
  }
  if (specs.size() > kNamesShownMax) {
    names += fmt::format(" and {} more", specs.size() - kNamesShownMax);
  }
  return names.empty() ? "none" : names;
}

bool InOrder(const Signature& signature, const std::vector<TensorView>& inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].name != signature.inputs[i].name) return false;
  }
  return true;
}

// Explains why the names of `inputs` are not those of the signature, each once.
Status NameError(const Signature& signature, const std::vector<TensorView>& inputs) {
  std::vector<std::string_view> names;
  names.reserve(inputs.size());
  for (const TensorView& input : inputs) names.push_back(input.name);
  std::sort(names.begin(), names.end());
  const auto repeated = std::adjacent_find(names.begin(), names.end());
  if (repeated != names.end()) {
    return Invalid("input_repeated", fmt::format("input '{}' is given more than once", *repeated));
  }
  std::vector<std::string_view> known;
  known.reserve(signature.inputs.size());
  for (const TensorSpec& spec : signature.inputs) known.push_back(spec.name);
  std::sort(known.begin(), known.end());
  for (std::string_view name : names) {
    if (!std::binary_search(known.begin(), known.end(), name)) {
      return Invalid("input_unknown",
                     fmt::format("unexpected inference input '{}'; the inputs are {}", name,
                                 Names(signature.inputs)));
    }
  }
  for (const TensorSpec& spec : signature.inputs) {
    if (!std::binary_search(names.begin(), names.end(), spec.name)) {
      return Invalid(
          "input_missing",
          fmt::format("expected {} inputs but got {}: input '{}' is missing; the inputs are {}",
                      signature.inputs.size(), inputs.size(), spec.name, Names(signature.inputs)));
    }
  }
  return Invalid("input_count", fmt::format("expected {} inputs but got {}",
                                            signature.inputs.size(), inputs.size()));
}

// REQUIRES: as many inputs as the signature has. False when the names differ.
bool Reorder(const Signature& signature, std::vector<TensorView>* inputs) {
  const std::size_t count = inputs->size();
  if (count <= kQuadraticMax) {
    for (std::size_t want = 0; want < count; ++want) {
      std::size_t at = want;
      while (at < count && (*inputs)[at].name != signature.inputs[want].name) ++at;
      if (at == count) return false;
      if (at != want) std::swap((*inputs)[want], (*inputs)[at]);
    }
    return true;
  }
  const auto by_name = [](const TensorView& a, const TensorView& b) { return a.name < b.name; };
  std::sort(inputs->begin(), inputs->end(), by_name);
  std::vector<TensorView> ordered;
  ordered.reserve(count);
  for (const TensorSpec& spec : signature.inputs) {
    TensorView key;
    key.name = spec.name;
    const auto found = std::lower_bound(inputs->begin(), inputs->end(), key, by_name);
    if (found == inputs->end() || found->name != spec.name) return false;
    ordered.push_back(*found);
  }
  // Signature names are unique, so `ordered` holds every input exactly once.
  *inputs = std::move(ordered);
  return true;
}

Status CheckInput(const TensorSpec& spec, const TensorView& input) {
  if (input.dtype != spec.dtype) {
    return Invalid("dtype_mismatch",
                   fmt::format("inference input '{}' data-type is '{}', but the model expects '{}'",
                               spec.name, KServeName(input.dtype), KServeName(spec.dtype)));
  }
  if (!input.shape.Elements()) {
    return Invalid(
        "shape_invalid",
        fmt::format("input '{}' has shape {}: every dimension must be 0 or more and their "
                    "product below 2^62",
                    spec.name, input.shape.ToString()));
  }
  if (spec.rank_known && !spec.shape.Admits(input.shape)) {
    return Invalid("shape_mismatch",
                   fmt::format("unexpected shape for input '{}': expected {}, got {}", spec.name,
                               spec.shape.ToString(), input.shape.ToString()));
  }
  return CheckData(input);
}

}  // namespace

Status ValidateInputs(const Signature& signature, bool batches, std::vector<TensorView>* inputs) {
  if (inputs->size() != signature.inputs.size()) return NameError(signature, *inputs);
  if (!InOrder(signature, *inputs) && !Reorder(signature, inputs)) {
    return NameError(signature, *inputs);
  }
  for (std::size_t i = 0; i < inputs->size(); ++i) {
    BRIM_RETURN_IF_ERROR(CheckInput(signature.inputs[i], (*inputs)[i]));
  }
  if (!batches) return OkStatus();
  for (const TensorView& input : *inputs) {
    const TensorView& first = inputs->front();
    if (input.shape.rank() == 0 || input.shape[0] != first.shape[0]) {
      return Invalid(
          "batch_mismatch",
          fmt::format("input '{}' has shape {} but input '{}' has {}: the first dimension is "
                      "the batch and must be the same in all inputs",
                      input.name, input.shape.ToString(), first.name, first.shape.ToString()));
    }
  }
  return OkStatus();
}

Status ValidateOutputs(const Signature& signature, std::vector<std::uint32_t>* outputs) {
  const std::size_t known = signature.outputs.size();
  if (outputs->empty()) {
    outputs->resize(known);
    for (std::size_t i = 0; i < known; ++i) (*outputs)[i] = static_cast<std::uint32_t>(i);
    return OkStatus();
  }
  if (outputs->size() > known) {
    return Invalid("output_repeated", fmt::format("{} outputs are asked for, but the model has {}",
                                                  outputs->size(), known));
  }
  // Ascending order, the usual case, proves that none repeats.
  bool ascending = true;
  for (std::size_t i = 0; i < outputs->size(); ++i) {
    const std::uint32_t output = (*outputs)[i];
    if (output >= known) {
      return Invalid("output_unknown",
                     fmt::format("output {} is asked for, but the model has {}: {}", output, known,
                                 Names(signature.outputs)));
    }
    ascending = ascending && (i == 0 || (*outputs)[i - 1] < output);
  }
  if (ascending) return OkStatus();
  std::vector<bool> seen(known, false);
  for (const std::uint32_t output : *outputs) {
    if (seen[output]) {
      return Invalid("output_repeated", fmt::format("output '{}' is asked for more than once",
                                                    signature.outputs[output].name));
    }
    seen[output] = true;
  }
  return OkStatus();
}

}  // namespace brim::serving
