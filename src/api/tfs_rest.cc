// See tfs_rest.h.
#include "api/tfs_rest.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "api/status_map.h"
#include "api/tfs_json.h"
#include "api/tfs_servable.h"
#include "base/json.h"
#include "base/text.h"

namespace brim::api {
namespace {

using serving::TfsStats;

// Takes "/word" (of any case) off the front of rest.
bool TakeWord(std::string_view* rest, std::string_view word) {
  if (rest->size() < word.size() || !EqualsIgnoreCase(rest->substr(0, word.size()), word))
    return false;
  rest->remove_prefix(word.size());
  return true;
}

// Takes what [^/:]+ would match.
std::string_view TakeName(std::string_view* rest) {
  const std::string_view name = rest->substr(0, rest->find_first_of("/:"));
  rest->remove_prefix(name.size());
  return name;
}

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

TfsStats::Api ApiOf(std::string_view verb) {
  if (EqualsIgnoreCase(verb, "classify")) return TfsStats::kClassify;
  if (EqualsIgnoreCase(verb, "regress")) return TfsStats::kRegress;
  return TfsStats::kPredict;
}

// A predict, classify or regress call; lives as long as its HttpCall.
class RestInference final : public TfsInference, public io::CallState {
 public:
  RestInference(const Services& services, io::HttpCall& call, const TfsModelSpec& spec)
      : TfsInference(services, TfsStats::kRest), call_(call), spec_(spec) {}

  void Start() {
    received = call_.received();
    const Status status = Prepare();
    if (!status.ok()) return Fail(status);
    Run(call_.received(), Time::max(), &call_.cancelled(), call_.own_loop());
  }

  void OnDone(const Status& status, std::span<const model::TensorView> values) override {
    if (!status.ok()) return Fail(status);
    io::HttpReply reply;
    const Status written = Write(Named(values), &reply.body);
    if (!written.ok()) return Fail(written);
    Send(OkStatus(), std::move(reply));
  }

 private:
  // The order is TensorFlow Serving's: a body that is no JSON is told before an unknown model.
  Status Prepare() {
    Result<serving::VersionHandle> found = FindServable(services_.repository, spec_);
    if (found.ok()) version = *found;
    TfsJsonRequest request({.depth_max = services_.json_depth_max});
    BRIM_RETURN_IF_ERROR(request.Parse(call_.body()));
    if (!found.ok()) return found.status();
    signature = FindSignature(*version, request.signature_name());
    if (api != TfsStats::kPredict) {
      if (signature == nullptr) {
        return Status(Code::kInvalidArgument, "signature_unknown",
                      fmt::format("No signature was found with the name: {}",
                                  request.signature_name().substr(0, 256)));
      }
      BRIM_RETURN_IF_ERROR(api == TfsStats::kClassify ? CheckClassifySignature(*signature)
                                                      : CheckRegressSignature(*signature));
      return request.FillExamples(kExamplesInput, &tensors);
    }
    if (signature == nullptr) {
      return Status(Code::kInvalidArgument, "signature_unknown",
                    fmt::format("Serving signature name: \"{}\" not found in signature def",
                                request.signature_name().substr(0, 256)));
    }
    return request.FillInputs(*signature, &tensors, &format_);
  }

  Status Write(const std::vector<model::TensorView>& values, ByteBuffer* out) const {
    if (api == TfsStats::kPredict) return WritePredictions(format_, values, out);
    if (api == TfsStats::kClassify) {
      Classification read;
      BRIM_RETURN_IF_ERROR(ReadClassification(values, Examples(), &read));
      WriteClassifications(read.labels, read.scores, out);
      return OkStatus();
    }
    const model::TensorView* regressions = nullptr;
    BRIM_RETURN_IF_ERROR(ReadRegression(values, Examples(), &regressions));
    WriteRegressions(*regressions, out);
    return OkStatus();
  }

  void Fail(const Status& status) { Send(status, ErrorReply(status, retry_delay)); }

  // The call, and with it this, may be gone when it returns.
  void Send(const Status& status, io::HttpReply reply) {
    Count(status, call_.peer(), call_.Header("x-request-id"), spec_.name, call_.body().size(),
          reply.body.size());
    call_.Reply(std::move(reply));
  }

