// Small text functions: UTF-8 checks, case-insensitive compare, numbers, sizes for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brim {

// Bytes of the valid UTF-8 sequence at the start of text (1 to 4), 0 if it is not valid (RFC 3629).
std::size_t Utf8SequenceLength(std::string_view text);
// Whether the whole text is valid UTF-8.
bool IsUtf8(std::string_view text);

bool EqualsIgnoreCase(std::string_view a, std::string_view b);  // ASCII only.

// The whole text must be one decimal number in range; no sign for the unsigned, no spaces.
std::optional<std::int64_t> ParseInt64(std::string_view text);
std::optional<std::uint64_t> ParseUint64(std::string_view text);

// As a part of a URL's path: all but unreserved characters percent-encoded (RFC 3986, 2.3).
std::string UrlPathPart(std::string_view text);

// "12.3 MiB"; powers of 1024.
std::string HumanBytes(std::uint64_t bytes);

// Splits at every separator; an empty text gives one empty piece.
std::vector<std::string_view> Split(std::string_view text, char separator);
std::string_view Trim(std::string_view text);  // Spaces, tabs, CR and LF at both ends.

}  // namespace brim
