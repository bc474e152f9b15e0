#include "serving/signature_check.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace brim::serving {
namespace {

Status Mismatch(std::string text) {
  return Status(Code::kInvalidArgument, "signature_mismatch", std::move(text));
}

std::string Names(const std::vector<model::TensorSpec>& specs) {
  std::string names;
  for (const model::TensorSpec& spec : specs) {
    if (names.size() > 500) return names + ", …";
    if (!names.empty()) names += ", ";
    names += "'" + spec.name + "'";
  }
  return names;
}

// Both given by side and name: "input 'x'".
Status CheckShape(std::string_view side, const TensorConfig& stated, bool batched,
                  model::TensorSpec* spec) {
  model::Shape shape = stated.dims;
  if (batched && !shape.Prepend(model::kDynamic)) {
    return Mismatch(
        fmt::format("{} '{}' has too many dimensions in config.pbtxt", side, stated.name));
  }
  if (!spec->rank_known) {
    spec->shape = shape;
    spec->rank_known = true;
    return OkStatus();
  }
  const auto differ = [&](std::string_view why) {
    return Mismatch(
        fmt::format("{} '{}' has dims {}{} in config.pbtxt but the model declares {}{}", side,
                    stated.name, stated.dims.ToString(),
                    batched ? " (and a batch dimension, as max_batch_size is above 0)" : "",
                    spec->shape.ToString(), why));
  };
  if (shape.rank() != spec->shape.rank()) return differ("");
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    const std::int64_t own = spec->shape[axis];
    if (batched && axis == 0 && own != model::kDynamic) {
      return differ(": its batch dimension is fixed; set max_batch_size to 0 and state all dims");
    }
    if (shape[axis] != model::kDynamic && own != model::kDynamic && shape[axis] != own) {
      return differ("");
    }
  }
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (spec->shape[axis] == model::kDynamic) spec->shape.Set(axis, shape[axis]);
  }
  return OkStatus();
}

Status CheckSide(std::string_view side, const std::vector<TensorConfig>& stated, bool batched,
                 std::vector<model::TensorSpec>* specs) {
  for (const TensorConfig& tensor : stated) {
    model::TensorSpec* found = nullptr;
    for (model::TensorSpec& spec : *specs) {
      if (spec.name == tensor.name) found = &spec;
    }
    if (found == nullptr) {
      return Mismatch(fmt::format("config.pbtxt has the {} '{}' but the model has {}", side,
                                  tensor.name, Names(*specs)));
    }
    if (tensor.dtype != model::DType::kInvalid && tensor.dtype != found->dtype) {
      return Mismatch(fmt::format("{} '{}' is {} in config.pbtxt but {} in the model", side,
                                  tensor.name, model::TritonConfigName(tensor.dtype),
                                  model::TritonConfigName(found->dtype)));
    }
    if (tensor.dims.rank() > 0 || batched) {
      BRIM_RETURN_IF_ERROR(CheckShape(side, tensor, batched, found));
    }
  }
  return OkStatus();
}

}  // namespace

Status CheckSignature(const ModelConfig& config, model::ModelInfo* info) {
  const std::string_view name = info->Default().name;
  model::Signature* signature = nullptr;
  for (model::Signature& candidate : info->signatures) {
    if (signature == nullptr && candidate.name == name) signature = &candidate;
  }
  const bool batched = config.max_batch_size > 0;
  if (!config.inputs.empty()) {
    for (const model::TensorSpec& spec : signature->inputs) {
      bool stated = false;
      for (const TensorConfig& tensor : config.inputs) stated |= tensor.name == spec.name;
      if (!stated) {
        return Mismatch(fmt::format(
            "the model has the input '{}', which config.pbtxt does not state: state all or none",
            spec.name));
      }
    }
  }
  BRIM_RETURN_IF_ERROR(CheckSide("input", config.inputs, batched, &signature->inputs));
  return CheckSide("output", config.outputs, batched, &signature->outputs);
}

}  // namespace brim::serving