  io::HttpCall& call_;
  const TfsModelSpec spec_;  // Views into the call's path.
  TfsFormat format_ = TfsFormat::kRow;
};

void Send(io::HttpCall& call, std::string_view json) {
  io::HttpReply reply;
  reply.body.Append(json);
  call.Reply(std::move(reply));
}

// TensorInfo as protobuf's JSON mapping writes it: 64-bit numbers are strings.
void WriteTensors(JsonWriter* w, const std::vector<model::TensorSpec>& tensors) {
  w->BeginObject();
  for (const model::TensorSpec& tensor : tensors) {
    w->Key(tensor.name).BeginObject();
    w->Key("dtype").String(model::TensorFlowName(tensor.dtype));
    w->Key("tensor_shape").BeginObject().Key("dim").BeginArray();
    if (tensor.rank_known) {
      for (const std::int64_t size : tensor.shape.dims()) {
        w->BeginObject()
            .Key("size")
            .String(std::to_string(size))
            .Key("name")
            .String("")
            .EndObject();
      }
    }
    w->EndArray().Key("unknown_rank").Bool(!tensor.rank_known).EndObject();
    w->Key("name").String(tensor.name).EndObject();
  }
  w->EndObject();
}

std::string MetadataJson(const serving::Version& version) {
  std::string json;
  JsonWriter w(&json);
  w.BeginObject().Key("model_spec").BeginObject();
  w.Key("name").String(version.model()).Key("signature_name").String("");
  w.Key("version").String(version.number_text()).EndObject();
  w.Key("metadata").BeginObject().Key("signature_def").BeginObject();
  w.Key("@type").String("type.googleapis.com/tensorflow.serving.SignatureDefMap");
  w.Key("signature_def").BeginObject();
  for (const model::Signature& signature : version.info().signatures) {
    w.Key(signature.name).BeginObject();
    w.Key("inputs");
    WriteTensors(&w, signature.inputs);
    w.Key("outputs");
    WriteTensors(&w, signature.outputs);
    w.Key("method_name").String(signature.method_name);
    w.Key("defaults").BeginObject().EndObject().EndObject();
  }
  w.EndObject().EndObject().EndObject().EndObject();
  json.push_back('\n');
  return json;
}

std::string StatusJson(const std::vector<TfsVersionStatus>& versions) {
  std::string json;
  JsonWriter w(&json);
  w.BeginObject().Key("model_version_status").BeginArray();
  for (const TfsVersionStatus& version : versions) {
    w.BeginObject().Key("version").String(std::to_string(version.version));
    w.Key("state").String(TfsStateName(version.state));
    w.Key("status").BeginObject().Key("error_code").String(CodeName(version.status.code()));
    w.Key("error_message")
        .String(version.status.ok() ? std::string_view() : version.status.message());
    w.EndObject().EndObject();
  }
  w.EndArray().EndObject();
  json.push_back('\n');
  return json;
}

}  // namespace

std::optional<TfsRestPath> ParseTfsRestPath(std::string_view path, Status* status) {
  TfsRestPath parsed;
  std::string_view rest = path;
  if (!TakeWord(&rest, "/v1/models")) return std::nullopt;
  if (rest.empty()) return parsed;
  if (rest.front() == '/') {
    rest.remove_prefix(1);
    parsed.spec.name = TakeName(&rest);
    if (parsed.spec.name.empty()) return std::nullopt;
  }
  if (TakeWord(&rest, "/versions/")) {
    const std::string_view digits = TakeName(&rest);
    if (!IsDigits(digits)) return std::nullopt;
    parsed.spec.version = ParseInt64(digits);
    if (!parsed.spec.version) {
      *status =
          Status(Code::kInvalidArgument, "version_range",
                 fmt::format("Failed to convert version: {} to numeric.", digits.substr(0, 64)));
    }
  } else if (TakeWord(&rest, "/labels/")) {
    parsed.spec.label = TakeName(&rest);
    if (parsed.spec.label.empty()) return std::nullopt;
  }
  if (rest.empty()) return parsed;
  if (EqualsIgnoreCase(rest, "/metadata")) {
    parsed.metadata = true;
    return parsed;
  }
  if (rest.front() != ':' || parsed.spec.name.empty()) return std::nullopt;
  parsed.verb = rest.substr(1);
  for (const std::string_view verb : {"predict", "classify", "regress"}) {
    if (EqualsIgnoreCase(parsed.verb, verb)) return parsed;
  }
  return std::nullopt;
}

bool TfsRest::Handle(io::HttpCall& call) {
  const std::string_view path = call.path();
  std::string_view rest = path;
  if (!TakeWord(&rest, "/v1/") || TakeWord(&rest, "brim/")) return false;
  Status status;
  const std::optional<TfsRestPath> parsed = ParseTfsRestPath(path, &status);
  const bool infer = parsed && !parsed->verb.empty();
  const bool fits =
      infer ? call.method() == "POST" : call.method() == "GET" || call.method() == "HEAD";
  if (!parsed || !fits) {
    constexpr std::size_t kShown = 512;
    call.Reply(ErrorReply(
        400, fmt::format("Malformed request: {} {}", call.method(), path.substr(0, kShown))));
  } else if (!status.ok()) {
    call.Reply(ErrorReply(status));
  } else if (infer) {
    Infer(call, *parsed);
  } else if (parsed->spec.name.empty()) {
    call.Reply(ErrorReply(400, "Missing model name in request."));
  } else if (parsed->metadata) {
    DescribeSignatures(call, parsed->spec);
  } else {
    DescribeVersions(call, parsed->spec);
  }
  return true;
}

void TfsRest::Infer(io::HttpCall& call, const TfsRestPath& path) {
  auto inference = std::make_unique<RestInference>(services_, call, path.spec);
  inference->api = ApiOf(path.verb);
  RestInference& started = *inference;
  call.Attach(std::move(inference));
  started.Start();
}

void TfsRest::DescribeVersions(io::HttpCall& call, const TfsModelSpec& spec) {
  const Result<std::vector<TfsVersionStatus>> versions =
      DescribeServable(services_.repository, spec);
  if (!versions.ok()) return call.Reply(ErrorReply(versions.status()));
  Send(call, StatusJson(*versions));
}

void TfsRest::DescribeSignatures(io::HttpCall& call, const TfsModelSpec& spec) {
  const Result<serving::VersionHandle> found = FindServable(services_.repository, spec);
  if (!found.ok()) return call.Reply(ErrorReply(found.status()));
  Send(call, MetadataJson(**found));
}

}  // namespace brim::api
