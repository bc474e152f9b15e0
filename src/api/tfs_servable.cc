// See tfs_servable.h.
#include "api/tfs_servable.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace brim::api {
namespace {

constexpr std::size_t kShownMax = 256;  // Of a name that a client made up.

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

std::string RequestText(const TfsModelSpec& spec, std::optional<std::int64_t> number) {
  const std::string_view name = spec.name.substr(0, kShownMax);
  return number ? fmt::format("Specific({}, {})", name, *number) : fmt::format("Latest({})", name);
}

std::int32_t StateNumber(serving::VersionState state) {
  switch (state) {
    case serving::VersionState::kStart:
      return 10;
    case serving::VersionState::kLoading:
      return 20;
    case serving::VersionState::kAvailable:
      return 30;
    case serving::VersionState::kUnloading:
      return 40;
    case serving::VersionState::kEnd:
      return 50;
  }
  return 0;
}

const model::TensorView* FindOutput(std::span<const model::TensorView> outputs,
                                    std::string_view name) {
  for (const model::TensorView& output : outputs) {
    if (output.name == name) return &output;
  }
  return nullptr;
}

Status CheckExamplesInput(const model::Signature& signature, std::string_view kind) {
  if (signature.inputs.size() != 1) return Invalid("signature_kind", "Expected one input Tensor.");
  if (signature.inputs[0].name != kExamplesInput ||
      signature.inputs[0].dtype != model::DType::kBytes) {
    return Invalid(
        "signature_kind",
        fmt::format(
            "No {} inputs found in SignatureDef: '{}' takes '{}' of {}; it must take 'inputs' of "
            "DT_STRING, serialized tensorflow.Example",
            kind, signature.name, signature.inputs[0].name,
            model::TensorFlowName(signature.inputs[0].dtype)));
  }
  return OkStatus();
}

// One of the two tensors of a classification: [examples, classes] of its dtype.
Status CheckClassTensor(const model::TensorView& tensor, std::string_view what, model::DType dtype,
                        std::int64_t examples) {
  if (tensor.shape.rank() != 2) {
    return Invalid("classify_output",
                   fmt::format("Expected Tensor shape: [batch_size num_classes] but got {}",
                               tensor.shape.ToString()));
  }
  if (tensor.dtype != dtype) {
    return Invalid("classify_output",
                   fmt::format("Expected {} Tensor of {}. Got: {}", what,
                               model::TensorFlowName(dtype), model::TensorFlowName(tensor.dtype)));
  }
  if (tensor.shape[0] != examples) {
    return Invalid("classify_output", fmt::format("Expected {} output batch size of {}. Got: {}",
                                                  what, examples, tensor.shape[0]));
  }
  return OkStatus();
}

std::string Joined(const std::set<std::string_view>& names) {
  return fmt::format("{}", fmt::join(names, ","));
}

std::set<std::string_view> Minus(const std::set<std::string_view>& a,
                                 const std::set<std::string_view>& b) {
  std::set<std::string_view> rest;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(rest, rest.end()));
  return rest;
}

}  // namespace

Result<serving::VersionHandle> FindServable(const serving::Repository& repository,
                                            const TfsModelSpec& spec) {
  if (spec.name.empty()) return Invalid("model_missing", "ModelSpec has no name specified.");
  Result<serving::VersionHandle> found = repository.Find({spec.name, spec.version, spec.label});
  // Public clients (ovmsclient) send version 0 for "the latest"; a real version 0 was found above.
  if (!found.ok() && spec.version == std::optional<std::int64_t>(0)) {
    found = repository.Find({spec.name, std::nullopt, spec.label});
  }
  if (found.ok()) return found;
  const Status why = found.status();
  if (!spec.label.empty() && why.code() == Code::kNotFound) {
    return Invalid("label_unknown", fmt::format("Unrecognized servable version label: {}",
                                                spec.label.substr(0, kShownMax)));
  }
  std::string text = "Servable not found for request: " + RequestText(spec, spec.version);
  // Of a model that is known, say why; clients match on the text before.
  if (why.code() != Code::kNotFound) text += ": " + why.message();
  // At start a client had better try again; later the code is TensorFlow Serving's.
  if (why.code() == Code::kUnavailable && !repository.Ready()) {
    return Status(Code::kUnavailable, "starting", std::move(text));
  }
  return Status(Code::kNotFound, "servable_unknown", std::move(text));
}

