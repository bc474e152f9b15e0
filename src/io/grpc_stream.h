// GrpcStream: a GrpcCall on an HTTP/2 stream.
//
// A unary call is handed over when its one message is whole and the client has ended its side; a
// streaming call at its head, then message by message. Answers may come from any thread: they pass
// through a small locked list (pending_) and one post to the loop, unless the caller is the loop's
// own thread.
// Threads: GrpcCall's functions as it says; the rest on the connection's loop.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "io/block_pool.h"
#include "io/content_encoding.h"
#include "io/grpc_call.h"
#include "io/grpc_framing.h"
#include "io/http2_stream.h"

namespace brim::io {

// Http2Stream comes first, so that it goes last: it reports the call's end to a server that may
// wait for it.
class GrpcStream final : public Http2Stream,
                         public GrpcCall,
                         private Loop::Posted,
                         private Loop::Timer {
 public:
  // A streaming client that sends while it does not read its answers is stopped (its window stays
  // shut) above this.
  static constexpr std::size_t kUnsentMax = 4u << 20;
  // Shorter answers are not worth compressing.
  static constexpr std::size_t kCompressMin = 1024;

  GrpcStream(const Source& source, StreamMemory memory);

  // From the loop's pool: it is made and deleted on the loop.
  static void* operator new(std::size_t bytes, BlockPool& pool) {
    void* const block = pool.Take(bytes);
    BRIM_CHECK(block != nullptr);
    return block;
  }
  static void operator delete(void* block) { BlockPool::Give(block); }
  static void operator delete(void* block, BlockPool&) { BlockPool::Give(block); }

  // GrpcCall.
  std::string_view method() const override { return method_; }
  std::string_view Metadata(std::string_view name) const override {
    return memory_.headers.Find(name);
  }
  Time deadline() const override { return deadline_; }
  Time received() const override { return received_; }
  std::string_view peer() const override { return memory_.headers.Find(":peer"); }
  std::span<const std::byte> message() const override { return reader_.body().span(); }
  const std::atomic<bool>& cancelled() const override { return cancelled_; }
  Loop* own_loop() override { return &loop(); }
  void Write(ByteBuffer message) override { Enqueue(&message, nullptr, Duration::zero()); }
  // Of a streaming call; 0 for a unary one.
  std::size_t UnsentBytes() const override { return unsent_.load(std::memory_order_relaxed); }
  void Finish(const Status& status, Duration retry_delay) override {
    Enqueue(nullptr, &status, retry_delay);
  }
  void Reply(ByteBuffer message) override;

  // Http2Stream.
  void Start() override;
  void OnData(std::span<const std::byte> bytes) override;
  void OnEndStream() override;
  void OnClosed() override;
  bool AwaitsClient() const override;
  Pull PullData(std::size_t max, std::size_t* length) override;
  void Send(std::size_t n, Output* out) override;

 private:
  using Kind = GrpcHandler::Kind;

  void RunOnLoop() override;
  void OnTimer() override;

  // The first reason to refuse the call at its head, with the HTTP status to refuse it with.
  Status CheckHead(int* http_status);
  Status CheckMethod();
  void OnMessage();
  Status Decompress();  // The message in reader_.
  Status ReadError(GrpcMessageReader::Step step) const;

  // Only who writes a stream asks how much of it is unsent.
  void CountUnsent(std::size_t more, std::size_t less) {
    if (kind_ != Kind::kUnary) unsent_.fetch_add(more - less, std::memory_order_relaxed);
  }
  void Frame(ByteBuffer* message) const;  // Compresses and puts the prefix. Any thread.
  void Enqueue(ByteBuffer* message, const Status* status, Duration retry_delay);
  void TakePending(bool from_post) BRIM_EXCLUDES(mutex_);
  void Push(ByteBuffer message);
  void Conclude(const Status& status, Duration retry_delay);
  void Pump();  // Gets the answer going.
  // io itself ends the call: what the handler still says is dropped.
  void Abort(const Status& status, int http_status = 200);
  void SubmitAnswerHead();
  void SubmitTrailersOnly(int http_status);
  void DropOutgoing();
  // Tells a handler that has not finished the call that its client is gone.
  void Cancel() BRIM_EXCLUDES(mutex_);

  std::string_view method_;
  Time received_;
  Time deadline_ = Time::max();
  GrpcMessageReader reader_;
  Kind kind_ = Kind::kUnknown;
  Encoding request_encoding_ = Encoding::kIdentity;
  Encoding reply_encoding_ = Encoding::kIdentity;

  std::atomic<bool> cancelled_{false};
  std::atomic<std::size_t> unsent_{0};

  // The loop's side of the answer.
  Status final_status_;
  Duration retry_delay_{};
  std::size_t withheld_ = 0;   // Received bytes whose window is not yet opened again.
  bool have_message_ = false;  // Unary: the message is complete.
  bool head_sent_ = false;
  bool waiting_ = false;    // PullData had nothing to give.
  bool concluded_ = false;  // final_status_ is set: by the handler or by Abort.
  bool done_ = false;       // The handler has finished the call.

  Mutex mutex_;
  std::vector<ByteBuffer> pending_ BRIM_GUARDED_BY(mutex_);
  Status pending_status_ BRIM_GUARDED_BY(mutex_);
  Duration pending_delay_ BRIM_GUARDED_BY(mutex_){};
  bool pending_finish_ BRIM_GUARDED_BY(mutex_) = false;
  // This is in the loop's inbox, or about to be: do not delete. Set under the lock with what is
  // pending, so that the loop, where most answers are made, need not take it to see that none is.
  std::atomic<bool> posted_{false};
};

}  // namespace brim::io
