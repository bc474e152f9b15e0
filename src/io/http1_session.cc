// HTTP/1.1 (RFC 9112) on llhttp: keep-alive, pipelining, chunked and sized bodies, Expect.
//
// The parser is stopped at the end of each request, so handlers are called outside its callbacks.
// Up to kPipelineMax requests of a connection are in flight; they stand in a ring and are answered
// in its order. What was received beyond them waits in stash_, at most one receive buffer's worth,
// because WantRead() is false meanwhile. After a refusal or a "Connection: close" nothing more is
// parsed (closing_): later bytes are dropped. A large body is received into its final place.
//
// Runs on the connection's loop.
#include <llhttp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"
#include "io/http1_call.h"
#include "io/session.h"

namespace brim::io {
namespace {

constexpr std::size_t kPipelineMax = 16;
constexpr std::size_t kTargetMax = 16u << 10;   // RFC 9110, section 4.1 asks for at least 8000.
constexpr std::size_t kInPlaceMin = 16u << 10;  // Shorter rests come with the next request's bytes.
// Bytes of a head that are not text of it: blanks, line ends, the version.
constexpr std::size_t kHeadSlack = 2048;

class Http1Session final : public Session, private Http1CallOwner {
 public:
  explicit Http1Session(SessionHost& host);
  ~Http1Session() override;

  std::span<std::byte> ReceiveSpace() override;
  void OnReceivedInPlace(std::size_t n) override;
  void OnReceive(std::span<const std::byte> bytes) override;
  bool WantRead() const override {
    return closing_ || (count_ < kPipelineMax && stash_.size() == stash_used_);
  }
  void Collect(Output* out) override;
  bool Finished() const override { return closing_ && count_ == 0 && !refusal_; }
  bool Idle() const override {
    return count_ == 0 && current_ == nullptr && !refusal_ && stash_.size() == stash_used_;
  }
  bool MidRequest() const override { return current_ != nullptr && !closing_; }
  std::optional<Time> HeadSince() const override {
    return MidRequest() && !head_done_ ? std::optional<Time>(head_begun_) : std::nullopt;
  }
  void StartDrain() override;

 private:
  struct Callbacks;  // llhttp's C callbacks.

  // Http1CallOwner.
  void OnReplied(Http1Call&) override { host_.WantWrite(); }

  std::size_t Parse(std::span<const std::byte> bytes);  // Returns how many bytes are done with.
  void FailParse(llhttp_errno_t error, std::string_view bytes);
  int Refuse(int status, std::string message);  // Returns llhttp's error value.
  int CountHead(std::size_t n);
  int OnHeadersComplete();
  bool CheckFraming();  // False: refused.
  bool CheckFields();
  int OnBody(std::span<const std::byte> bytes);
  int OnChunk(std::uint64_t size);
  int RefuseBodySize();
  int RefuseBodyMemory();
  void CompleteRequest();
  void Send(Http1Call& call, Output* out);
  void Recycle(Http1Call* call);

  SessionHost& host_;
  SharedState& shared_;
  llhttp_t parser_{};

  Http1Call* current_ = nullptr;                 // Being received; owned.
  std::array<Http1Call*, kPipelineMax> ring_{};  // In flight, in order of arrival; owned.
  std::size_t ring_first_ = 0;
  std::size_t count_ = 0;
  Http1Call* spare_ = nullptr;  // For the next request; owned.

  ByteBuffer stash_;
  std::size_t stash_used_ = 0;
  std::size_t head_text_ = 0;  // Of the current request, against header_bytes_max.
  std::size_t head_raw_ = 0;   // Received and not yet past the head.
  bool head_done_ = false;
  Time head_begun_{};
  bool in_data_ = false;  // Within body bytes: parser_.content_length says how many are left.
  bool send_continue_ = false;
  bool keep_alive_ = true;
  Encoding encoding_ = Encoding::kIdentity;
  bool draining_ = false;
  bool closing_ = false;
  std::optional<HttpReply> refusal_;  // Sent after the calls in flight; then the end.
  std::string scratch_;
};

std::string_view Piece(const char* at, std::size_t n) { return {at, n}; }

struct Http1Session::Callbacks {
  static Http1Session& Self(llhttp_t* parser) { return *static_cast<Http1Session*>(parser->data); }

