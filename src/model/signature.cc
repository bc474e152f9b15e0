#include "model/signature.h"

#include <algorithm>

#include "base/check.h"

namespace brim::model {
namespace {

const TensorSpec* FindSpec(const std::vector<TensorSpec>& specs, std::string_view tensor) {
  for (const TensorSpec& spec : specs) {
    if (spec.name == tensor) return &spec;
  }
  return nullptr;
}

bool RowsFirst(const std::vector<TensorSpec>& specs) {
  for (const TensorSpec& spec : specs) {
    if (!spec.rank_known || spec.shape.rank() == 0 || spec.shape[0] != kDynamic) return false;
  }
  return !specs.empty();
}

}  // namespace

const TensorSpec* Signature::FindInput(std::string_view tensor) const {
  return FindSpec(inputs, tensor);
}

const TensorSpec* Signature::FindOutput(std::string_view tensor) const {
  return FindSpec(outputs, tensor);
}

bool Signature::Batchable() const { return RowsFirst(inputs) && RowsFirst(outputs); }

bool Signature::OnlyRowsVary() const {
  return Batchable() && std::all_of(inputs.begin(), inputs.end(), [](const TensorSpec& input) {
           const auto dims = input.shape.dims();
           return input.dtype != DType::kBytes &&
                  std::all_of(dims.begin() + 1, dims.end(), [](std::int64_t d) { return d >= 0; });
         });
}

const Signature* ModelInfo::Find(std::string_view signature) const {
  for (const Signature& candidate : signatures) {
    if (candidate.name == signature) return &candidate;
  }
  return nullptr;
}

const Signature& ModelInfo::Default() const {
  BRIM_CHECK(!signatures.empty());
  const Signature* named = Find(kDefaultSignature);
  return named != nullptr ? *named : signatures.front();
}

}  // namespace brim::model
