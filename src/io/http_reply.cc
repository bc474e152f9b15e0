// Compression of a handler's reply; see http_reply.h.
#include "io/http_reply.h"

#include <cstddef>
#include <utility>

#include "io/content_encoding.h"

namespace brim::io {
namespace {

// Below, a reply fits a few packets and compressing costs more than it saves.
constexpr std::size_t kEncodeMin = 8u << 10;
// Above, compressing would hold up the loop (about 10 ms per MiB); a worker's time is its own.
constexpr std::size_t kEncodeOnLoopMax = 128u << 10;

bool IsText(std::string_view content_type) {
  return content_type.starts_with("application/json") || content_type.starts_with("text/");
}

}  // namespace

void EncodeReplyBody(HttpReply* reply, std::string_view accept_encoding, bool on_loop) {
  const std::size_t size = reply->body.size();
  if (size < kEncodeMin || (on_loop && size > kEncodeOnLoopMax) || !IsText(reply->content_type))
    return;
  for (const auto& [name, value] : reply->headers) {
    if (name == "content-encoding") return;
  }
  const Encoding encoding = ChooseEncoding(accept_encoding);
  if (encoding == Encoding::kIdentity) return;
  auto encoded = Deflate(reply->body.span(), encoding);
  if (!encoded.ok() || encoded->size() > size / 8 * 7) return;
  reply->body = std::move(encoded).value();
  reply->headers.emplace_back("content-encoding", EncodingName(encoding));
  reply->headers.emplace_back("vary", "accept-encoding");
}

}  // namespace brim::io