  static int MessageBegin(llhttp_t* parser) {
    Http1Session& self = Self(parser);
    self.current_ = self.spare_ != nullptr ? std::exchange(self.spare_, nullptr)
                                           : new Http1Call(self.host_.loop(), self.shared_);
    self.head_begun_ = self.host_.loop().Now();
    self.current_->Begin(self.head_begun_, self.host_.peer());
    self.head_text_ = 0;
    self.head_done_ = false;
    return 0;
  }
  static int Method(llhttp_t* parser, const char* at, std::size_t n) {
    Self(parser).current_->head().method.append(at, n);
    return 0;
  }
  static int Url(llhttp_t* parser, const char* at, std::size_t n) {
    Http1Session& self = Self(parser);
    Http1Head& head = self.current_->head();
    head.AppendTarget(Piece(at, n));
    if (head.target_size() >
        std::min<std::size_t>(kTargetMax, self.shared_.options.header_bytes_max)) {
      return self.Refuse(414, "the request target is longer than 16 KiB");
    }
    return self.CountHead(n);
  }
  static int Name(llhttp_t* parser, const char* at, std::size_t n) {
    Http1Session& self = Self(parser);
    if (!self.head_done_) self.current_->head().AppendName(Piece(at, n));
    return self.CountHead(n);
  }
  static int NameEnd(llhttp_t* parser) {
    Http1Session& self = Self(parser);
    if (self.head_done_) return 0;  // A trailer field: read, bounded, and dropped.
    self.current_->head().EndName();
    if (self.current_->head().fields() <= Http1Head::kFieldsMax) return 0;
    return self.Refuse(431, "the request has more than 256 header fields");
  }
  static int Value(llhttp_t* parser, const char* at, std::size_t n) {
    Http1Session& self = Self(parser);
    if (!self.head_done_) self.current_->head().AppendValue(Piece(at, n));
    return self.CountHead(n);
  }
  static int ValueEnd(llhttp_t* parser) {
    Http1Session& self = Self(parser);
    if (!self.head_done_) self.current_->head().EndValue();
    return 0;
  }
  static int HeadersComplete(llhttp_t* parser) { return Self(parser).OnHeadersComplete(); }
  static int Body(llhttp_t* parser, const char* at, std::size_t n) {
    return Self(parser).OnBody(std::as_bytes(std::span(at, n)));
  }
  static int Extension(llhttp_t* parser, const char*, std::size_t n) {
    return Self(parser).CountHead(n);
  }
  static int ChunkHeader(llhttp_t* parser) { return Self(parser).OnChunk(parser->content_length); }
  static int ChunkComplete(llhttp_t* parser) {
    Self(parser).in_data_ = false;
    return 0;
  }
  static int MessageComplete(llhttp_t* parser) {
    Self(parser).keep_alive_ = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;  // CompleteRequest() goes on outside the parser.
  }

