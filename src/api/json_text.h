// Appends numbers and strings as JSON text to a ByteBuffer, for answers too large for a std::string
// on the way.
//
// The same dialect as base/json.h: shortest round trip, ".0" on integral floats, NaN and Infinity
// as bare words. Pure; any thread.
#pragma once

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "base/bytes.h"

namespace brim::api {

// Room that one number may need: "-2.2250738585072014e-308" is 24 characters.
inline constexpr std::size_t kNumberTextMax = 32;

// Writes at `at`, which has kNumberTextMax bytes, and returns the end.
template <typename T>
char* WriteNumber(char* at, T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) {
      const std::string_view word =
          std::isnan(value) ? "NaN" : (value > 0 ? "Infinity" : "-Infinity");
      std::memcpy(at, word.data(), word.size());
      return at + word.size();
    }
    char* const end = fmt::format_to(at, FMT_COMPILE("{}"), value);
    // "3" would read back as an integer: keep it a floating-point number.
    if (std::none_of(at, end, [](char c) { return c == '.' || c == 'e'; })) {
      end[0] = '.';
      end[1] = '0';
      return end + 2;
    }
    return end;
  } else {
    const fmt::format_int text(value);
    std::memcpy(at, text.data(), text.size());
    return at + text.size();
  }
}

template <typename T>
void AppendNumber(ByteBuffer* out, T value) {
  char text[kNumberTextMax];
  char* const end = WriteNumber(text, value);
  out->Append(std::string_view(text, static_cast<std::size_t>(end - text)));
}

// Quoted and escaped; invalid UTF-8 becomes U+FFFD.
void AppendQuoted(ByteBuffer* out, std::string_view text);

}  // namespace brim::api
