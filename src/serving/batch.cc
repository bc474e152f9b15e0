#include "serving/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace brim::serving {
namespace {

using model::TensorView;

constexpr std::size_t kAlign = 64;  // Runtimes take aligned memory without copying it.

std::size_t AlignUp(std::size_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

// Bytes of the first `elements` strings of data. REQUIRES: it holds so many.
std::size_t StringBytes(std::span<const std::byte> data, std::uint64_t elements) {
  model::StringElements strings(data);
  std::string_view element;
  std::size_t bytes = 0;
  for (std::uint64_t i = 0; i < elements && strings.Next(&element); ++i)
    bytes += 4 + element.size();
  return bytes;
}

Status NotBatchable(const TensorView& output, std::uint64_t rows) {
  return Status(
      Code::kInternal, "not_batchable",
      fmt::format("output '{}' has shape {} for a joined batch of {} rows: its first dimension "
                  "is not the batch, so requests of this model are not joined from now on",
                  output.name, output.shape.ToString(), rows));
}

void SplitOne(const TensorView& output, std::uint64_t total, std::span<const std::uint32_t> rows,
              std::size_t stride, TensorView* pieces) {
  const bool strings = output.dtype == model::DType::kBytes;
  const std::uint64_t per_row =
      total == 0 ? 0 : (strings ? *output.shape.Elements() : output.data.size()) / total;
  std::span<const std::byte> rest = output.data;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::uint64_t units = per_row * rows[r];
    const std::size_t bytes = strings ? StringBytes(rest, units) : units;
    TensorView& piece = pieces[r * stride];
    piece = output;
    piece.shape.Set(0, rows[r]);
    piece.data = rest.first(bytes);
    rest = rest.subspan(bytes);
  }
}

std::size_t RowBytes(const TensorView& tensor) {
  return tensor.shape[0] <= 0 ? 0 : tensor.data.size() / static_cast<std::size_t>(tensor.shape[0]);
}

}  // namespace

void JoinInputs(std::span<const std::span<const TensorView>> requests, std::uint32_t padding,
                ByteBuffer* scratch, std::vector<TensorView>* joined) {
  scratch->clear();
  joined->clear();
  const std::size_t inputs = requests.front().size();
  std::size_t bytes = kAlign;
  for (std::size_t i = 0; i < inputs; ++i) {
    std::size_t sum = 0;
    std::size_t row = 0;
    for (const auto& request : requests) {
      sum += request[i].data.size();
      if (padding > 0) row = std::max(row, RowBytes(request[i]));
    }
    bytes += AlignUp(sum + padding * row);
  }
  std::byte* at = scratch->Extend(bytes);
  at += AlignUp(reinterpret_cast<std::uintptr_t>(at)) - reinterpret_cast<std::uintptr_t>(at);
  for (std::size_t i = 0; i < inputs; ++i) {
    TensorView tensor = requests.front()[i];
    std::byte* const begin = at;
    std::int64_t rows = 0;
    for (const auto& request : requests) {
      const TensorView& part = request[i];
      rows += part.shape[0];
      if (!part.data.empty()) std::memcpy(at, part.data.data(), part.data.size());
      at += part.data.size();
    }
    const std::size_t row = padding == 0 ? 0 : static_cast<std::size_t>((at - begin) / rows);
    for (std::uint32_t left = padding; left > 0 && row > 0; --left, at += row) {
      std::memcpy(at, at - row, row);
    }
    tensor.shape.Set(0, rows + padding);
    tensor.data = {begin, static_cast<std::size_t>(at - begin)};
    at = begin + AlignUp(tensor.data.size());
    joined->push_back(tensor);
  }
}

Status SplitOutputs(std::span<const TensorView> outputs, std::span<const std::uint32_t> rows,
                    std::uint32_t padding, std::vector<TensorView>* pieces) {
  std::uint64_t total = padding;
  for (const std::uint32_t n : rows) total += n;
  for (const TensorView& output : outputs) {
    if (output.shape.rank() == 0 || output.shape[0] != static_cast<std::int64_t>(total) ||
        !CheckData(output).ok()) {
      return NotBatchable(output, total);
    }
  }
  pieces->resize(rows.size() * outputs.size());
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    SplitOne(outputs[o], total, rows, outputs.size(), pieces->data() + o);
  }
  return OkStatus();
}

}  // namespace brim::serving
