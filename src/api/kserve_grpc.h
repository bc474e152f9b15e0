// KserveGrpc: inference.GRPCInferenceService, KServe v2 with Triton's extensions.
//
// Field numbers: proto/kserve/grpc_predict_v2.proto. Of CUDA's shared memory, traces and log
// settings the questions are answered and the changes refused (UNIMPLEMENTED). ModelStreamInfer is
// in kserve_stream.h. Threads: calls on loops, several at once; answers come from workers and the
// loader as well.
#pragma once

#include <string_view>

#include "api/protocol.h"

namespace brim::api {

class KserveGrpc final : public GrpcProtocol {
 public:
  static constexpr std::string_view kService = "inference.GRPCInferenceService";

  explicit KserveGrpc(const Services& services) : services_(services) {}

  io::GrpcHandler::Kind Lookup(std::string_view method) const override;
  void OnUnary(io::GrpcCall& call) override;
  void OnStreamStart(io::GrpcCall& call) override;
  void OnStreamMessage(io::GrpcCall& call) override;
  void OnStreamHalfClose(io::GrpcCall& call) override;
  void OnStreamCancel(io::GrpcCall& call) override;

 private:
  void Infer(io::GrpcCall& call);
  void ModelReady(io::GrpcCall& call);
  void ModelMetadata(io::GrpcCall& call);
  void ModelConfig(io::GrpcCall& call);
  void ModelStatistics(io::GrpcCall& call);
  void RepositoryIndex(io::GrpcCall& call);
  void LoadOrUnload(io::GrpcCall& call, bool load);
  void SharedMemoryStatus(io::GrpcCall& call);
  void RegisterSharedMemory(io::GrpcCall& call);
  void UnregisterSharedMemory(io::GrpcCall& call);
  void Settings(io::GrpcCall& call, bool logging);

  const Services& services_;
};

}  // namespace brim::api
