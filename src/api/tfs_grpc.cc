// See tfs_grpc.h.
#include "api/tfs_grpc.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "api/tfs_proto.h"
#include "api/tfs_servable.h"

namespace brim::api {
namespace {

using serving::TfsStats;

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

Status MissingSpec() { return Invalid("model_missing", "Missing ModelSpec"); }

enum class Method : std::uint8_t {
  kUnknown,
  kPredict,
  kClassify,
  kRegress,
  kMultiInference,
  kGetModelMetadata,
  kGetModelStatus,
  kReload,
};

Method MethodOf(std::string_view path) {
  constexpr std::string_view kPrefix = "/tensorflow.serving.";
  if (!path.starts_with(kPrefix)) return Method::kUnknown;
  path.remove_prefix(kPrefix.size());
  if (path == "PredictionService/Predict") return Method::kPredict;
  if (path == "PredictionService/Classify") return Method::kClassify;
  if (path == "PredictionService/Regress") return Method::kRegress;
  if (path == "PredictionService/MultiInference") return Method::kMultiInference;
  if (path == "PredictionService/GetModelMetadata") return Method::kGetModelMetadata;
  if (path == "ModelService/GetModelStatus") return Method::kGetModelStatus;
  if (path == "ModelService/HandleReloadConfigRequest") return Method::kReload;
  return Method::kUnknown;
}

// A Predict, Classify or Regress call; lives as long as its GrpcCall.
class GrpcInference final : public TfsInference, public io::CallState {
 public:
  GrpcInference(const Services& services, io::GrpcCall& call)
      : TfsInference(services, TfsStats::kGrpc), call_(call) {}

  void Start() {
    received = call_.received();
    const Status status = api == TfsStats::kPredict ? PreparePredict() : PrepareExamples();
    if (!status.ok()) return Fail(status);
    Run(call_.received(), call_.deadline(), &call_.cancelled(), call_.own_loop());
  }

  void OnDone(const Status& status, std::span<const model::TensorView> values) override {
    if (!status.ok()) return Fail(status);
    ByteBuffer answer;
    const Status written = Write(Named(values), &answer);
    if (!written.ok()) return Fail(written);
    CountOne(OkStatus(), answer.size());
    call_.Reply(std::move(answer));
  }

 private:
  Status PreparePredict() {
    TfsPredictMessage message;
    BRIM_RETURN_IF_ERROR(ParsePredict(call_.message(), TfsLimitsOf(services_), &message));
    BRIM_RETURN_IF_ERROR(Find(message.spec));
    if (signature == nullptr) {
      return Status(Code::kFailedPrecondition, "signature_unknown",
                    fmt::format("Serving signature key \"{}\" not found.",
                                spec_.signature_name.substr(0, 256)));
    }
    BRIM_RETURN_IF_ERROR(CheckInputNames(*signature, message.inputs));
    BRIM_RETURN_IF_ERROR(ResolveOutputFilter(*signature, message.output_filter, &outputs));
    return DecodeInputs(message.inputs, TfsLimitsOf(services_), &tensors);
  }

  Status PrepareExamples() {
    TfsSpecMessage message;
    BRIM_RETURN_IF_ERROR(ParseSpec(call_.message(), TfsLimitsOf(services_), &message));
    BRIM_RETURN_IF_ERROR(Find(message.spec));
    if (signature == nullptr) {
      return Invalid("signature_unknown", fmt::format("No signature was found with the name: {}",
                                                      spec_.signature_name.substr(0, 256)));
    }
    BRIM_RETURN_IF_ERROR(api == TfsStats::kClassify ? CheckClassifySignature(*signature)
                                                    : CheckRegressSignature(*signature));
    return DecodeExamples(message.input, kExamplesInput, TfsLimitsOf(services_), &tensors);
  }

  Status Find(const std::optional<TfsModelSpec>& spec) {
    if (!spec) return MissingSpec();
    spec_ = *spec;
    BRIM_ASSIGN_OR_RETURN(version, FindServable(services_.repository, spec_));
    signature = FindSignature(*version, spec_.signature_name);
    return OkStatus();
  }

