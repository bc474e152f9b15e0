// TensorFlow Serving's gRPC API: tensorflow.serving.PredictionService (Predict, Classify, Regress,
// GetModelMetadata; MultiInference is UNIMPLEMENTED) and ModelService (GetModelStatus;
// HandleReloadConfigRequest is UNIMPLEMENTED, for the model directory itself is watched).
//
// Threads: OnUnary on loop threads, several at once; it holds only references.
#pragma once

#include <string_view>

#include "api/protocol.h"

namespace brim::api {

class TfsGrpc final : public GrpcProtocol {
 public:
  // What a health check may ask for.
  static constexpr std::string_view kPredictionService = "tensorflow.serving.PredictionService";
  static constexpr std::string_view kModelService = "tensorflow.serving.ModelService";

  explicit TfsGrpc(const Services& services) : services_(services) {}
  io::GrpcHandler::Kind Lookup(std::string_view method) const override;
  void OnUnary(io::GrpcCall& call) override;

 private:
  void GetModelMetadata(io::GrpcCall& call);
  void GetModelStatus(io::GrpcCall& call);

  const Services& services_;
};

}  // namespace brim::api
