// What both of TensorFlow Serving's transports do between a parsed request and its answer: find the
// servable and the signature, describe versions, check classify and regress, count. Error texts and
// codes are TensorFlow Serving's (core/basic_manager.cc, model_servers/server_core.cc,
// servables/tensorflow/{predict_util,classifier,regressor}.cc).
//
// Threads: any; TfsInference as serving::InferRequest says.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/access_log.h"
#include "api/protocol.h"
#include "api/tfs_json.h"
#include "api/tfs_proto.h"
#include "base/result.h"
#include "model/signature.h"
#include "serving/engine.h"
#include "serving/repository.h"
#include "serving/stats.h"

namespace brim::api {

// kNotFound "Servable not found for request: Latest(name)" or "Specific(name, 7)", with the reason
// behind it when the model is known; kInvalidArgument for an unknown label or no name.
Result<serving::VersionHandle> FindServable(const serving::Repository& repository,
                                            const TfsModelSpec& spec);

// The versions that a status request means; kNotFound in GetModelStatus's words.
Result<std::vector<TfsVersionStatus>> DescribeServable(const serving::Repository& repository,
                                                       const TfsModelSpec& spec);

// "AVAILABLE" for 30; "UNKNOWN" for what is none.
std::string_view TfsStateName(std::int32_t state);

// Empty name: the default signature. Null: there is none of that name.
const model::Signature* FindSignature(const serving::Version& version, std::string_view name);

// Whether a classify or regress request fits the signature: one string input "inputs" of serialized
// tensorflow.Example and the outputs that TensorFlow names for it.
Status CheckClassifySignature(const model::Signature& signature);
Status CheckRegressSignature(const model::Signature& signature);

inline constexpr std::string_view kExamplesInput = "inputs";

// The outputs as classifications (either may be null) or regressions, checked against the number of
// examples.
struct Classification {
  const model::TensorView* labels = nullptr;
  const model::TensorView* scores = nullptr;
};
Status ReadClassification(std::span<const model::TensorView> outputs, std::int64_t examples,
                          Classification* read);
Status ReadRegression(std::span<const model::TensorView> outputs, std::int64_t examples,
                      const model::TensorView** values);

// "input size does not match signature: …" when the names of inputs are not those of the signature.
Status CheckInputNames(const model::Signature& signature, std::span<const TfsNamedTensor> inputs);
// Indexes of the named outputs; kInvalidArgument for unknown and repeated names.
Status ResolveOutputFilter(const model::Signature& signature,
                           std::span<const std::string_view> filter,
                           std::vector<std::uint32_t>* outputs);

TfsProtoLimits TfsLimitsOf(const Services& services);

// One request on its way through the engine; the transports derive from it and answer in OnDone.
class TfsInference : public serving::InferRequest {
 public:
  TfsInference(const Services& services, serving::TfsStats::Entrypoint entrypoint)
      : services_(services), entrypoint_(entrypoint) {}

  serving::TfsStats::Api api = serving::TfsStats::kPredict;
  OwnedTensors tensors;

 protected:
  // Hands the request to the engine, which calls OnDone; `this` may be gone when it returns.
  void Run(Time arrived, Time until, const std::atomic<bool>* gone, io::Loop* on_loop);
  // The outputs in the order of `values`, renamed by the signature: the runtime's names are its own
  // business.
  std::vector<model::TensorView> Named(std::span<const model::TensorView> values) const;
  std::int64_t Examples() const { return tensors.views.empty() ? 0 : tensors.views[0].shape[0]; }
  // Once per request, right before the answer.
  void Count(const Status& status, std::string_view peer, std::string_view request_id,
             std::string_view asked_model, std::uint64_t bytes_in, std::uint64_t bytes_out) const;

  const Services& services_;

 private:
  const serving::TfsStats::Entrypoint entrypoint_;
};

}  // namespace brim::api
