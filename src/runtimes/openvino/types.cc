#include "runtimes/openvino/types.h"

#include "runtimes/runtime.h"

namespace brim::runtimes {
namespace {

constexpr std::size_t kTextMax = 600;

bool IsNoise(std::string_view line) {
  for (const std::string_view start :
       {"Exception from ", "Check '", "To facilitate ", "FrontEnd API failed",
        "Summary:", "[ GENERAL_ERROR ]", "[NOT_IMPLEMENTED]"}) {
    if (line.starts_with(start)) return true;
  }
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

std::int32_t FromElementType(const ov::element::Type& type) {
  switch (type) {
    case ov::element::boolean:
      return BRIM_BOOL;
    case ov::element::u8:
      return BRIM_UINT8;
    case ov::element::u16:
      return BRIM_UINT16;
    case ov::element::u32:
      return BRIM_UINT32;
    case ov::element::u64:
      return BRIM_UINT64;
    case ov::element::i8:
      return BRIM_INT8;
    case ov::element::i16:
      return BRIM_INT16;
    case ov::element::i32:
      return BRIM_INT32;
    case ov::element::i64:
      return BRIM_INT64;
    case ov::element::f16:
      return BRIM_FP16;
    case ov::element::f32:
      return BRIM_FP32;
    case ov::element::f64:
      return BRIM_FP64;
    case ov::element::bf16:
      return BRIM_BF16;
    case ov::element::string:
      return BRIM_BYTES;
    default:
      return BRIM_INVALID;
  }
}

std::string Cleaned(std::string_view what) {
  std::string kept;
  for (std::string_view rest = what; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (IsNoise(line)) continue;
    if (!kept.empty()) kept += ' ';
    kept += line;
  }
  if (kept.empty()) {  // Nothing but conditions: better those than nothing.
    kept = what;
    for (char& c : kept) {
      if (c == '\n') c = ' ';
    }
  }
  if (kept.size() > kTextMax) kept = kept.substr(0, kTextMax) + "...";
  return kept;
}

}  // namespace brim::runtimes
