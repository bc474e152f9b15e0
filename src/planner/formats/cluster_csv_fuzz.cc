// Fuzzes the CSV readers: nodes, pods and layouts. A line "===" parts the files; a layout that was
// read must come back from its own text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "planner/formats/cluster_format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using brim::planner::InputText;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t first = text.find("\n===\n");
  const std::string_view nodes = text.substr(0, first);
  const std::string_view rest = first == text.npos ? "" : text.substr(first + 5);
  const std::size_t second = rest.find("\n===\n");
  const std::string_view pods = rest.substr(0, second);
  const std::string_view layout = second == rest.npos ? "" : rest.substr(second + 5);
  const auto input = brim::planner::ReadCluster({"nodes", nodes}, {"pods", pods});
  if (!input.ok()) return 0;
  const auto spots = brim::planner::ReadLayout({"layout", layout}, *input);
  if (!spots.ok()) return 0;
  const std::string written = brim::planner::LayoutCsv(*input, *spots);
  const auto again = brim::planner::ReadLayout({"layout", written}, *input);
  if (!again.ok() || *again != *spots) std::abort();
  return 0;
}
