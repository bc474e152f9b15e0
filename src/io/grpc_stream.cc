// A gRPC call on its stream: head checks, messages in, answers out, the end; see grpc_stream.h.
#include "io/grpc_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

#include "io/http2_session.h"

namespace brim::io {
namespace {

constexpr std::array<std::string_view, 17> kStatusDigits = {
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"};

// "application/grpc", "application/grpc+proto", or either with parameters.
bool IsProtoContentType(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return type == "application/grpc" || type == "application/grpc+proto";
}

// The texts that trailers point into until they are submitted.
struct TrailerText {
  std::string message;
  std::string retry_ms;
};

// Fills up to 3 fields; returns how many.
std::size_t Trailers(const Status& status, Duration retry_delay, TrailerText* text,
                     nghttp2_nv* fields) {
  std::size_t count = 0;
  fields[count++] =
      StaticField("grpc-status", kStatusDigits[static_cast<std::size_t>(status.code())]);
  if (!status.ok()) {
    text->message = EncodeGrpcMessage(status.message());
    fields[count++] = CopiedField("grpc-message", text->message);
  }
  if (retry_delay > Duration::zero()) {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(retry_delay).count();
    text->retry_ms = fmt::format_int(ms).str();
    fields[count++] = CopiedField("grpc-retry-pushback-ms", text->retry_ms);
  }
  return count;
}

}  // namespace

GrpcStream::GrpcStream(const Source& source, StreamMemory memory)
    : Http2Stream(source, std::move(memory)),
      received_(source.loop->Now()),
      reader_(*source.shared, source.shared->options.body_bytes_max) {
  method_ = memory_.headers.Get(HeaderBlock::kPath);
  reader_.body().Adopt(std::move(memory_.block));
  GiveSpare(std::move(memory_.state), memory_.outgoing.TakeSpare());
}

// The request's way in.

void GrpcStream::Start() {
  int http_status = 200;
  if (Status status = CheckHead(&http_status); !status.ok()) return Abort(status, http_status);
  if (deadline_ != Time::max()) loop().SetTimer(this, deadline_);
  if (kind_ == Kind::kStream) {
    HandOver();
    shared_.handlers.grpc->OnStreamStart(*this);
  }
}

Status GrpcStream::CheckHead(int* http_status) {
  if (headers_too_large_) {
    return Status(Code::kResourceExhausted, "headers_too_large",
                  fmt::format("the request's metadata is above the server's bound of {} bytes",
                              shared_.options.header_bytes_max));
  }
  if (memory_.headers.Get(HeaderBlock::kMethod) != "POST") {
    *http_status = 405;
    return Status(Code::kInternal, "method_not_allowed", "gRPC calls are made with POST");
  }
  const std::string_view type = memory_.headers.Get(HeaderBlock::kContentType);
  if (!IsProtoContentType(type)) {
    *http_status = 415;
    return Status(Code::kUnknown, "content_type_unknown",
                  fmt::format("content-type '{}' is not supported: send application/grpc", type));
  }
  BRIM_RETURN_IF_ERROR(CheckMethod());
  const std::string_view name = memory_.headers.Get(HeaderBlock::kGrpcEncoding);
  const auto encoding = ParseEncoding(name);
  if (!encoding) {
    return Status(Code::kUnimplemented, "encoding_unknown",
                  fmt::format("grpc-encoding '{}' is not supported: use one of {}", name,
                              kGrpcAcceptEncoding));
  }
  request_encoding_ = *encoding;
  // Who compresses its requests wants compressed answers, if it can read them.
  if (request_encoding_ != Encoding::kIdentity &&
      GrpcListHas(memory_.headers.Find("grpc-accept-encoding"), EncodingName(request_encoding_))) {
    reply_encoding_ = request_encoding_;
  }
  if (const std::string_view text = memory_.headers.Get(HeaderBlock::kGrpcTimeout); !text.empty()) {
    const auto timeout = ParseGrpcTimeout(text);
    if (!timeout) {
      return Status(
          Code::kInvalidArgument, "timeout_malformed",
          fmt::format("grpc-timeout '{}' is malformed: send up to 8 digits and one of H M S m u n",
                      text));
    }
    if (*timeout < std::chrono::hours(24 * 365 * 100)) deadline_ = received_ + *timeout;
  }
  return OkStatus();
}

Status GrpcStream::CheckMethod() {
  if (shared_.handlers.grpc != nullptr) kind_ = shared_.handlers.grpc->Lookup(method_);
  if (kind_ != Kind::kUnknown) return OkStatus();
  return Status(Code::kUnimplemented, "method_unknown",
                fmt::format("method '{}' is not known here", method_));
}

void GrpcStream::OnData(std::span<const std::byte> bytes) {
  const std::size_t received = bytes.size();
  while (!bytes.empty() && !concluded_) {
    if (have_message_) {
      Abort(Status(Code::kUnimplemented, "messages_too_many",
                   "a unary call takes exactly one message"));
      break;
    }
    const auto step = reader_.Feed(&bytes);
    if (step == GrpcMessageReader::Step::kMore) break;
    if (step == GrpcMessageReader::Step::kMessage) {
      OnMessage();
    } else {
      Abort(ReadError(step));
    }
  }
  if (kind_ == Kind::kStream && !concluded_ && UnsentBytes() > kUnsentMax) {
    withheld_ += received;
  } else {
    Consumed(received);
  }
}

void GrpcStream::OnMessage() {
  if (kind_ == Kind::kUnary) {
    have_message_ = true;  // Handed over at the end of the stream.
    return;
  }
  if (Status status = Decompress(); !status.ok()) return Abort(status);
  shared_.handlers.grpc->OnStreamMessage(*this);
  reader_.Next();
}

Status GrpcStream::Decompress() {
  if (!reader_.compressed()) return OkStatus();
  if (request_encoding_ == Encoding::kIdentity) {
    return Status(Code::kInternal, "encoding_missing",
                  "a message is marked as compressed, but grpc-encoding is absent");
  }
  auto plain = Inflate(reader_.body().span(), request_encoding_, shared_.options.body_bytes_max);
  if (!plain.ok()) {
    const bool too_large = plain.status().code() == Code::kResourceExhausted;
    return Status(too_large ? Code::kResourceExhausted : Code::kInternal,
                  too_large ? "body_too_large" : "encoding_corrupt", plain.status().message())
        .WithContext("decompressing a message");
  }
  if (!reader_.body().Replace(std::move(*plain))) {
    return ReadError(GrpcMessageReader::Step::kOverloaded);
  }
  return OkStatus();
}

Status GrpcStream::ReadError(GrpcMessageReader::Step step) const {
  switch (step) {
    case GrpcMessageReader::Step::kTooLarge:
      return Status(Code::kResourceExhausted, "body_too_large",
                    fmt::format("a message of {} bytes is above the server's bound of {} bytes",
                                reader_.length(), shared_.options.body_bytes_max));
    case GrpcMessageReader::Step::kOverloaded:
      return Status(Code::kResourceExhausted, "server_overloaded",
                    "the server holds as many request bytes as it may; retry later");
    default:
      return Status(Code::kInternal, "framing_invalid", "the request is not made of gRPC messages");
  }
}

void GrpcStream::OnEndStream() {
  if (concluded_) return;
  if (kind_ == Kind::kStream) {
    if (!reader_.AtBoundary()) {
      return Abort(Status(Code::kInternal, "message_cut", "the stream ended within a message"));
    }
    return shared_.handlers.grpc->OnStreamHalfClose(*this);
  }
  if (!have_message_) {
    if (reader_.AtBoundary()) {
      return Abort(Status(Code::kUnimplemented, "message_missing",
                          "a unary call takes exactly one message"));
    }
    return Abort(Status(Code::kInternal, "message_cut",
                        fmt::format("the message announces {} bytes, but {} came", reader_.length(),
                                    reader_.body().size())));
  }
  if (Status status = Decompress(); !status.ok()) return Abort(status);
  if (deadline_ <= loop().Now()) return OnTimer();
  HandOver();
  shared_.handlers.grpc->OnUnary(*this);
}

bool GrpcStream::AwaitsClient() const {
  if (concluded_ || !memory_.outgoing.empty()) return true;
  return !ended_ && (kind_ == Kind::kUnary || !reader_.AtBoundary());
}

// The answer's way out.

void GrpcStream::Frame(ByteBuffer* message) const {
  if (reply_encoding_ != Encoding::kIdentity && message->size() >= kCompressMin) {
    auto packed = Deflate(message->span(), reply_encoding_);
    if (packed.ok() && packed->size() < message->size()) {
      *message = std::move(*packed);
      return PrependGrpcPrefix(message, true);
    }
  }
  PrependGrpcPrefix(message, false);
}

void GrpcStream::Reply(ByteBuffer message) {
  const Status ok;
  Enqueue(&message, &ok, Duration::zero());
}

void GrpcStream::Enqueue(ByteBuffer* message, const Status* status, Duration retry_delay) {
  if (message != nullptr) {
    if (!cancelled_.load(std::memory_order_relaxed)) Frame(message);
    CountUnsent(message->size(), 0);
  }
  const bool in_thread = loop().InThread();
  if (in_thread && session_ != nullptr) {
    // What other threads said before.
    if (posted_.load(std::memory_order_acquire)) TakePending(false);
    if (message != nullptr) Push(std::move(*message));
    if (status != nullptr) Conclude(*status, retry_delay);
    return Pump();
  }
  bool post = false;
  {
    MutexLock lock(mutex_);
    if (message != nullptr) pending_.push_back(std::move(*message));
    if (status != nullptr) {
      pending_finish_ = true;
      pending_status_ = *status;
      pending_delay_ = retry_delay;
    }
    // An orphan is deleted through the inbox too, so never under the feet of its handler.
    post = !posted_.exchange(true, std::memory_order_acq_rel);
  }
  if (post) loop().Post(this);
}

void GrpcStream::RunOnLoop() {
  TakePending(true);
  if (session_ != nullptr) return Pump();
  if (done_) delete this;
}

void GrpcStream::TakePending(bool from_post) {
  std::vector<ByteBuffer> messages;
  Status status;
  Duration delay{};
  bool finish = false;
  {
    MutexLock lock(mutex_);
    if (from_post) posted_.store(false, std::memory_order_relaxed);
    messages.swap(pending_);
    finish = std::exchange(pending_finish_, false);
    if (finish) {
      status = std::move(pending_status_);
      delay = pending_delay_;
    }
  }
  for (ByteBuffer& message : messages) Push(std::move(message));
  if (finish) Conclude(status, delay);
}

void GrpcStream::Push(ByteBuffer message) {
  if (concluded_ || session_ == nullptr) {
    CountUnsent(0, message.size());
    return;
  }
  memory_.outgoing.Push(std::move(message));
}

void GrpcStream::Conclude(const Status& status, Duration retry_delay) {
  done_ = true;
  if (concluded_) return;
  concluded_ = true;
  final_status_ = status;
  retry_delay_ = retry_delay;
  loop().CancelTimer(this);
}

void GrpcStream::Pump() {
  if (head_sent_) {
    if (std::exchange(waiting_, false)) session_->Resume(id_);
    return;
  }
  if (!memory_.outgoing.empty()) return SubmitAnswerHead();
  if (concluded_) SubmitTrailersOnly(200);
}

void GrpcStream::OnTimer() {
  Abort(Status(Code::kDeadlineExceeded, "deadline_exceeded",
               "the deadline passed before the answer was ready"));
}

void GrpcStream::Abort(const Status& status, int http_status) {
  if (concluded_) return;
  concluded_ = true;
  final_status_ = status;
  loop().CancelTimer(this);
  const bool cut = memory_.outgoing.MidBuffer();
  DropOutgoing();
  if (cut) {  // Trailers cannot follow half a message.
    session_->Reset(id_, NGHTTP2_CANCEL);
  } else if (head_sent_) {
    Pump();
  } else {
    SubmitTrailersOnly(http_status);
  }
  Cancel();
}

void GrpcStream::SubmitAnswerHead() {
  const std::string_view type = memory_.headers.Get(HeaderBlock::kContentType);
  const bool plain = type == "application/grpc";
  std::array<nghttp2_nv, 4> fields = {
      StaticField(":status", "200"),
      StaticField("content-type", plain ? "application/grpc" : "application/grpc+proto"),
  };
  std::size_t count = 2;
  if (reply_encoding_ != Encoding::kIdentity) {
    fields[count++] = StaticField("grpc-encoding", EncodingName(reply_encoding_));
  }
  if (session_->AnnouncesEncodings()) {
    fields[count++] = StaticField("grpc-accept-encoding", kGrpcAcceptEncoding);
  }
  head_sent_ = true;
  session_->SubmitHead(this, std::span(fields).first(count), true);
}

void GrpcStream::SubmitTrailersOnly(int http_status) {
  const std::string status = fmt::format_int(http_status).str();
  TrailerText text;
  std::array<nghttp2_nv, 6> fields = {CopiedField(":status", status),
                                      StaticField("content-type", "application/grpc"),
                                      StaticField("grpc-accept-encoding", kGrpcAcceptEncoding)};
  const std::size_t count = 3 + Trailers(final_status_, retry_delay_, &text, fields.data() + 3);
  head_sent_ = true;
  session_->SubmitHead(this, std::span(fields).first(count), false);
}

Http2Stream::Pull GrpcStream::PullData(std::size_t max, std::size_t* length) {
  const std::size_t held = memory_.outgoing.size();
  *length = std::min(max, held);
  if (!concluded_ || *length < held) {
    if (*length != 0) return Pull::kMore;
    waiting_ = true;
    return Pull::kWait;
  }
  TrailerText text;
  std::array<nghttp2_nv, 3> fields;
  const std::size_t count = Trailers(final_status_, retry_delay_, &text, fields.data());
  session_->SubmitTrailers(id_, std::span(fields).first(count));
  return Pull::kTrailers;
}

void GrpcStream::Send(std::size_t n, Output* out) {
  memory_.outgoing.Take(n, out);
  CountUnsent(0, n);
  if (withheld_ != 0 && UnsentBytes() <= kUnsentMax / 2) Consumed(std::exchange(withheld_, 0));
}

// The end.

void GrpcStream::OnClosed() {
  loop().CancelTimer(this);
  Http2Session* session = std::exchange(session_, nullptr);
  DropOutgoing();
  concluded_ = true;
  if ((done_ || !handed_over()) && !posted_.load(std::memory_order_acquire)) {
    memory_.block = reader_.body().TakeBlock();
    memory_.state = TakeState();
    session->Recycle(std::move(memory_));
    delete this;
    return;
  }
  Cancel();
}

void GrpcStream::DropOutgoing() {
  CountUnsent(0, memory_.outgoing.size());
  memory_.outgoing.Clear();
}

void GrpcStream::Cancel() {
  if (!handed_over() || done_ || cancelled_.load(std::memory_order_relaxed)) return;
  cancelled_.store(true, std::memory_order_relaxed);
  if (kind_ != Kind::kStream) return;
  {
    MutexLock lock(mutex_);
    if (pending_finish_) return;  // The handler is through with the call already.
  }
  shared_.handlers.grpc->OnStreamCancel(*this);
}

}  // namespace brim::io
