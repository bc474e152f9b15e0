// How the planner prints numbers and paragraphs for people. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace brim::planner {

// Three digits that matter, thousands apart by commas: "1,234,567", "95.3", "0.0123"; whole numbers
// without a point; below 1e-9 "0"; "-" if it is no finite number.
std::string NumberText(double value);
std::string CountText(std::int64_t value);

// Terminal columns of UTF-8 text, one a code point (good enough for names and units).
std::size_t TextWidth(std::string_view text);

// Words of `text` in lines of at most `columns`, each after `indent` spaces and ended by a newline.
std::string WrapText(std::string_view text, std::size_t indent, std::size_t columns = 100);

}  // namespace brim::planner
