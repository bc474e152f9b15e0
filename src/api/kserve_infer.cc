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
  return ResolveOutputs();
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
  outputs.reserve(message.outputs.size());
  for (const KserveOutput& wanted : message.outputs) {
    const model::TensorSpec* spec = signature->FindOutput(wanted.name);
    if (spec == nullptr) {
      return Invalid("output_unknown",
                     fmt::format("unexpected inference output '{}' for model '{}'", wanted.name,
                                 version->model()));
    }
    outputs.push_back(static_cast<std::uint32_t>(spec - signature->outputs.data()));
  }
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
    if (wanted.classes == 0) continue;
    BRIM_RETURN_IF_ERROR(Classify(values[i], version->config().max_batch_size > 0, wanted.classes,
                                  &message.owned.emplace_back(), &out.tensor));
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
  if (inputs.capacity() > kTensorsKeptMax || message.inputs.capacity() > kTensorsKeptMax ||
      outputs.capacity() > kTensorsKeptMax || message.outputs.capacity() > kTensorsKeptMax ||
      answers_.capacity() > kTensorsKeptMax || message.IsUnusual()) {
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
