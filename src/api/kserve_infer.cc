#include "api/kserve_infer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "api/kserve_classify.h"
#include "base/text.h"

namespace brim::api {
namespace {

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

}  // namespace

KserveLimits LimitsOf(const Services& services) {
  KserveLimits limits;
  limits.json_depth_max = services.json_depth_max;
  limits.tensors_max = services.tensors_max;
  return limits;
}

Result<serving::VersionHandle> FindVersion(const serving::Repository& repository,
                                           std::string_view model, std::string_view version) {
  serving::ModelRef ref;
  ref.name = model;
  if (!version.empty()) {
    ref.number = ParseInt64(version);
    if (!ref.number || *ref.number < 0) {
      return Invalid("version_invalid",
                     fmt::format("failed to get model version from specified version string '{}', "
                                 "version should be an integral value > 0",
                                 version.substr(0, 64)));
    }
  }
  Result<serving::VersionHandle> found = repository.Find(ref);
  if (found.ok()) return found;
  const Status status = found.status();
  const std::string_view shown = model.substr(0, 256);
  const std::string which = version.empty() ? fmt::format("'{}'", shown)
                                            : fmt::format("'{}' version {}", shown, *ref.number);
  if (status.code() == Code::kNotFound) {
    return Status(Code::kNotFound, "model_unknown",
                  fmt::format("Request for unknown model: {} is not found", which));
  }
  return Status(
      status.code(), "model_unavailable",
      fmt::format("Request for model {} that is not at ready state: {}", which, status.message()));
}

Status KserveInfer::Prepare(serving::VersionHandle found, const Origin& origin) {
  version = std::move(found);
  signature = &version->info().Default();
  received = origin.received;
  deadline = origin.deadline;
  cancelled = origin.cancelled;
  may_run_here = true;
  loop = origin.loop;
  inputs.swap(message.inputs);
  priority = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(message.priority, std::numeric_limits<std::uint32_t>::max()));
  constexpr std::uint64_t kTimeoutMax = 365ull * 24 * 3600 * 1'000'000;  // A year, in microseconds.
  if (message.timeout_us != 0 && version->config().queue.timeout_override) {
    const Time until =
        received + std::chrono::microseconds(std::min(message.timeout_us, kTimeoutMax));
    timeout_applies_ = until < deadline;
    deadline = std::min(deadline, until);
  }
  BRIM_RETURN_IF_ERROR(CheckRows());
  BRIM_RETURN_IF_ERROR(ResolveOutputs());
  return message.shared_inputs.empty() ? OkStatus() : ReadShared();
}

Status KserveInfer::CheckRows() const {
  const int rows_max = version->config().max_batch_size;
  if (rows_max <= 0) return OkStatus();
  for (const model::TensorView& input : inputs) {
    if (input.shape.rank() == 0) {
      return Invalid("batch_dimension",
                     fmt::format("input '{}' has no shape but model requires batch dimension for "
                                 "'{}'",
                                 input.name, version->model()));
    }
    if (input.shape[0] != inputs.front().shape[0]) {
      return Invalid("batch_mismatch",
                     fmt::format("input '{}' batch size does not match other inputs for '{}'",
                                 input.name, version->model()));
    }
    if (input.shape[0] > rows_max) {
      return Invalid("batch_too_large",
                     fmt::format("inference request batch-size must be <= {} for '{}'", rows_max,
                                 version->model()));
    }
  }
  return OkStatus();
}

Status KserveInfer::ResolveOutputs() {
  bool any_shared = false;
  outputs.reserve(message.outputs.size());
  for (const KserveOutput& wanted : message.outputs) {
    const model::TensorSpec* spec = signature->FindOutput(wanted.name);
    if (spec == nullptr) {
      return Invalid("output_unknown",
                     fmt::format("unexpected inference output '{}' for model '{}'", wanted.name,
                                 version->model()));
    }
    outputs.push_back(static_cast<std::uint32_t>(spec - signature->outputs.data()));
    any_shared = any_shared || !wanted.shared.region.empty();
  }
  return any_shared ? FindSharedOutputs() : OkStatus();
}

