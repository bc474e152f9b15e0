// KserveInfer: one KServe v2 inference from a parsed message to an answer, for any transport.
//
// A transport derives from it: it fills in `message`, calls Prepare(), hands itself to the engine,
// and in OnDone calls MakeAnswer() to have what its writer needs. Threads: Prepare on the loop;
// OnDone wherever the engine calls it; never both at once.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "api/access_log.h"
#include "api/kserve_json.h"
#include "api/kserve_message.h"
#include "api/protocol.h"
#include "api/shared_regions.h"
#include "base/result.h"
#include "serving/engine.h"

namespace brim::api {

KserveLimits LimitsOf(const Services& services);

// The version that a name and a version text ("" or a number > 0) mean, or the error in Triton's
// words.
Result<serving::VersionHandle> FindVersion(const serving::Repository& repository,
                                           std::string_view model, std::string_view version);

class KserveInfer : public serving::InferRequest {
 public:
  explicit KserveInfer(const Services& services) : services_(services) {}

  KserveMessage message;

 protected:
  // Where the request came from and what bounds it.
  struct Origin {
    Time received{};
    Time deadline = Time::max();
    const std::atomic<bool>* cancelled = nullptr;
    io::Loop* loop = nullptr;
  };

  // Fills in the serving request: version, signature, inputs (moved out of message), outputs,
  // deadline, priority. `found` comes from FindVersion.
  Status Prepare(serving::VersionHandle found, const Origin& origin);

  // The answer to `values`, which the engine gave OnDone. Its views live as long as `values` and
  // *this.
  Status MakeAnswer(std::span<const model::TensorView> values, KserveAnswer* answer);

  // A failure as this protocol words it: a passed "timeout" parameter is UNAVAILABLE "Request
  // timeout expired".
  Status Worded(const Status& status) const;

  // Drops all that belongs to a finished request and keeps the memory of a usual one; then true. An
  // unusual one's is not worth keeping: false.
  bool Reset();

  const Services& services_;

 private:
  Status CheckRows() const;
  Status ResolveOutputs();
  // Copies what inputs lie in shared memory, and finds where outputs are to go.
  Status ReadShared();
  Status FindSharedOutputs();
  // Puts output i's tensor where its request wants it, and says so in *out instead of sending it.
  Status WriteShared(std::size_t i, KserveAnswerTensor* out) const;

  std::vector<KserveAnswerTensor> answers_;
  // Of outputs that go to shared memory, by output; empty where none does.
  std::vector<std::shared_ptr<const io::SharedRegion>> regions_;
  SharedRegions::Lease lease_;    // For the copies of inputs.
  bool timeout_applies_ = false;  // The deadline is the request's own timeout.
};

}  // namespace brim::api
