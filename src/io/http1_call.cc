// One HTTP/1.1 call: body room, reply encoding and reply head; see http1_call.h.
#include "io/http1_call.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/json.h"
#include "io/http_reply.h"

namespace brim::io {
namespace {

// A declared length is not believed further than this ahead of the bytes that really came.
constexpr std::size_t kBodyStep = 1u << 20;
// Names and values come from handlers and may carry a client's text: a line break in one would
// let it write headers of its own.
bool BreaksLine(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

void AppendField(std::string_view name, std::string_view value, std::string* out) {
  if (BreaksLine(name) || BreaksLine(value)) return;
  out->append(name).append(": ").append(value).append("\r\n");
}

// RFC 9110, section 15. The phrase may be empty (RFC 9112, section 4).
std::string_view ReasonPhrase(int status) {
  struct Row {
    int status;
    std::string_view phrase;
  };
  static constexpr Row kRows[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {411, "Length Required"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {499, "Client Closed Request"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  };
  for (const Row& row : kRows) {
    if (row.status == status) return row.phrase;
  }
  return "";
}

}  // namespace

HttpReply ErrorReply(int status, std::string_view message) {
  std::string text;
  JsonWriter(&text).BeginObject().Key("error").String(message).EndObject();
  HttpReply reply;
  reply.status = status;
  reply.body = ByteBuffer(text);
  return reply;
}

void AppendStatusLine(int status, std::string* out) {
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, status).ptr;
  out->append("HTTP/1.1 ").append(digits, end).push_back(' ');
  out->append(ReasonPhrase(status)).append("\r\n");
}

void Http1Call::Begin(Time received, std::string_view peer) {
  received_ = received;
  peer_.assign(peer);
  cancelled_.store(false, std::memory_order_relaxed);
  head_.Clear();
  reply_ = HttpReply();
  replied_ = false;
  keep_alive = true;
  http10 = false;
}

bool Http1Call::GrowBody(std::size_t need, std::size_t wish) {
  if (need <= body_room_ && wish <= body_room_) return true;
  std::size_t room = std::min(std::max(need, wish), std::max(kBodyStep, 2 * body_room_));
  room = std::max(room, need);
  if (room <= body_room_) return true;
  if (!shared_.ReserveBody(room - body_room_)) return false;
  body_room_ = room;
  body_capacity_ = std::max(body_capacity_, room);
  body_.Reserve(room);
  return true;
}

Status Http1Call::InflateBody(Encoding encoding) {
  auto inflated = Inflate(body_.span(), encoding, shared_.options.body_bytes_max);
  if (!inflated.ok()) return inflated.status();
  const std::size_t size = inflated->size();
  if (size > body_room_) {
    if (!shared_.ReserveBody(size - body_room_)) {
      return Status(Code::kUnavailable, "bodies_full",
                    "the server holds as many request bytes as it may: try again later");
    }
    body_room_ = size;
  }
  body_ = std::move(inflated).value();
  body_capacity_ = kBodyKept + 1;  // Of unknown size: not kept.
  return OkStatus();
}

void Http1Call::DropBody() {
  if (body_room_ != 0) shared_.ReleaseBody(body_room_);
  body_room_ = 0;
  if (body_capacity_ > kBodyKept) {
    body_ = ByteBuffer();
    body_capacity_ = 0;
  } else {
    body_.clear();
  }
}

void Http1Call::Dispatch(Http1CallOwner* owner) {
  owner_ = owner;
  in_handler_ = true;
  body_.Reserve(0);  // Even an empty body is followed by readable padding.
  shared_.requests.fetch_add(1, std::memory_order_relaxed);
  shared_.calls_now.fetch_add(1, std::memory_order_relaxed);
  shared_.handlers.http->OnRequest(*this);
}

void Http1Call::Abandon() {
  owner_ = nullptr;
  if (!in_handler_) {
    delete this;
    return;
  }
  cancelled_.store(true, std::memory_order_release);
}

void Http1Call::Reply(HttpReply reply) {
  reply_ = std::move(reply);
  const bool on_loop = loop_.InThread();
  if (!cancelled_.load(std::memory_order_relaxed)) {
    EncodeReplyBody(&reply_, head_.Find("accept-encoding"), on_loop);
  }
  if (on_loop) {
    RunOnLoop();
  } else {
    loop_.Post(this);
  }
}

void Http1Call::RunOnLoop() {
  // The handler's state and the request go first: the client may take its time to read the answer.
  Attach(nullptr);
  DropBody();
  in_handler_ = false;
  replied_ = true;
  SharedState& shared = shared_;
  if (owner_ == nullptr) {
    delete this;
  } else {
    owner_->OnReplied(*this);
  }
  // Last, because a server waits for zero before it destroys what the lines above use.
  shared.calls_now.fetch_sub(1, std::memory_order_release);
}

void Http1Call::SetLocalReply(int status, std::string_view message) {
  reply_ = ErrorReply(status, message);
  DropBody();
  replied_ = true;
}

void Http1Call::RenderHead(std::string* out) const {
  AppendStatusLine(reply_.status, out);
  if (!ForbidsBody(reply_.status)) {
    if (!reply_.content_type.empty()) AppendField("content-type", reply_.content_type, out);
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, reply_.body.size()).ptr;
    out->append("content-length: ").append(digits, end).append("\r\n");
  }
  for (const auto& [name, value] : reply_.headers) AppendField(name, value, out);
  if (!keep_alive) {
    out->append("connection: close\r\n");
  } else if (http10) {
    out->append("connection: keep-alive\r\n");
  }
  out->append("\r\n");
}

bool Http1Call::HasReplyBody() const {
  return !ForbidsBody(reply_.status) && head_.method != "HEAD";
}

}  // namespace brim::io
