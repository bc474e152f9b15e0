// A plain HTTP request on its stream: checks, body, reply; see http2_http_stream.h.
#include "io/http2_http_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "io/http1_call.h"
#include "io/http2_session.h"
#include "io/http_reply.h"

namespace brim::io {
namespace {

// Names and values come from handlers and may carry a client's text; nghttp2 does not look at what
// it sends.
bool IsSendable(const std::string& name, const std::string& value) {
  const auto* name_bytes = reinterpret_cast<const std::uint8_t*>(name.data());
  const auto* value_bytes = reinterpret_cast<const std::uint8_t*>(value.data());
  return nghttp2_check_header_name(name_bytes, name.size()) != 0 &&
         nghttp2_check_header_value(value_bytes, value.size()) != 0;
}

}  // namespace

Http2HttpStream::Http2HttpStream(const Source& source, StreamMemory memory)
    : Http2Stream(source, std::move(memory)), received_(source.loop->Now()), body_(*source.shared) {
  body_.Adopt(std::move(memory_.block));
}

std::string_view Http2HttpStream::Header(std::string_view name) const {
  // HTTP/2 says it in its own words; a handler need not know (RFC 9113, section 8.3.1).
  return memory_.headers.Find(name == "host" ? ":authority" : name);
}

void Http2HttpStream::Start() {
  const ServerOptions& options = shared_.options;
  if (headers_too_large_) {
    return Refuse(
        431, "the request's header section is larger than " + HumanBytes(options.header_bytes_max));
  }
  if (method() == "CONNECT") return Refuse(501, "CONNECT is not supported: this is not a proxy");
  target_.AppendTarget(memory_.headers.Find(":path"));
  if (const char* wrong = target_.DecodeTarget()) return Refuse(400, wrong);
  const auto encoding = ParseEncoding(Header("content-encoding"));
  if (!encoding) return Refuse(415, "the Content-Encoding is not known: use gzip, deflate or none");
  encoding_ = *encoding;
  // nghttp2 has checked that it is a number and will check that it is true.
  declared_ = ParseUint64(Header("content-length")).value_or(0);
  if (declared_ > options.body_bytes_max) {
    Refuse(413, "the request body is larger than the limit of " +
                    HumanBytes(options.body_bytes_max) + ": send less at once or raise the limit");
  }
}

void Http2HttpStream::OnData(std::span<const std::byte> bytes) {
  Consumed(bytes.size());
  if (replied_) return;
  if (body_.size() + bytes.size() > shared_.options.body_bytes_max) {
    return Refuse(413, "the request body is larger than the limit of " +
                           HumanBytes(shared_.options.body_bytes_max) +
                           ": send less at once or raise the limit");
  }
  if (!body_.Append(bytes, declared_)) {
    Refuse(503, "the server holds as many request bytes as it may: try again later");
  }
}

void Http2HttpStream::OnEndStream() {
  if (replied_) return;
  if (encoding_ != Encoding::kIdentity && body_.size() != 0) {
    auto plain = Inflate(body_.span(), encoding_, shared_.options.body_bytes_max);
    if (!plain.ok()) {
      return Refuse(plain.status().code() == Code::kResourceExhausted ? 413 : 400,
                    plain.status().message());
    }
    if (!body_.Replace(std::move(*plain))) {
      return Refuse(503, "the server holds as many request bytes as it may: try again later");
    }
  } else if (body_.size() == 0) {
    body_.Append({}, 0);  // Even an empty body is followed by readable padding.
  }
  HandOver();
  shared_.handlers.http->OnRequest(*this);
}

void Http2HttpStream::OnClosed() {
  Http2Session* session = std::exchange(session_, nullptr);
  if (handed_over() && !replied_) {
    cancelled_.store(true, std::memory_order_relaxed);
    return;
  }
  memory_.block = body_.TakeBlock();
  memory_.outgoing.Clear();
  session->Recycle(std::move(memory_));
  delete this;
}

void Http2HttpStream::Reply(HttpReply reply) {
  reply_ = std::move(reply);
  const bool on_loop = loop().InThread();
  if (!cancelled_.load(std::memory_order_relaxed)) {
    EncodeReplyBody(&reply_, Header("accept-encoding"), on_loop);
  }
  // An orphan is deleted through the inbox, so never under the feet of its handler.
  if (on_loop && session_ != nullptr) {
    RunOnLoop();
  } else {
    loop().Post(this);
  }
}

void Http2HttpStream::RunOnLoop() {
  replied_ = true;
  if (session_ != nullptr) {
    SubmitReply();
  } else {
    delete this;
  }
}

void Http2HttpStream::Refuse(int status, std::string_view message) {
  replied_ = true;
  reply_ = ErrorReply(status, message);
  if (status == 503) reply_.headers.emplace_back("retry-after", "1");
  SubmitReply();
}

void Http2HttpStream::SubmitReply() {
  const std::string status = fmt::format_int(reply_.status).str();
  const std::string length = fmt::format_int(reply_.body.size()).str();
  std::vector<nghttp2_nv> fields;
  fields.reserve(3 + reply_.headers.size());
  fields.push_back(CopiedField(":status", status));
  const bool forbids_body = ForbidsBody(reply_.status);
  if (!forbids_body) {
    if (!reply_.content_type.empty())
      fields.push_back(CopiedField("content-type", reply_.content_type));
    fields.push_back(CopiedField("content-length", length));
  }
  for (const auto& [name, value] : reply_.headers) {
    if (IsSendable(name, value)) fields.push_back(CopiedField(name, value));
  }
  const bool has_body = !forbids_body && method() != "HEAD" && !reply_.body.empty();
  if (has_body) memory_.outgoing.Push(std::move(reply_.body));
  session_->SubmitHead(this, fields, has_body);
}

Http2Stream::Pull Http2HttpStream::PullData(std::size_t max, std::size_t* length) {
  *length = std::min(max, memory_.outgoing.size());
  return *length == memory_.outgoing.size() ? Pull::kLast : Pull::kMore;
}

}  // namespace brim::io
