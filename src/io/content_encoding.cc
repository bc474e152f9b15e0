// zlib behind content_encoding.h. A thread rule is not needed: each call owns its zlib stream.
#include "io/content_encoding.h"

#include <zlib.h>

#include <algorithm>
#include <string>

#include "base/text.h"

namespace brim::io {
namespace {

constexpr int kWindowBits = 15;  // zlib's largest window; every stream may use it.
constexpr int kGzipBits = 16;    // Added to the window bits: gzip wrapping (zlib manual).
constexpr std::size_t kFirstStep = 64u << 10;

Status Corrupt(const char* why) {
  return Status(Code::kInvalidArgument, "encoding_corrupt",
                std::string("the compressed body cannot be inflated (") + why +
                    "): check that content-encoding names what was sent");
}

Status TooLarge(std::uint64_t max_bytes) {
  return Status(Code::kResourceExhausted, "body_too_large",
                "the inflated body is larger than the limit of " + HumanBytes(max_bytes) +
                    ": send less at once or raise the limit");
}

// RFC 1950: method 8 in the low nibble and a header that is a multiple of 31.
bool HasZlibHeader(std::span<const std::byte> input) {
  if (input.size() < 2) return true;  // Let zlib say what is missing.
  const unsigned cmf = std::to_integer<unsigned>(input[0]);
  const unsigned flags = std::to_integer<unsigned>(input[1]);
  return (cmf & 0x0f) == 8 && (cmf * 256 + flags) % 31 == 0;
}

int InflateBits(std::span<const std::byte> input, Encoding encoding) {
  if (encoding == Encoding::kGzip) return kWindowBits + kGzipBits;
  return HasZlibHeader(input) ? kWindowBits : -kWindowBits;
}

ByteBuffer Copy(std::span<const std::byte> input) {
  ByteBuffer copy;
  copy.Reserve(input.size());
  copy.Append(input);
  return copy;
}

class Inflater {
 public:
  explicit Inflater(int bits) { ready_ = inflateInit2(&stream_, bits) == Z_OK; }
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  bool ready() const { return ready_; }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

bool Unwanted(std::string_view parameters) {  // ";q=0", ";q=0.000"
  const std::size_t at = parameters.find("q=");
  if (at == std::string_view::npos) return false;
  const std::string_view q = Trim(parameters.substr(at + 2));
  return !q.empty() && q.find_first_not_of("0.") == std::string_view::npos;
}

}  // namespace

std::optional<Encoding> ParseEncoding(std::string_view name) {
  name = Trim(name);
  if (name.empty() || EqualsIgnoreCase(name, "identity")) return Encoding::kIdentity;
  if (EqualsIgnoreCase(name, "gzip") || EqualsIgnoreCase(name, "x-gzip")) return Encoding::kGzip;
  if (EqualsIgnoreCase(name, "deflate")) return Encoding::kDeflate;
  return std::nullopt;
}

std::string_view EncodingName(Encoding encoding) {
  if (encoding == Encoding::kGzip) return "gzip";
  return encoding == Encoding::kDeflate ? "deflate" : "identity";
}

Result<ByteBuffer> Inflate(std::span<const std::byte> input, Encoding encoding,
                           std::uint64_t max_bytes) {
  if (encoding == Encoding::kIdentity) {
    if (input.size() > max_bytes) return TooLarge(max_bytes);
    return Copy(input);
  }
  if (input.empty()) return Corrupt("it is empty");
  Inflater inflater(InflateBits(input, encoding));
  if (!inflater.ready()) {
    return Status(Code::kResourceExhausted, "inflate_memory", "no memory to inflate a body");
  }
  z_stream& stream = inflater.stream();
  ByteBuffer output;
  // Typical text inflates four to eight times; start there, and double.
  std::size_t step = std::max<std::size_t>(kFirstStep, input.size() * 4);
  std::size_t taken = 0;
  for (;;) {
    if (output.size() >= max_bytes) step = 1;  // One byte more than allowed proves the excess.
    step = static_cast<std::size_t>(std::min<std::uint64_t>(
        {step, max_bytes - std::min<std::uint64_t>(max_bytes, output.size()) + 1, 1u << 30}));
    const std::size_t before = output.size();
    stream.next_out = reinterpret_cast<Bytef*>(output.Extend(step));
    stream.avail_out = static_cast<uInt>(step);
    const std::size_t give = std::min<std::size_t>(input.size() - taken, 1u << 30);
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(input.data() + taken));
    stream.avail_in = static_cast<uInt>(give);
    const int rc = inflate(&stream, Z_NO_FLUSH);
    taken += give - stream.avail_in;
    output.Truncate(before + step - stream.avail_out);
    if (output.size() > max_bytes) return TooLarge(max_bytes);
    if (rc == Z_STREAM_END) break;
    if (rc != Z_OK && rc != Z_BUF_ERROR) return Corrupt(stream.msg ? stream.msg : "damaged");
    if (stream.avail_out != 0 && taken == input.size()) return Corrupt("its end is missing");
    step = std::max<std::size_t>(output.size(), kFirstStep);
  }
  if (taken != input.size()) return Corrupt("bytes follow its end");
  return output;
}

Result<ByteBuffer> Deflate(std::span<const std::byte> input, Encoding encoding) {
  if (encoding == Encoding::kIdentity) return Copy(input);
  const auto no_memory = [] {
    return Status(Code::kResourceExhausted, "deflate_memory", "too much to compress at once");
  };
  if (input.size() > (1u << 30)) return no_memory();  // One call of deflate() takes 32-bit sizes.
  z_stream stream{};
  const int bits = encoding == Encoding::kGzip ? kWindowBits + kGzipBits : kWindowBits;
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return no_memory();
  }
  ByteBuffer output;
  const std::size_t bound = deflateBound(&stream, static_cast<uLong>(input.size()));
  stream.next_out = reinterpret_cast<Bytef*>(output.Extend(bound));
  stream.avail_out = static_cast<uInt>(bound);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  const int rc = deflate(&stream, Z_FINISH);
  output.Truncate(bound - stream.avail_out);
  deflateEnd(&stream);
  if (rc != Z_STREAM_END) return Status(Code::kInternal, "deflate_failed", "zlib did not finish");
  return output;
}

Encoding ChooseEncoding(std::string_view accept_encoding) {
  Encoding chosen = Encoding::kIdentity;
  while (!accept_encoding.empty()) {
    const std::size_t comma = std::min(accept_encoding.find(','), accept_encoding.size());
    const std::string_view item = accept_encoding.substr(0, comma);
    accept_encoding.remove_prefix(std::min(comma + 1, accept_encoding.size()));
    const std::size_t semicolon = std::min(item.find(';'), item.size());
    const std::string_view name = Trim(item.substr(0, semicolon));
    if (name.empty() || Unwanted(item.substr(semicolon))) continue;
    if (name == "*" || ParseEncoding(name) == Encoding::kGzip) return Encoding::kGzip;
    if (ParseEncoding(name) == Encoding::kDeflate) chosen = Encoding::kDeflate;
  }
  return chosen;
}

}  // namespace brim::io
