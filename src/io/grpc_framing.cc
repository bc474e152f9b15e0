// Prefixes, timeouts and trailer text of gRPC; see grpc_framing.h.
#include "io/grpc_framing.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace brim::io {

void PrependGrpcPrefix(ByteBuffer* message, bool compressed) {
  const auto length = static_cast<std::uint32_t>(message->size());
  std::byte* at = message->Prepend(kGrpcPrefixBytes);
  at[0] = compressed ? std::byte{1} : std::byte{0};
  for (int i = 0; i < 4; ++i) at[1 + i] = static_cast<std::byte>(length >> (24 - 8 * i));
}

std::optional<Duration> ParseGrpcTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto value = ParseUint64(text.substr(0, text.size() - 1));
  if (!value) return std::nullopt;
  const auto count = static_cast<std::int64_t>(*value);
  switch (text.back()) {
    case 'H':
      // 99999999 hours do not fit into 64 bits of nanoseconds; 200 years are as good.
      return std::chrono::hours(std::min<std::int64_t>(count, 200 * 365 * 24));
    case 'M':
      return std::chrono::minutes(count);
    case 'S':
      return std::chrono::seconds(count);
    case 'm':
      return std::chrono::milliseconds(count);
    case 'u':
      return std::chrono::microseconds(count);
    case 'n':
      return std::chrono::nanoseconds(count);
    default:
      return std::nullopt;
  }
}

std::string EncodeGrpcMessage(std::string_view message) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::size_t kept = std::min(message.size(), kGrpcMessageBytesMax);
  // Never cut within a UTF-8 sequence: step back over continuation bytes.
  while (kept < message.size() && kept > 0 &&
         (static_cast<unsigned char>(message[kept]) & 0xC0) == 0x80) {
    --kept;
  }
  std::string out;
  out.reserve(kept + 16);
  for (const char c : message.substr(0, kept)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7E && byte != '%') {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  return out;
}

bool GrpcListHas(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    if (Trim(list.substr(0, comma)) == word) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

GrpcMessageReader::Step GrpcMessageReader::Feed(std::span<const std::byte>* bytes) {
  if (prefix_bytes_ < kGrpcPrefixBytes) {
    const auto n = std::min(bytes->size(), kGrpcPrefixBytes - prefix_bytes_);
    if (n != 0) std::memcpy(prefix_ + prefix_bytes_, bytes->data(), n);
    prefix_bytes_ += n;
    *bytes = bytes->subspan(n);
    if (prefix_bytes_ < kGrpcPrefixBytes) return Step::kMore;
    if (prefix_[0] > std::byte{1}) return Step::kBadFlag;
    length_ = 0;
    for (std::size_t i = 1; i < kGrpcPrefixBytes; ++i) {
      length_ = length_ << 8 | std::to_integer<std::uint32_t>(prefix_[i]);
    }
    if (length_ > bytes_max_) return Step::kTooLarge;
  }
  const auto n = std::min<std::size_t>(bytes->size(), length_ - body_.size());
  if (!body_.Append(bytes->first(n), length_)) return Step::kOverloaded;
  *bytes = bytes->subspan(n);
  return body_.size() == length_ ? Step::kMessage : Step::kMore;
}

void GrpcMessageReader::Next() {
  body_.Clear();
  prefix_bytes_ = 0;
  length_ = 0;
}

}  // namespace brim::io
