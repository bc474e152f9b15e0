// Optimal string alignment distance (Damerau and Levenshtein, no letter edited twice), O(n m) over
// three rows; names longer than kLettersMax are not compared.
#include "planner/formats/nearest_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace brim::planner {
namespace {

constexpr std::size_t kLettersMax = 64;

char Lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

std::size_t Edits(std::string_view a, std::string_view b) {
  std::array<std::array<std::size_t, kLettersMax + 1>, 3> rows{};
  for (std::size_t j = 0; j <= b.size(); ++j) rows[1][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto& two_up = rows[(i + 2) % 3];  // Row i-2, i-1 and i take turns.
    auto& above = rows[i % 3];
    auto& row = rows[(i + 1) % 3];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = Lower(a[i - 1]) == Lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && Lower(a[i - 1]) == Lower(b[j - 2]) &&
          Lower(a[i - 2]) == Lower(b[j - 1])) {
        row[j] = std::min(row[j], two_up[j - 2] + 1);
      }
    }
  }
  return rows[(a.size() + 1) % 3][b.size()];
}

}  // namespace

std::string_view NearestName(std::string_view typed, std::span<const std::string_view> known) {
  std::string_view nearest;
  std::size_t fewest = kLettersMax;
  if (typed.empty() || typed.size() > kLettersMax) return nearest;
  for (const std::string_view name : known) {
    if (name.empty() || name.size() > kLettersMax) continue;
    const std::size_t edits = Edits(typed, name);
    if (edits < fewest && edits * 3 <= std::max(typed.size(), name.size())) {
      fewest = edits;
      nearest = name;
    }
  }
  return nearest;
}

std::string DidYouMean(std::string_view typed, std::span<const std::string_view> known) {
  const std::string_view nearest = NearestName(typed, known);
  if (nearest.empty()) return {};
  return ": did you mean '" + std::string(nearest) + "'?";
}

}  // namespace brim::planner
