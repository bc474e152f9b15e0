// Numbers and paragraphs for people.
#include "planner/report/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace brim::planner {
namespace {

// No quantity here is so small: it is rounding, whose digits differ between compilers.
constexpr double kNoise = 1e-9;

}  // namespace

std::string CountText(std::int64_t value) {
  const std::string digits = fmt::format("{}", value);
  std::string text;
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > first && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string NumberText(double value) {
  if (!std::isfinite(value)) return "-";
  const double size = std::fabs(value);
  if (size < kNoise) return "0";
  if (size >= 1e15) return fmt::format("{:.3g}", value);
  const double rounded = std::round(value);
  if (size >= 99.95 || value == rounded) return CountText(static_cast<std::int64_t>(rounded));
  if (size >= 9.995) return fmt::format("{:.1f}", value);
  if (size >= 0.9995) return fmt::format("{:.2f}", value);
  if (size >= 1e-4) {
    // Digits after the point so that three of them matter: 0.0123 has four.
    const int places = 2 - static_cast<int>(std::floor(std::log10(size * 1.0005)));
    return fmt::format("{:.{}f}", value, places);
  }
  return fmt::format("{:.2e}", value);
}

std::size_t TextWidth(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string WrapText(std::string_view text, std::size_t indent, std::size_t columns) {
  std::string out;
  std::size_t used = 0;  // Columns of the line so far; 0 before its first word.
  while (!text.empty()) {
    const std::size_t start = text.find_first_not_of(" \n");
    if (start == std::string_view::npos) break;
    const std::size_t end = std::min(text.find_first_of(" \n", start), text.size());
    const std::string_view word = text.substr(start, end - start);
    text.remove_prefix(end);
    const std::size_t width = TextWidth(word);
    if (used > 0 && used + 1 + width <= columns) {
      out += ' ';
      ++used;
    } else {
      if (used > 0) out += '\n';
      out.append(indent, ' ');
      used = indent;
    }
    out += word;
    used += width;
  }
  if (used > 0) out += '\n';
  return out;
}

}  // namespace brim::planner
