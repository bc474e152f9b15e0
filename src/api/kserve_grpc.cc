#include "api/kserve_grpc.h"

#include <array>
#include <cstdint>
#include <memory>
#include <typeinfo>
#include <utility>

#include "api/kserve_describe.h"
#include "api/kserve_infer.h"
#include "api/kserve_model_config.h"
#include "api/kserve_proto.h"
#include "api/kserve_settings.h"
#include "api/kserve_shared_memory.h"
#include "api/kserve_stream.h"
#include "api/proto_writer.h"

namespace brim::api {
namespace {

enum class Method : std::uint8_t {
  kNone,
  kModelInfer,
  kModelStreamInfer,
  kServerLive,
  kServerReady,
  kModelReady,
  kServerMetadata,
  kModelMetadata,
  kModelConfig,
  kModelStatistics,
  kRepositoryIndex,
  kRepositoryModelLoad,
  kRepositoryModelUnload,
  kSharedMemoryStatus,
  kSharedMemoryRegister,
  kSharedMemoryUnregister,
  kCudaMemoryQuestion,  // Status, and Unregister, which never finds anything: both answer empty.
  kCudaMemoryRegister,
  kTraceSetting,
  kLogSettings,
};

constexpr std::array<std::pair<std::string_view, Method>, 20> kMethods = {{
    {"ModelInfer", Method::kModelInfer},
    {"ModelStreamInfer", Method::kModelStreamInfer},
    {"ServerLive", Method::kServerLive},
    {"ServerReady", Method::kServerReady},
    {"ModelReady", Method::kModelReady},
    {"ServerMetadata", Method::kServerMetadata},
    {"ModelMetadata", Method::kModelMetadata},
    {"ModelConfig", Method::kModelConfig},
    {"ModelStatistics", Method::kModelStatistics},
    {"RepositoryIndex", Method::kRepositoryIndex},
    {"RepositoryModelLoad", Method::kRepositoryModelLoad},
    {"RepositoryModelUnload", Method::kRepositoryModelUnload},
    {"SystemSharedMemoryStatus", Method::kSharedMemoryStatus},
    {"SystemSharedMemoryUnregister", Method::kSharedMemoryUnregister},
    {"SystemSharedMemoryRegister", Method::kSharedMemoryRegister},
    {"CudaSharedMemoryStatus", Method::kCudaMemoryQuestion},
    {"CudaSharedMemoryUnregister", Method::kCudaMemoryQuestion},
    {"CudaSharedMemoryRegister", Method::kCudaMemoryRegister},
    {"TraceSetting", Method::kTraceSetting},
    {"LogSettings", Method::kLogSettings},
}};

Method MethodOf(std::string_view path) {
  constexpr std::string_view kPrefix = "/inference.GRPCInferenceService/";
  if (path.substr(0, kPrefix.size()) != kPrefix) return Method::kNone;
  path.remove_prefix(kPrefix.size());
  for (const auto& [name, method] : kMethods) {
    if (name == path) return method;
  }
  return Method::kNone;
}

// One ModelInfer, hung on its call until the answer is out.
class GrpcInfer final : public KserveInfer, public io::CallState {
 public:
  explicit GrpcInfer(const Services& services) : KserveInfer(services) {}

  void Start(io::GrpcCall& call);
  bool Recycle() override { return Reset(); }
  void OnDone(const Status& status, std::span<const model::TensorView> values) override;

 private:
  void Fail(const Status& status);
  void Log(const Status& status, std::size_t bytes_out);