Status KserveInfer::ReadShared() {
  SharedRegions& regions = *services_.shared_regions;
  std::uint64_t bytes = 0;
  for (const auto& [index, part] : message.shared_inputs) {
    const model::TensorView& input = inputs[index];
    const auto dense = model::DenseBytes(input.dtype, input.shape);
    if (dense && *dense != part.bytes) {
      return Invalid("byte_size_mismatch",
                     fmt::format("input byte size mismatch for input '{}' for model '{}'. Expected "
                                 "{}, got {} in shared memory",
                                 input.name, version->model(), *dense, part.bytes));
    }
    BRIM_RETURN_IF_ERROR(regions.Find(part.region, part.offset, part.bytes).status());
    // An object may be sparse and as large as it likes.
    if (__builtin_add_overflow(bytes, part.bytes, &bytes)) bytes = UINT64_MAX;
  }
  BRIM_RETURN_IF_ERROR(regions.Take(bytes, &lease_));
  for (const auto& [index, part] : message.shared_inputs) {
    BRIM_ASSIGN_OR_RETURN(const auto region, regions.Find(part.region, part.offset, part.bytes));
    ByteBuffer& copy = message.owned.emplace_back();
    const std::span<std::byte> room(copy.Extend(part.bytes), part.bytes);
    BRIM_RETURN_IF_ERROR(region->Read(part.offset, room).WithContext(part.region));
    inputs[index].data = room;
  }
  return OkStatus();
}

Status KserveInfer::FindSharedOutputs() {
  for (const KserveOutput& wanted : message.outputs) {
    regions_.emplace_back();
    const KserveSharedPart& part = wanted.shared;
    if (part.region.empty()) continue;
    BRIM_ASSIGN_OR_RETURN(regions_.back(),
                          services_.shared_regions->Find(part.region, part.offset, part.bytes));
  }
  return OkStatus();
}

Status KserveInfer::WriteShared(std::size_t i, KserveAnswerTensor* out) const {
  const KserveSharedPart& part = message.outputs[i].shared;
  const std::span<const std::byte> data = out->tensor.data;
  if (data.size() > part.bytes) {
    return Invalid("shared_memory_size",
                   fmt::format("shared memory size specified with the request for output '{}' ({} "
                               "bytes) should be at least {} bytes to hold the results",
                               out->tensor.name, part.bytes, data.size()));
  }
  BRIM_RETURN_IF_ERROR(regions_[i]->Write(part.offset, data).WithContext(part.region));
  out->elsewhere = true;
  out->tensor.data = {};
  out->binary = false;
  return OkStatus();
}

Status KserveInfer::MakeAnswer(std::span<const model::TensorView> values, KserveAnswer* answer) {
  if (!message.outputs.empty() && values.size() != message.outputs.size()) {
    return Status(Code::kInternal, "output_count",
                  fmt::format("the model gave {} outputs where {} were asked for", values.size(),
                              message.outputs.size()));
  }
  answers_.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    KserveAnswerTensor& out = answers_.emplace_back();
    out.tensor = values[i];
    out.binary = message.binary_output;
    if (message.outputs.empty()) continue;
    const KserveOutput& wanted = message.outputs[i];
    out.binary = wanted.binary.value_or(message.binary_output);
    if (wanted.classes != 0) {
      BRIM_RETURN_IF_ERROR(Classify(values[i], version->config().max_batch_size > 0, wanted.classes,
                                    &message.owned.emplace_back(), &out.tensor));
    }
    if (!wanted.shared.region.empty()) BRIM_RETURN_IF_ERROR(WriteShared(i, &out));
  }
  answer->model_name = version->model();
  answer->model_version = version->number_text();
  answer->id = message.id;
  answer->parameters = message.parameters;
  answer->outputs = answers_;
  return OkStatus();
}

bool KserveInfer::Reset() {
  constexpr std::size_t kTensorsKeptMax = 8;
  if (regions_.capacity() > 0 || inputs.capacity() > kTensorsKeptMax ||
      message.inputs.capacity() > kTensorsKeptMax || outputs.capacity() > kTensorsKeptMax ||
      message.outputs.capacity() > kTensorsKeptMax || answers_.capacity() > kTensorsKeptMax ||
      message.IsUnusual()) {
    return false;
  }
  Clear();
  message.Clear();
  answers_.clear();
  timeout_applies_ = false;
  return true;
}

Status KserveInfer::Worded(const Status& status) const {
  if (status.code() == Code::kDeadlineExceeded && timeout_applies_) {
    return Status(Code::kUnavailable, "timeout", "Request timeout expired");
  }
  return status;
}

}  // namespace brim::api
