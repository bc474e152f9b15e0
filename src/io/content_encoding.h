// gzip and deflate, whole buffers at a time: HTTP content-encoding and gRPC message compression.
//
//   Result<ByteBuffer> body = Inflate(received, Encoding::kGzip, options.body_bytes_max);
//
// Pure; any thread. "deflate" is the zlib format (RFC 1950), which is what HTTP and gRPC mean by
// it; Inflate also takes the bare RFC 1951 stream that some clients send.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace brim::io {

enum class Encoding : std::uint8_t { kIdentity, kGzip, kDeflate };

// "gzip", "x-gzip", "deflate", "identity" or "", in any case; nothing for any other name.
std::optional<Encoding> ParseEncoding(std::string_view name);
std::string_view EncodingName(Encoding encoding);

// kInvalidArgument ("encoding_corrupt") for damaged, cut or trailing bytes; kResourceExhausted
// ("body_too_large") when the result would pass max_bytes: memory never passes it by more than a
// step. kIdentity copies.
Result<ByteBuffer> Inflate(std::span<const std::byte> input, Encoding encoding,
                           std::uint64_t max_bytes);
// Fast (level 1). The result has ByteBuffer's whole headroom free. kIdentity copies.
Result<ByteBuffer> Deflate(std::span<const std::byte> input, Encoding encoding);

// What an Accept-Encoding (or grpc-accept-encoding) value lets us answer with: kGzip before
// kDeflate, kIdentity when neither is wanted (q=0 counts as not wanted; "*" as gzip).
Encoding ChooseEncoding(std::string_view accept_encoding);

}  // namespace brim::io