  Status Write(const std::vector<model::TensorView>& values, ByteBuffer* out) const {
    const TfsAnswerSpec spec{version->model(), version->number(), signature->name};
    if (api == TfsStats::kPredict) {
      WritePredictResponse(spec, values, out);
      return OkStatus();
    }
    if (api == TfsStats::kClassify) {
      Classification read;
      BRIM_RETURN_IF_ERROR(ReadClassification(values, Examples(), &read));
      WriteClassificationResponse(spec, read.labels, read.scores, out);
      return OkStatus();
    }
    const model::TensorView* regressions = nullptr;
    BRIM_RETURN_IF_ERROR(ReadRegression(values, Examples(), &regressions));
    WriteRegressionResponse(spec, *regressions, out);
    return OkStatus();
  }

  void CountOne(const Status& status, std::uint64_t bytes_out) const {
    Count(status, call_.peer(), call_.Metadata("x-request-id"), spec_.name, call_.message().size(),
          bytes_out);
  }

  // The call, and with it this, may be gone when it returns.
  void Fail(const Status& status) {
    CountOne(status, 0);
    const Duration delay = retry_delay;
    call_.Finish(status, delay);
  }

  io::GrpcCall& call_;
  TfsModelSpec spec_;  // Views into the call's message.
};

}  // namespace

io::GrpcHandler::Kind TfsGrpc::Lookup(std::string_view method) const {
  return MethodOf(method) == Method::kUnknown ? io::GrpcHandler::Kind::kUnknown
                                              : io::GrpcHandler::Kind::kUnary;
}

void TfsGrpc::OnUnary(io::GrpcCall& call) {
  auto start = [&](TfsStats::Api api) {
    auto inference = std::make_unique<GrpcInference>(services_, call);
    inference->api = api;
    GrpcInference& started = *inference;
    call.Attach(std::move(inference));
    started.Start();
  };
  switch (MethodOf(call.method())) {
    case Method::kPredict:
      return start(TfsStats::kPredict);
    case Method::kClassify:
      return start(TfsStats::kClassify);
    case Method::kRegress:
      return start(TfsStats::kRegress);
    case Method::kGetModelMetadata:
      return GetModelMetadata(call);
    case Method::kGetModelStatus:
      return GetModelStatus(call);
    case Method::kMultiInference:
      return call.Finish(
          Status(Code::kUnimplemented, "multi_inference",
                 "MultiInference is not supported; send one Classify or Regress request per task"));
    case Method::kReload:
      return call.Finish(
          Status(Code::kUnimplemented, "reload_config",
                 "HandleReloadConfigRequest is not supported: the model directory is watched, so "
                 "add or remove version "
                 "directories there, or use RepositoryModelLoad and RepositoryModelUnload of "
                 "inference.GRPCInferenceService"));
    case Method::kUnknown:
      break;
  }
  call.Finish(Status(Code::kUnimplemented, "method_unknown", "unknown method"));
}

void TfsGrpc::GetModelMetadata(io::GrpcCall& call) {
  TfsSpecMessage message;
  const Status parsed = ParseSpec(call.message(), TfsLimitsOf(services_), &message);
  if (!parsed.ok()) return call.Finish(parsed);
  if (!message.spec) return call.Finish(MissingSpec());
  if (message.metadata_fields.empty()) {
    return call.Finish(Invalid("metadata_field",
                               "GetModelMetadataRequest must specify at least one metadata_field"));
  }
  for (const std::string_view field : message.metadata_fields) {
    if (field == "signature_def") continue;
    return call.Finish(Invalid(
        "metadata_field", fmt::format("Metadata field {} is not supported", field.substr(0, 256))));
  }
  const Result<serving::VersionHandle> found = FindServable(services_.repository, *message.spec);
  if (!found.ok()) return call.Finish(found.status());
  const serving::Version& version = **found;
  ByteBuffer answer;
  WriteMetadataResponse({version.model(), version.number(), {}}, version.info().signatures,
                        &answer);
  call.Reply(std::move(answer));
}

void TfsGrpc::GetModelStatus(io::GrpcCall& call) {
  TfsSpecMessage message;
  const Status parsed = ParseSpec(call.message(), TfsLimitsOf(services_), &message);
  if (!parsed.ok()) return call.Finish(parsed);
  if (!message.spec) return call.Finish(MissingSpec());
  const Result<std::vector<TfsVersionStatus>> versions =
      DescribeServable(services_.repository, *message.spec);
  if (!versions.ok()) return call.Finish(versions.status());
  ByteBuffer answer;
  WriteStatusResponse(*versions, &answer);
  call.Reply(std::move(answer));
}

}  // namespace brim::api
