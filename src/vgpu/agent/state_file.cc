// See state_file.h.
#include "vgpu/agent/state_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "vgpu/abi/card_segment.h"

namespace brim::vgpu {
namespace {

constexpr std::string_view kHead = "brim-node 1";

Status Bad(std::size_t line, std::string_view what) {
  return Status(
      Code::kDataLoss, "bad_state",
      fmt::format("line {}: {}; put a good copy of the file in its place, or remove it and "
                  "create the slices anew",
                  line, what));
}

// "key=value key=value last=rest of the line".
std::map<std::string_view, std::string_view> Fields(std::string_view text, std::string_view last) {
  std::map<std::string_view, std::string_view> fields;
  while (!text.empty()) {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) break;
    const std::string_view key = text.substr(0, equals);
    const std::size_t end = key == last ? text.size() : text.find(' ', equals);
    fields[key] = text.substr(equals + 1, end == std::string_view::npos ? end : end - equals - 1);
    text = end == std::string_view::npos || end >= text.size() ? "" : text.substr(end + 1);
  }
  return fields;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view last) : fields_(Fields(text, last)) {}

  std::uint64_t Number(std::string_view key, std::uint64_t max) {
    const auto found = fields_.find(key);
    const auto value = found == fields_.end() ? std::nullopt : ParseUint64(found->second);
    if (value && *value <= max) return *value;
    if (wrong_.empty()) wrong_ = fmt::format("'{}' is missing or no number up to {}", key, max);
    return 0;
  }
  std::string Text(std::string_view key) {
    const auto found = fields_.find(key);
    if (found == fields_.end() && wrong_.empty()) wrong_ = fmt::format("'{}' is missing", key);
    return found == fields_.end() ? "" : std::string(found->second);
  }
  bool Either(std::string_view key, std::string_view no, std::string_view yes) {
    const std::string text = Text(key);
    if (text != no && text != yes && wrong_.empty()) {
      wrong_ = fmt::format("'{}' is neither {} nor {}", key, no, yes);
    }
    return text == yes;
  }
  // Left out: `no`.
  bool EitherOrNone(std::string_view key, std::string_view no, std::string_view yes) {
    return fields_.count(key) != 0 && Either(key, no, yes);
  }
  const std::string& wrong() const { return wrong_; }

 private:
  std::map<std::string_view, std::string_view> fields_;
  std::string wrong_;
};

Status ReadCard(std::string_view text, std::size_t line, NodeState* state) {
  Reader reader(text, "name");
  CardInfo card;
  card.index = static_cast<std::uint32_t>(reader.Number("index", 1023));
  card.uuid = reader.Text("uuid");
  card.memory = reader.Number("memory", std::uint64_t{1} << 50);
  card.context_bytes = reader.Number("context", std::uint64_t{1} << 50);
  card.module_bytes = reader.Number("module", std::uint64_t{1} << 50);
  card.name = reader.Text("name");
  if (!reader.wrong().empty()) return Bad(line, reader.wrong());
  state->cards.push_back(std::move(card));
  return OkStatus();
}

Status ReadSlice(std::string_view text, std::size_t line, NodeState* state) {
  Reader reader(text, "owner");
  SliceSpec slice;
  slice.name = reader.Text("name");
  slice.card = static_cast<std::uint32_t>(reader.Number("card", 1023));
  slice.row = static_cast<std::uint32_t>(reader.Number("row", kSlicesPerCard - 1));
  slice.cores = static_cast<std::uint32_t>(reader.Number("cores", 100));
  slice.memory_soft = reader.Number("soft", std::uint64_t{1} << 50);
  slice.memory_hard = reader.Number("hard", std::uint64_t{1} << 50);
  slice.share = reader.Either("share", "hard", "elastic") ? Share::kElastic : Share::kHard;
  slice.priority =
      reader.Either("priority", "online", "offline") ? Priority::kOffline : Priority::kOnline;
  if (reader.EitherOrNone("memory_by", "shim", "native")) {
    slice.memory_backend = MemoryBackend::kNative;
  }
  if (reader.EitherOrNone("cores_by", "shim", "mps")) slice.cores_backend = CoresBackend::kMps;
  slice.owner = reader.Text("owner");
  if (!reader.wrong().empty()) return Bad(line, reader.wrong());
  if (const Status status = CheckSpec(slice); !status.ok()) return Bad(line, status.message());
  for (const SliceSpec& other : state->slices) {
    if (other.name == slice.name) return Bad(line, fmt::format("a second slice '{}'", slice.name));
    if (other.card == slice.card && other.row == slice.row) {
      return Bad(line, fmt::format("'{}' and '{}' have the same row", other.name, slice.name));
    }
  }
  state->slices.push_back(std::move(slice));
  return OkStatus();
}

}  // namespace

std::string FormatState(const NodeState& state) {
  std::string text = fmt::format("{}\n", kHead);
  for (const CardInfo& card : state.cards) {
    text +=
        fmt::format("card index={} uuid={} memory={} context={} module={} name={}\n", card.index,
                    card.uuid, card.memory, card.context_bytes, card.module_bytes, card.name);
  }
  for (const SliceSpec& slice : state.slices) {
    text += fmt::format(
        "slice name={} card={} row={} cores={} soft={} hard={} share={} priority={} memory_by={} "
        "cores_by={} owner={}\n",
        slice.name, slice.card, slice.row, slice.cores, slice.memory_soft, slice.memory_hard,
        slice.share == Share::kElastic ? "elastic" : "hard",
        slice.priority == Priority::kOffline ? "offline" : "online", NameOf(slice.memory_backend),
        NameOf(slice.cores_backend), slice.owner);
  }
  return text + fmt::format("end {}\n", state.cards.size() + state.slices.size());
}

Result<NodeState> ParseState(std::string_view text) {
  if (text.size() > kStateBytesMax) return Bad(1, "the file is larger than any state can be");
  NodeState state;
  std::size_t line = 0;
  std::size_t entries = 0;
  bool ended = false;
  for (std::string_view row : Split(text, '\n')) {
    ++line;
    if (line == 1) {
      if (row != kHead) return Bad(line, fmt::format("'{}' expected", kHead));
      continue;
    }
    if (ended) {
      if (!row.empty()) return Bad(line, "something after the end");
      continue;
    }
    const std::size_t space = row.find(' ');
    const std::string_view word = row.substr(0, space);
    const std::string_view rest = space == std::string_view::npos ? "" : row.substr(space + 1);
    if (word == "end") {
      if (ParseUint64(rest) != entries) return Bad(line, "lines are missing");
      ended = true;
      continue;
    }
    ++entries;
    Status status = Bad(line, "neither a card nor a slice");
    if (word == "card") status = ReadCard(rest, line, &state);
    if (word == "slice") status = ReadSlice(rest, line, &state);
    if (!status.ok()) return status;
  }
  if (!ended) return Bad(line, "the end is missing");
  return state;
}

}  // namespace brim::vgpu