Result<std::vector<TfsVersionStatus>> DescribeServable(const serving::Repository& repository,
                                                       const TfsModelSpec& spec) {
  std::optional<std::int64_t> number = spec.version;
  if (!spec.label.empty()) {
    BRIM_ASSIGN_OR_RETURN(const serving::VersionHandle labelled, FindServable(repository, spec));
    number = labelled->number();
  }
  std::vector<TfsVersionStatus> versions;
  const Result<serving::ModelStatus> described = repository.Describe(spec.name);
  if (described.ok()) {
    const std::vector<serving::VersionStatus>& known = (*described).versions;
    const bool wanted_exists = std::any_of(known.begin(), known.end(), [&](const auto& version) {
      return number && version.number == *number;
    });
    // As in FindServable: 0 means any version where there is no version 0.
    const bool any = !number || (*number == 0 && !wanted_exists);
    for (const serving::VersionStatus& version : known) {
      if (any || version.number == *number) {
        versions.push_back({version.number, StateNumber(version.state), version.status});
      }
    }
  }
  if (!versions.empty()) return versions;
  const std::string_view name = spec.name.substr(0, kShownMax);
  std::string text = number ? fmt::format("Could not find version {} of model {}", *number, name)
                            : fmt::format("Could not find any versions of model {}", name);
  if (described.ok() && !(*described).status.ok()) text += ": " + (*described).status.message();
  return Status(Code::kNotFound, "servable_unknown", std::move(text));
}

std::string_view TfsStateName(std::int32_t state) {
  switch (state) {
    case 10:
      return "START";
    case 20:
      return "LOADING";
    case 30:
      return "AVAILABLE";
    case 40:
      return "UNLOADING";
    case 50:
      return "END";
    default:
      return "UNKNOWN";
  }
}

const model::Signature* FindSignature(const serving::Version& version, std::string_view name) {
  return name.empty() ? &version.info().Default() : version.info().Find(name);
}

Status CheckClassifySignature(const model::Signature& signature) {
  BRIM_RETURN_IF_ERROR(CheckExamplesInput(signature, "classification"));
  if (signature.outputs.size() != 1 && signature.outputs.size() != 2) {
    return Invalid("signature_kind", fmt::format("Expected one or two output Tensors, found {}",
                                                 signature.outputs.size()));
  }
  if (signature.FindOutput("classes") == nullptr && signature.FindOutput("scores") == nullptr) {
    return Invalid(
        "signature_kind",
        fmt::format(
            "Expected classification signature outputs to contain at least one of \"classes\" or "
            "\"scores\". Signature was: {}",
            signature.name));
  }
  return OkStatus();
}

Status CheckRegressSignature(const model::Signature& signature) {
  BRIM_RETURN_IF_ERROR(CheckExamplesInput(signature, "regression"));
  if (signature.outputs.size() != 1)
    return Invalid("signature_kind", "Expected one output Tensor.");
  if (signature.FindOutput("outputs") == nullptr) {
    return Invalid("signature_kind",
                   fmt::format("No regression outputs found in SignatureDef: '{}' gives '{}'; it "
                               "must give 'outputs'",
                               signature.name, signature.outputs[0].name));
  }
  return OkStatus();
}

Status ReadClassification(std::span<const model::TensorView> outputs, std::int64_t examples,
                          Classification* read) {
  read->labels = FindOutput(outputs, "classes");
  read->scores = FindOutput(outputs, "scores");
  if (read->labels == nullptr && read->scores == nullptr) {
    return Status(Code::kInternal, "classify_output", "the model gave neither classes nor scores");
  }
  if (read->labels != nullptr) {
    BRIM_RETURN_IF_ERROR(
        CheckClassTensor(*read->labels, "classes", model::DType::kBytes, examples));
  }
  if (read->scores != nullptr) {
    BRIM_RETURN_IF_ERROR(CheckClassTensor(*read->scores, "scores", model::DType::kFp32, examples));
  }
  if (read->labels != nullptr && read->scores != nullptr &&
      read->labels->shape[1] != read->scores->shape[1]) {
    return Invalid("classify_output",
                   fmt::format("Tensors class and score should match in dim_size(1). Got {} vs. {}",
                               read->labels->shape[1], read->scores->shape[1]));
  }
  return OkStatus();
}

Status ReadRegression(std::span<const model::TensorView> outputs, std::int64_t examples,
                      const model::TensorView** values) {
  const model::TensorView* tensor = FindOutput(outputs, "outputs");
  if (tensor == nullptr)
    return Status(Code::kInternal, "regress_output", "Could not find output tensor 'outputs'");
  const model::Shape& shape = tensor->shape;
  if (shape.rank() != 1 && !(shape.rank() == 2 && shape[1] == 1)) {
    return Invalid("regress_output",
                   fmt::format("Expected output Tensor shape to be either [batch_size] or "
                               "[batch_size, 1] but got {}",
                               shape.ToString()));
  }
  if (shape[0] != examples) {
    return Invalid("regress_output",
                   fmt::format("Input batch size did not match output batch size: {} vs. {}",
                               examples, shape[0]));
  }
  if (tensor->dtype != model::DType::kFp32) {
    return Invalid("regress_output", fmt::format("Expected output Tensor of DT_FLOAT.  Got: {}",
                                                 model::TensorFlowName(tensor->dtype)));
  }
  *values = tensor;
  return OkStatus();
}

