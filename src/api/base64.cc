// See base64.h.
#include "api/base64.h"

#include <array>
#include <cstdint>

namespace brim::api {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kBlank = 64, kPad = 65, kBad = 66;

constexpr std::array<std::uint8_t, 256> MakeTable() {
  std::array<std::uint8_t, 256> table{};
  for (auto& entry : table) entry = kBad;
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  for (const char c : {' ', '\t', '\r', '\n'}) table[static_cast<unsigned char>(c)] = kBlank;
  table['='] = kPad;
  return table;
}
constexpr std::array<std::uint8_t, 256> kTable = MakeTable();

}  // namespace

bool DecodeBase64(std::string_view text, ByteBuffer* out) {
  const std::size_t start = out->size();
  std::byte* to = out->Extend(text.size() / 4 * 3 + 3);
  std::size_t written = 0;
  std::uint32_t bits = 0;
  std::size_t digits = 0, pads = 0;
  for (const char c : text) {
    const std::uint8_t value = kTable[static_cast<unsigned char>(c)];
    if (value == kBlank) continue;
    if (value == kPad) {
      ++pads;
      continue;
    }
    if (value == kBad || pads != 0) return false;
    bits = bits << 6 | value;
    if (++digits % 4 == 0) {
      to[written++] = static_cast<std::byte>(bits >> 16);
      to[written++] = static_cast<std::byte>(bits >> 8);
      to[written++] = static_cast<std::byte>(bits);
    }
  }
  const std::size_t rest = digits % 4;
  if (rest == 1 || pads > 2 || (pads != 0 && rest + pads != 4)) return false;
  if (rest == 2) to[written++] = static_cast<std::byte>(bits >> 4);
  if (rest == 3) {
    to[written++] = static_cast<std::byte>(bits >> 10);
    to[written++] = static_cast<std::byte>(bits >> 2);
  }
  out->Truncate(start + written);
  return true;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = bytes.size() - i < 3 ? bytes.size() - i : 3;
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out.push_back(k <= n ? kAlphabet[bits >> (18 - 6 * k) & 63] : '=');
    }
  }
  return out;
}

}  // namespace brim::api
