// The queue behind output.h. Pieces are appended at the back and consumed from first_; the vector
// is reused, so a steady exchange of small answers allocates nothing.
#include "io/output.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace brim::io {
namespace {

constexpr std::size_t kOpenMax = 16u << 10;  // A collected piece stops growing at this size.
constexpr std::size_t kSpareMax = 2048;      // An idle connection holds no more than this.

}  // namespace

void Output::Append(std::string_view text) {
  Append(std::as_bytes(std::span(text.data(), text.size())));
}

void Output::Append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (pieces_.size() == first_ || !pieces_.back().open ||
      pieces_.back().owned.size() + bytes.size() > kOpenMax) {
    Piece& piece = pieces_.emplace_back();
    piece.owned.swap(spare_);
    piece.open = true;
  }
  pieces_.back().owned.Append(bytes);
  size_ += bytes.size();
}

void Output::Append(ByteBuffer buffer) {
  if (buffer.size() <= kCopyMax) return Append(buffer.span());
  size_ += buffer.size();
  pieces_.emplace_back().owned = std::move(buffer);
}

void Output::Append(std::shared_ptr<const ByteBuffer> owner, std::span<const std::byte> slice) {
  if (slice.size() <= kCopyMax / 4) return Append(slice);
  size_ += slice.size();
  Piece& piece = pieces_.emplace_back();
  piece.shared = std::move(owner);
  piece.slice = slice;
}

std::size_t Output::Gather(iovec* vectors, std::size_t max) const {
  std::size_t count = 0;
  for (std::size_t i = first_; i < pieces_.size() && count < max; ++i) {
    const std::span<const std::byte> left = pieces_[i].left();
    vectors[count].iov_base = const_cast<std::byte*>(left.data());
    vectors[count].iov_len = left.size();
    ++count;
  }
  return count;
}

void Output::Consume(std::size_t n) {
  BRIM_CHECK(n <= size_);
  size_ -= n;
  while (n > 0) {
    Piece& piece = pieces_[first_];
    const std::size_t step = std::min(n, piece.left().size());
    piece.sent += step;
    n -= step;
    if (!piece.left().empty()) return;
    if (piece.open && piece.owned.size() <= kSpareMax) {
      piece.owned.clear();
      spare_.swap(piece.owned);
    }
    piece = Piece();
    ++first_;
  }
  if (first_ == pieces_.size()) {
    pieces_.clear();
    first_ = 0;
  } else if (first_ >= 64 && first_ * 2 >= pieces_.size()) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

}  // namespace brim::io
