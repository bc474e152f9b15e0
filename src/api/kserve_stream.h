// KserveStream: one ModelStreamInfer call. Requests run side by side; answers go out in the order
// of their requests.
//
// A failed request is answered with error_message and the stream goes on, as Triton's. Bounds:
// kRequestsMax requests and kBytesMax bytes of requests held, beyond which a request is answered
// with an error; kAnswersMax answers that wait for an earlier one and kUnsentMax bytes that the
// client does not read, beyond which the stream ends with RESOURCE_EXHAUSTED. Threads: OnMessage,
// OnHalfClose and OnCancel on the call's loop; Complete wherever the engine answers. The object
// lives with its call, which ends by its own Finish once nothing is in flight.
#pragma once

#include <cstdint>
#include <deque>

#include "api/protocol.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "base/status.h"
#include "io/grpc_call.h"

namespace brim::api {

class KserveStream final : public io::CallState {
 public:
  static constexpr std::size_t kRequestsMax = 1024;
  static constexpr std::uint64_t kBytesMax = 256u << 20;
  static constexpr std::size_t kAnswersMax = 2 * kRequestsMax;
  static constexpr std::size_t kUnsentMax = 64u << 20;

  KserveStream(const Services& services, io::GrpcCall& call) : services_(services), call_(call) {}

  void OnMessage() BRIM_EXCLUDES(mutex_);
  void OnHalfClose() BRIM_EXCLUDES(mutex_) { End(OkStatus()); }
  void OnCancel() BRIM_EXCLUDES(mutex_);

 private:
  friend class StreamInfer;

  struct Slot {  // A request, in arrival order.
    ByteBuffer answer;
    bool ready = false;
  };

  // Gives request number `slot` its answer and writes what can go out. `held_bytes`: what its
  // request held. Afterwards *this may be gone.
  void Complete(std::uint64_t slot, ByteBuffer answer, std::uint64_t held_bytes, bool ran)
      BRIM_EXCLUDES(mutex_);
  // No more requests will be taken; finishes the call, now or when what is in flight is answered.
  void End(const Status& status) BRIM_EXCLUDES(mutex_);
  // Writes ready answers and finishes when all is done. One thread at a time does so (writing_),
  // which keeps the order without holding the lock over a write. Unlocks; afterwards *this may be
  // gone.
  void PumpAndUnlock() BRIM_ANNOTATE(release_capability(mutex_));

  const Services& services_;
  io::GrpcCall& call_;

  Mutex mutex_;
  std::deque<Slot> slots_ BRIM_GUARDED_BY(mutex_);
  std::uint64_t first_slot_ BRIM_GUARDED_BY(mutex_) = 0;  // The number of slots_.front().
  std::size_t running_ BRIM_GUARDED_BY(mutex_) = 0;
  std::uint64_t held_bytes_ BRIM_GUARDED_BY(mutex_) = 0;
  bool writing_ BRIM_GUARDED_BY(mutex_) = false;
  bool ended_ BRIM_GUARDED_BY(mutex_) = false;
  bool finished_ BRIM_GUARDED_BY(mutex_) = false;
  Status final_status_ BRIM_GUARDED_BY(mutex_);
};

}  // namespace brim::api