  static const llhttp_settings_t* Settings() {
    static const llhttp_settings_t settings = [] {
      llhttp_settings_t s;
      llhttp_settings_init(&s);
      s.on_message_begin = MessageBegin;
      s.on_method = Method;
      s.on_url = Url;
      s.on_header_field = Name;
      s.on_header_field_complete = NameEnd;
      s.on_header_value = Value;
      s.on_header_value_complete = ValueEnd;
      s.on_headers_complete = HeadersComplete;
      s.on_body = Body;
      s.on_chunk_extension_name = Extension;
      s.on_chunk_extension_value = Extension;
      s.on_chunk_header = ChunkHeader;
      s.on_chunk_complete = ChunkComplete;
      s.on_message_complete = MessageComplete;
      return s;
    }();
    return &settings;
  }
};

Http1Session::Http1Session(SessionHost& host) : host_(host), shared_(host.shared()) {
  llhttp_init(&parser_, HTTP_REQUEST, Callbacks::Settings());
  parser_.data = this;
}

Http1Session::~Http1Session() {
  for (; count_ > 0; --count_) {
    ring_[ring_first_]->Abandon();
    ring_first_ = (ring_first_ + 1) % kPipelineMax;
  }
  delete current_;
  delete spare_;
}

std::span<std::byte> Http1Session::ReceiveSpace() {
  if (!in_data_ || closing_ || parser_.content_length < kInPlaceMin) return {};
  ByteBuffer& body = current_->body_buffer();
  if (current_->body_room() == body.size() &&
      !current_->GrowBody(body.size() + 1, body.size() + parser_.content_length)) {
    RefuseBodyMemory();
    return {};
  }
  const std::uint64_t room = current_->body_room() - body.size();
  return {body.data() + body.size(), std::min(room, parser_.content_length)};
}

void Http1Session::OnReceivedInPlace(std::size_t n) {
  ByteBuffer& body = current_->body_buffer();
  Parse({body.data() + body.size(), n});  // OnBody sees that the bytes are in their place.
}

void Http1Session::OnReceive(std::span<const std::byte> bytes) {
  if (closing_) return;
  const std::size_t used = Parse(bytes);
  if (!closing_ && used < bytes.size()) stash_.Append(bytes.subspan(used));
}

std::size_t Http1Session::Parse(std::span<const std::byte> bytes) {
  const char* begin = reinterpret_cast<const char*>(bytes.data());
  std::size_t used = 0;
  while (used < bytes.size() && !closing_ && count_ < kPipelineMax) {
    const llhttp_errno_t error = llhttp_execute(&parser_, begin + used, bytes.size() - used);
    if (error == HPE_PAUSED) {
      const auto stop = static_cast<std::size_t>(llhttp_get_error_pos(&parser_) - begin);
      used = stop;
      llhttp_resume(&parser_);
      CompleteRequest();
      continue;
    }
    if (error != HPE_OK) {
      FailParse(error, {begin, bytes.size()});
      return bytes.size();
    }
    // Blanks between fields and empty lines before a request reach no callback: bound them here.
    if (!head_done_) head_raw_ += bytes.size() - used;
    if (head_raw_ > shared_.options.header_bytes_max + kHeadSlack) {
      Refuse(431, "the request's header section is too long");
    }
    return bytes.size();
  }
  return closing_ ? bytes.size() : used;
}

int Http1Session::Refuse(int status, std::string message) {
  if (!refusal_) {
    shared_.protocol_errors.fetch_add(1, std::memory_order_relaxed);
    refusal_ = ErrorReply(status, message);
    // RFC 9110, section 15.6.4: the client may come again.
    if (status == 503) refusal_->headers.emplace_back("retry-after", "1");
  }
  closing_ = true;
  in_data_ = false;
  send_continue_ = false;
  host_.WantWrite();
  return HPE_USER;
}

void Http1Session::FailParse(llhttp_errno_t error, std::string_view bytes) {
  if (refusal_) return;  // A callback refused the request and said why.
  const char* text = llhttp_get_error_reason(&parser_);
  const std::string_view reason = text != nullptr ? text : "";
  const char* at = llhttp_get_error_pos(&parser_);
  const bool at_letter = at != nullptr && at >= bytes.data() && at < bytes.data() + bytes.size() &&
                         *at >= 'A' && *at <= 'Z';
  if (error == HPE_INVALID_VERSION && reason.starts_with("Invalid HTTP version")) {
    Refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here, and HTTP/2 with prior knowledge");
  } else if (error == HPE_INVALID_METHOD && at_letter) {
    Refuse(501, "the request method is not known");
  } else {
    Refuse(400, "the request is not valid HTTP/1.1: " + std::string(reason));
  }
}

int Http1Session::CountHead(std::size_t n) {
  head_text_ += n;
  if (head_text_ <= shared_.options.header_bytes_max) return 0;
  return Refuse(431, "the request's header section is larger than " +
                         HumanBytes(shared_.options.header_bytes_max));
}

// What decides where the request ends must be beyond doubt, or a proxy in front of us might see
// another end (request smuggling). llhttp refuses Content-Length beside Transfer-Encoding.
bool Http1Session::CheckFraming() {
  const Http1Head& head = current_->head();
  if (parser_.http_major != 1 || parser_.http_minor > 1) {
    Refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here, and HTTP/2 with prior knowledge");
    return false;
  }
  const std::size_t codings = head.Count("transfer-encoding");
  if (codings > 0) {
    if (current_->http10) {
      Refuse(400, "HTTP/1.0 has no Transfer-Encoding");
      return false;
    }
    if (codings > 1 || !EqualsIgnoreCase(head.Find("transfer-encoding"), "chunked")) {
      Refuse(501, "the only Transfer-Encoding known here is 'chunked'");
      return false;
    }
    if (head.Count("content-length") > 0) {
      Refuse(400, "a request has either Content-Length or Transfer-Encoding");
      return false;
    }
  }
  const std::size_t hosts = head.Count("host");
  if (hosts > 1 || (hosts == 0 && !current_->http10)) {
    Refuse(400, "a request has exactly one Host header field");
    return false;
  }
  return true;
}

bool Http1Session::CheckFields() {
  const Http1Head& head = current_->head();
  if (parser_.method == HTTP_CONNECT) {
    Refuse(501, "CONNECT is not supported: this is not a proxy");
    return false;
  }
  if (const char* wrong = current_->head().DecodeTarget()) {
    Refuse(400, wrong);
    return false;
  }
  const auto encoding = ParseEncoding(head.Find("content-encoding"));
  if (!encoding || head.Count("content-encoding") > 1) {
    Refuse(415, "the Content-Encoding is not known: use gzip, deflate or none");
    return false;
  }
  encoding_ = *encoding;
  const std::string_view expect = head.Find("expect");
  if (!expect.empty() && !current_->http10) {
    if (!EqualsIgnoreCase(expect, "100-continue")) {
      Refuse(417, "the only expectation known here is 100-continue");
      return false;
    }
    send_continue_ = (parser_.flags & F_CHUNKED) != 0 || parser_.content_length > 0;
  }
  return true;
}

int Http1Session::OnHeadersComplete() {
  head_done_ = true;
  head_raw_ = 0;
  parser_.upgrade = 0;  // An offer to upgrade is one that a server may pass over.
  current_->http10 = parser_.http_minor == 0;
  if (!CheckFraming() || !CheckFields()) return HPE_USER;
  if ((parser_.flags & F_CHUNKED) != 0 || parser_.content_length == 0) return 0;
  if (parser_.content_length > shared_.options.body_bytes_max) return RefuseBodySize();
  if (!current_->GrowBody(0, parser_.content_length)) return RefuseBodyMemory();
  in_data_ = true;
  if (send_continue_) host_.WantWrite();
  return 0;
}

int Http1Session::OnChunk(std::uint64_t size) {
  const std::uint64_t have = current_->body_buffer().size();
  if (size > shared_.options.body_bytes_max || have + size > shared_.options.body_bytes_max) {
    return RefuseBodySize();
  }
  if (size > 0 && !current_->GrowBody(0, have + size)) return RefuseBodyMemory();
  in_data_ = size > 0;
  return 0;
}

int Http1Session::OnBody(std::span<const std::byte> bytes) {
  ByteBuffer& body = current_->body_buffer();
  send_continue_ = false;  // It came without being asked for.
  if (bytes.data() == body.data() + body.size()) {
    body.Extend(bytes.size());  // Received in place; the room is there.
    return 0;
  }
  const std::size_t size = body.size() + bytes.size();
  if (size > current_->body_room() && !current_->GrowBody(size, size + parser_.content_length)) {
    return RefuseBodyMemory();
  }
  body.Append(bytes);
  return 0;
}

int Http1Session::RefuseBodySize() {
  return Refuse(413, "the request body is larger than the limit of " +
                         HumanBytes(shared_.options.body_bytes_max) +
                         ": send less at once or raise the limit");
}

int Http1Session::RefuseBodyMemory() {
  return Refuse(503, "the server holds as many request bytes as it may: try again later");
}

void Http1Session::CompleteRequest() {
  Http1Call* call = std::exchange(current_, nullptr);
  in_data_ = false;
  head_raw_ = 0;
  head_done_ = false;
  send_continue_ = false;
  call->keep_alive = keep_alive_ && !draining_;
  if (!call->keep_alive) closing_ = true;
  ring_[(ring_first_ + count_) % kPipelineMax] = call;
  ++count_;
  if (encoding_ != Encoding::kIdentity && !call->body().empty()) {
    if (const Status status = call->InflateBody(encoding_); !status.ok()) {
      const bool large = status.code() == Code::kResourceExhausted;
      call->SetLocalReply(large                                 ? 413
                          : status.code() == Code::kUnavailable ? 503
                                                                : 400,
                          status.message());
      host_.WantWrite();
      return;
    }
  }
  call->Dispatch(this);
}

void Http1Session::Send(Http1Call& call, Output* out) {
  scratch_.clear();
  call.RenderHead(&scratch_);
  out->Append(scratch_);
  if (call.HasReplyBody()) out->Append(std::move(call.reply().body));
}

void Http1Session::Recycle(Http1Call* call) {
  if (spare_ == nullptr) {
    spare_ = call;
  } else {
    delete call;
  }
}

void Http1Session::Collect(Output* out) {
  for (;;) {
    while (count_ > 0 && ring_[ring_first_]->replied() && !out->AboveHighWater()) {
      Http1Call* call = std::exchange(ring_[ring_first_], nullptr);
      ring_first_ = (ring_first_ + 1) % kPipelineMax;
      --count_;
      Send(*call, out);
      Recycle(call);
    }
    if (count_ == 0 && refusal_) {
      scratch_.clear();
      Http1Call end(host_.loop(), shared_);
      end.keep_alive = false;
      end.reply() = std::move(*refusal_);
      Send(end, out);
      refusal_.reset();
      delete std::exchange(current_, nullptr);
    } else if (count_ == 0 && send_continue_) {
      out->Append(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"));
      send_continue_ = false;
    }
    if (stash_.size() == stash_used_ || count_ == kPipelineMax || out->AboveHighWater()) return;
    stash_used_ += Parse(stash_.span().subspan(stash_used_));
    if (closing_ || stash_used_ == stash_.size()) {
      stash_ = ByteBuffer();
      stash_used_ = 0;
    }
  }
}

void Http1Session::StartDrain() {
  draining_ = true;
  if (current_ == nullptr) {
    closing_ = true;
    if (count_ > 0) ring_[(ring_first_ + count_ - 1) % kPipelineMax]->keep_alive = false;
  }
  host_.WantWrite();
}

}  // namespace

std::unique_ptr<Session> NewHttp1Session(SessionHost& host) {
  return std::make_unique<Http1Session>(host);
}

}  // namespace brim::io