Status CheckInputNames(const model::Signature& signature, std::span<const TfsNamedTensor> inputs) {
  bool equal = inputs.size() == signature.inputs.size();
  if (equal) {  // The usual case costs no set: few inputs, often in the signature's order.
    for (std::size_t i = 0; i < inputs.size() && equal; ++i)
      equal = inputs[i].name == signature.inputs[i].name;
    if (equal) return OkStatus();
  }
  std::set<std::string_view> sent, wanted;
  for (const TfsNamedTensor& input : inputs) sent.insert(input.name.substr(0, kShownMax));
  for (const model::TensorSpec& input : signature.inputs) wanted.insert(input.name);
  const std::set<std::string_view> extra = Minus(sent, wanted), missing = Minus(wanted, sent);
  if (extra.empty() && missing.empty()) return OkStatus();
  if (inputs.size() == signature.inputs.size()) {
    return Invalid(
        "input_unknown",
        fmt::format("input tensor alias not found in signature: {}. Inputs expected to be "
                    "in the set {{{}}}.",
                    *extra.begin(), Joined(wanted)));
  }
  return Invalid(
      "inputs_mismatch",
      fmt::format(
          "input size does not match signature: {}!={} len({{{}}}) != len({{{}}}). Sent extra: "
          "{{{}}}. Missing but required: {{{}}}.",
          inputs.size(), signature.inputs.size(), Joined(sent), Joined(wanted), Joined(extra),
          Joined(missing)));
}

Status ResolveOutputFilter(const model::Signature& signature,
                           std::span<const std::string_view> filter,
                           std::vector<std::uint32_t>* outputs) {
  if (filter.empty()) return OkStatus();
  std::vector<bool> seen(signature.outputs.size());
  for (const std::string_view name : filter) {
    const model::TensorSpec* spec = signature.FindOutput(name);
    if (spec == nullptr) {
      std::set<std::string_view> known;
      for (const model::TensorSpec& output : signature.outputs) known.insert(output.name);
      return Invalid(
          "output_unknown",
          fmt::format("output tensor alias not found in signature: {} Outputs expected to "
                      "be in the set {{{}}}.",
                      name.substr(0, kShownMax), Joined(known)));
    }
    const auto index = static_cast<std::size_t>(spec - signature.outputs.data());
    if (seen[index])
      return Invalid("output_repeated", fmt::format("duplicate output tensor alias: {}", name));
    seen[index] = true;
    outputs->push_back(static_cast<std::uint32_t>(index));
  }
  return OkStatus();
}

TfsProtoLimits TfsLimitsOf(const Services& services) {
  TfsProtoLimits limits;
  limits.tensors_max = services.tensors_max;
  return limits;
}

void TfsInference::Run(Time arrived, Time until, const std::atomic<bool>* gone, io::Loop* on_loop) {
  inputs = tensors.views;
  received = arrived;
  deadline = until;
  cancelled = gone;
  may_run_here = true;
  loop = on_loop;
  services_.engine.Infer(this);
}

std::vector<model::TensorView> TfsInference::Named(
    std::span<const model::TensorView> values) const {
  std::vector<model::TensorView> named(values.begin(), values.end());
  for (std::size_t i = 0; i < named.size(); ++i) {
    const std::size_t index = outputs.empty() ? i : outputs[i];
    if (index < signature->outputs.size()) named[i].name = signature->outputs[index].name;
  }
  return named;
}

void TfsInference::Count(const Status& status, std::string_view peer, std::string_view request_id,
                         std::string_view asked_model, std::uint64_t bytes_in,
                         std::uint64_t bytes_out) const {
  if (version != nullptr) {
    serving::TfsStats& stats = version->stats().tfs;
    stats.status[static_cast<std::size_t>(status.code())].Add(1);
    if (status.ok()) stats.latency[api][entrypoint_].Observe(services_.clock.Now() - received);
  }
  if (!AccessLogEnabled(services_)) return;
  AccessRecord record;
  record.request_id = request_id;
  record.protocol = entrypoint_ == serving::TfsStats::kRest ? "tfs_rest" : "tfs_grpc";
  record.peer = peer;
  record.model = asked_model;
  record.request = this;
  record.received = received;
  record.bytes_in = bytes_in;
  record.bytes_out = bytes_out;
  LogAccess(services_, record, status);
}

}  // namespace brim::api
