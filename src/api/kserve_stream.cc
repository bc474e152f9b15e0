#include "api/kserve_stream.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "api/kserve_infer.h"
#include "api/kserve_proto.h"

namespace brim::api {

// One request of a stream; deletes itself when it has handed its answer over.
class StreamInfer final : public KserveInfer {
 public:
  StreamInfer(const Services& services, io::GrpcCall& call, KserveStream& stream,
              std::uint64_t slot)
      : KserveInfer(services), call_(call), stream_(stream), slot_(slot) {
    received = services.clock.Now();
    bytes_.Append(call.message());  // The call's is gone when OnMessage returns.
  }

  void Start();
  void OnDone(const Status& status, std::span<const model::TensorView> values) override;

 private:
  void Fail(const Status& status);
  void HandOver(const Status& status, ByteBuffer answer);

  io::GrpcCall& call_;
  KserveStream& stream_;
  const std::uint64_t slot_;
  ByteBuffer bytes_;
};

void StreamInfer::Start() {
  Status status = ReadInferProto(bytes_.span(), LimitsOf(services_), &message);
  if (!status.ok()) return Fail(status);
  Result<serving::VersionHandle> found =
      FindVersion(services_.repository, message.model_name, message.model_version);
  if (!found.ok()) return Fail(found.status());
  status = Prepare(std::move(*found), {received, call_.deadline(), &call_.cancelled()});
  if (!status.ok()) return Fail(status);
  services_.engine.Infer(this);
}

void StreamInfer::OnDone(const Status& status, std::span<const model::TensorView> values) {
  if (!status.ok()) return Fail(Worded(status));
  KserveAnswer answer;
  if (const Status made = MakeAnswer(values, &answer); !made.ok()) return Fail(made);
  HandOver(OkStatus(), WriteStreamAnswer(answer));
}

void StreamInfer::Fail(const Status& status) {
  HandOver(status, WriteStreamError(status.message(), message.id, message.model_name,
                                    message.model_version));
}

void StreamInfer::HandOver(const Status& status, ByteBuffer answer) {
  if (AccessLogEnabled(services_)) {
    LogAccess(services_,
              {RequestIdOf({}, message.id), "kserve_stream", call_.peer(), message.model_name, this,
               received, bytes_.size(), answer.size()},
              status);
  }
  const std::unique_ptr<StreamInfer> self(this);
  stream_.Complete(slot_, std::move(answer), bytes_.size(), true);
}

void KserveStream::OnMessage() {
  std::uint64_t slot = 0;
  Status refusal;
  {
    MutexLock lock(mutex_);
    if (ended_) return;  // What comes after the end is not answered.
    slot = first_slot_ + slots_.size();
    if (slots_.size() < kAnswersMax && call_.UnsentBytes() < kUnsentMax) {
      slots_.emplace_back();
      if (running_ >= kRequestsMax ||
          (running_ > 0 && held_bytes_ + call_.message().size() > kBytesMax)) {
        refusal =
            Status(Code::kResourceExhausted, "stream_full",
                   fmt::format("{} requests of this stream are in flight: wait for answers or "
                               "open another stream",
                               running_));
      } else {
        ++running_;
        held_bytes_ += call_.message().size();
      }
    } else {
      refusal = Status(Code::kResourceExhausted, "stream_unread",
                       "too many answers of this stream wait to be read");
      slot = 0;
    }
  }
  if (refusal.ok()) return (new StreamInfer(services_, call_, *this, slot))->Start();
  if (refusal.reason() == "stream_unread") return End(refusal);
  Complete(slot, WriteStreamError(refusal.message(), {}, {}, {}), 0, false);
}

void KserveStream::OnCancel() { End(Status(Code::kCancelled, "cancelled", "the client is gone")); }

void KserveStream::Complete(std::uint64_t slot, ByteBuffer answer, std::uint64_t held_bytes,
                            bool ran) {
  mutex_.Lock();
  Slot& mine = slots_[slot - first_slot_];
  mine.answer = std::move(answer);
  mine.ready = true;
  held_bytes_ -= held_bytes;
  if (ran) --running_;
  PumpAndUnlock();
}

void KserveStream::End(const Status& status) {
  mutex_.Lock();
  if (!ended_) {
    ended_ = true;
    final_status_ = status;
  }
  PumpAndUnlock();
}

void KserveStream::PumpAndUnlock() {
  if (writing_) return mutex_.Unlock();  // The writer sees what changed before it stops.
  writing_ = true;
  while (!slots_.empty() && slots_.front().ready) {
    ByteBuffer answer = std::move(slots_.front().answer);
    slots_.pop_front();
    ++first_slot_;
    mutex_.Unlock();
    call_.Write(std::move(answer));
    mutex_.Lock();
  }
  writing_ = false;
  const bool finish = ended_ && !finished_ && slots_.empty();
  if (finish) finished_ = true;
  const Status status = final_status_;
  mutex_.Unlock();
  if (finish) call_.Finish(status);
}

}  // namespace brim::api
