// The node's slices and cards as text, one per line, so that they survive the agent and the host's
// tools can read them:
//
//     brim-node 1
//     card index=0 uuid=GPU-... memory=85899345920 context=444596224 module=2097152 name=H100
//     slice name=ocr card=0 row=2 cores=30 soft=8589934592 hard=8589934592 share=elastic ...
//           ... priority=online memory_by=native cores_by=shim owner=vision      (one line)
//     end 2
//
// Without memory_by and cores_by, as older versions wrote it, a slice is enforced by the shim.
// The last line counts the others: a file that was cut is seen. `name` of a card and `owner` come
// last and hold the rest of the line. Pure text in and out; the file is replaced whole, by
// io/text_file.h's write-aside-and-rename, so there is no log to replay.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vgpu/agent/slice_spec.h"

namespace brim::vgpu {

inline constexpr std::size_t kStateBytesMax = std::size_t{4} << 20;

struct NodeState {
  std::vector<CardInfo> cards;
  std::vector<SliceSpec> slices;
};

std::string FormatState(const NodeState& state);
// DATA_LOSS (bad_state) naming the line and what to do. Every slice is checked as CheckSpec() does.
Result<NodeState> ParseState(std::string_view text);

}  // namespace brim::vgpu