  io::GrpcCall* call_ = nullptr;
};

void GrpcInfer::Start(io::GrpcCall& call) {
  call_ = &call;
  received = call.received();
  Status status = ReadInferProto(call.message(), LimitsOf(services_), &message);
  if (!status.ok()) return Fail(status);
  Result<serving::VersionHandle> found =
      FindVersion(services_.repository, message.model_name, message.model_version);
  if (!found.ok()) return Fail(found.status());
  status = Prepare(std::move(*found),
                   {call.received(), call.deadline(), &call.cancelled(), call.own_loop()});
  if (!status.ok()) return Fail(status);
  services_.engine.Infer(this);
}

void GrpcInfer::OnDone(const Status& status, std::span<const model::TensorView> values) {
  if (!status.ok()) return Fail(Worded(status));
  KserveAnswer answer;
  if (const Status made = MakeAnswer(values, &answer); !made.ok()) return Fail(made);
  ByteBuffer bytes = WriteInferProto(answer, call_->TakeBuffer());
  Log(OkStatus(), bytes.size());
  call_->Reply(std::move(bytes));  // *this may be gone now.
}

void GrpcInfer::Fail(const Status& status) {
  Log(status, 0);
  call_->Finish(status, retry_delay);  // *this may be gone now.
}

void GrpcInfer::Log(const Status& status, std::size_t bytes_out) {
  if (!AccessLogEnabled(services_)) return;
  LogAccess(services_,
            {RequestIdOf(call_->Metadata("x-request-id"), message.id), "kserve_grpc", call_->peer(),
             message.model_name, this, call_->received(), call_->message().size(), bytes_out},
            status);
}

ByteBuffer BoolMessage(bool value) {
  ByteBuffer out;
  ProtoWriter(&out).Bool(1, value);
  return out;
}

}  // namespace

io::GrpcHandler::Kind KserveGrpc::Lookup(std::string_view method) const {
  switch (MethodOf(method)) {
    case Method::kNone:
      return io::GrpcHandler::Kind::kUnknown;
    case Method::kModelStreamInfer:
      return io::GrpcHandler::Kind::kStream;
    default:
      return io::GrpcHandler::Kind::kUnary;
  }
}

void KserveGrpc::OnUnary(io::GrpcCall& call) {
  switch (MethodOf(call.method())) {
    case Method::kModelInfer:
      return Infer(call);
    case Method::kServerLive:
      return call.Reply(BoolMessage(true));
    case Method::kServerReady:
      return call.Reply(BoolMessage(services_.repository.Ready()));
    case Method::kModelReady:
      return ModelReady(call);
    case Method::kServerMetadata:
      return call.Reply(ServerMetadataProto(services_));
    case Method::kModelMetadata:
      return ModelMetadata(call);
    case Method::kModelConfig:
      return ModelConfig(call);
    case Method::kModelStatistics:
      return ModelStatistics(call);
    case Method::kRepositoryIndex:
      return RepositoryIndex(call);
    case Method::kRepositoryModelLoad:
      return LoadOrUnload(call, true);
    case Method::kRepositoryModelUnload:
      return LoadOrUnload(call, false);
    case Method::kSharedMemoryStatus:
      return SharedMemoryStatus(call);
    case Method::kSharedMemoryRegister:
      return RegisterSharedMemory(call);
    case Method::kSharedMemoryUnregister:
      return UnregisterSharedMemory(call);
    case Method::kCudaMemoryQuestion:
      return call.Reply(ByteBuffer());
    case Method::kCudaMemoryRegister:
      return call.Finish(CudaSharedMemoryUnsupported());
    case Method::kTraceSetting:
      return Settings(call, false);
    case Method::kLogSettings:
      return Settings(call, true);
    case Method::kModelStreamInfer:
    case Method::kNone:
      break;
  }
  call.Finish(Status(Code::kUnimplemented, "method_unknown", "unknown method"));
}

void KserveGrpc::Infer(io::GrpcCall& call) {
  std::unique_ptr<io::CallState> owned = call.TakeSpare();
  const io::CallState* spare = owned.get();
  if (spare == nullptr || typeid(*spare) != typeid(GrpcInfer)) {
    owned = std::make_unique<GrpcInfer>(services_);
  }
  auto* const infer = static_cast<GrpcInfer*>(owned.get());
  call.Attach(std::move(owned));
  infer->Start(call);
}

void KserveGrpc::ModelReady(io::GrpcCall& call) {
  NamedRequest request;
  if (const Status status = ReadNamedRequest(call.message(), &request); !status.ok()) {
    return call.Finish(status);
  }
  const auto found = FindVersion(services_.repository, request.name, request.version);
  // As Triton: a model that is not there is not ready, which is an answer and no error.
  if (!found.ok() && found.status().code() == Code::kInvalidArgument) {
    return call.Finish(found.status());
  }
  call.Reply(BoolMessage(found.ok()));
}

void KserveGrpc::ModelMetadata(io::GrpcCall& call) {
  NamedRequest request;
  if (const Status status = ReadNamedRequest(call.message(), &request); !status.ok()) {
    return call.Finish(status);
  }
  const auto metadata = GatherMetadata(services_.repository, request.name, request.version);
  if (!metadata.ok()) return call.Finish(metadata.status());
  call.Reply(ModelMetadataProto(*metadata));
}

void KserveGrpc::ModelConfig(io::GrpcCall& call) {
  NamedRequest request;
  if (const Status status = ReadNamedRequest(call.message(), &request); !status.ok()) {
    return call.Finish(status);
  }
  const auto found = FindVersion(services_.repository, request.name, request.version);
  if (!found.ok()) return call.Finish(found.status());
  call.Reply(ModelConfigProto(**found));
}

void KserveGrpc::ModelStatistics(io::GrpcCall& call) {
  NamedRequest request;
  if (const Status status = ReadNamedRequest(call.message(), &request); !status.ok()) {
    return call.Finish(status);
  }
  const auto rows = GatherStatistics(services_.repository, request.name, request.version);
  if (!rows.ok()) return call.Finish(rows.status());
  call.Reply(StatisticsProto(*rows));
}

void KserveGrpc::RepositoryIndex(io::GrpcCall& call) {
  bool ready_only = false;
  if (const Status status = ReadIndexRequest(call.message(), &ready_only); !status.ok()) {
    return call.Finish(status);
  }
  call.Reply(IndexProto(GatherIndex(services_.repository, ready_only)));
}

void KserveGrpc::LoadOrUnload(io::GrpcCall& call, bool load) {
  RepositoryProto request;
  if (const Status status = ReadRepositoryProto(call.message(), LimitsOf(services_), &request);
      !status.ok()) {
    return call.Finish(WordedControl(status, request.name, load));
  }
  // The request's views live as long as the call, which lives until it is answered.
  const auto done = [&call, name = request.name, load](const Status& status) {
    if (!status.ok()) return call.Finish(WordedControl(status, name, load));
    // Triton's answer is empty; KServe's own server says {model_name 1, isLoaded or isUnloaded 2},
    // which Triton's clients skip.
    ByteBuffer out;
    ProtoWriter w(&out);
    w.Text(1, name);
    w.Bool(2, true);
    call.Reply(std::move(out));
  };
  if (!load) return services_.repository.Unload(std::string(request.name), done);
  services_.repository.Load(std::string(request.name),
                            {std::move(request.config), std::move(request.files)}, done);
}

void KserveGrpc::SharedMemoryStatus(io::GrpcCall& call) {
  NamedRequest request;
  if (const Status status = ReadNamedRequest(call.message(), &request); !status.ok()) {
    return call.Finish(status);
  }
  const auto regions = services_.shared_regions->List(request.name);
  if (!regions.ok()) return call.Finish(regions.status());
  call.Reply(SharedRegionsProto(*regions));
}

void KserveGrpc::RegisterSharedMemory(io::GrpcCall& call) {
  SharedRegionInfo region;
  Status status = ReadRegisterProto(call.message(), &region);
  if (status.ok()) status = services_.shared_regions->Register(region);
  status.ok() ? call.Reply(ByteBuffer()) : call.Finish(status);
}

void KserveGrpc::UnregisterSharedMemory(io::GrpcCall& call) {
  NamedRequest request;
  if (const Status status = ReadNamedRequest(call.message(), &request); !status.ok()) {
    return call.Finish(status);
  }
  services_.shared_regions->Unregister(request.name);
  call.Reply(ByteBuffer());
}

void KserveGrpc::Settings(io::GrpcCall& call, bool logging) {
  bool changes = false;
  Status status = ReadSettingsRequest(call.message(), &changes);
  if (status.ok() && changes) status = SettingsReadOnly();
  if (!status.ok()) return call.Finish(status);
  call.Reply(logging ? LogSettingsProto(services_) : TraceSettingsProto());
}

void KserveGrpc::OnStreamStart(io::GrpcCall& call) {
  call.Attach(std::make_unique<KserveStream>(services_, call));
}

void KserveGrpc::OnStreamMessage(io::GrpcCall& call) {
  static_cast<KserveStream*>(call.state())->OnMessage();
}

void KserveGrpc::OnStreamHalfClose(io::GrpcCall& call) {
  static_cast<KserveStream*>(call.state())->OnHalfClose();
}

void KserveGrpc::OnStreamCancel(io::GrpcCall& call) {
  static_cast<KserveStream*>(call.state())->OnCancel();
}

}  // namespace brim::api
