// Request bodies that grow with their bytes, and answers cut into frames; see http2_body.h.
#include "io/http2_body.h"

#include <algorithm>
#include <utility>

namespace brim::io {

bool ReservedBuffer::Append(std::span<const std::byte> bytes, std::uint64_t declared) {
  const std::uint64_t needed = buffer_.size() + bytes.size();
  if (needed > charged_) {
    const std::uint64_t ahead = std::max(kAheadMax, 2 * static_cast<std::uint64_t>(buffer_.size()));
    const std::uint64_t target = declared != 0 ? std::max(needed, std::min(declared, ahead))
                                               : std::max(needed, std::min(2 * needed, ahead));
    if (!shared_->ReserveBody(target - charged_)) return false;
    charged_ = target;
  }
  buffer_.Reserve(charged_);
  buffer_.Append(bytes);
  return true;
}

bool ReservedBuffer::Replace(ByteBuffer buffer) {
  if (!shared_->ReserveBody(buffer.size())) return false;
  shared_->ReleaseBody(charged_);
  charged_ = buffer.size();
  buffer_ = std::move(buffer);
  foreign_ = true;
  buffer_.Reserve(buffer_.size());
  return true;
}

void ReservedBuffer::Clear() {
  if (charged_ > kKeepMax || std::exchange(foreign_, false)) buffer_ = ByteBuffer();
  buffer_.clear();
  shared_->ReleaseBody(charged_);
  charged_ = 0;
}

ByteBuffer ReservedBuffer::TakeBlock() {
  Clear();
  return std::move(buffer_);
}

void OutgoingBytes::Push(ByteBuffer buffer) {
  if (buffer.empty()) return;
  size_ += buffer.size();
  queue_.push_back(std::move(buffer));
}

void OutgoingBytes::Take(std::size_t n, Output* out) {
  BRIM_CHECK(n <= size_);
  size_ -= n;
  while (n != 0) {
    ByteBuffer& front = queue_[head_];
    const std::size_t total = shared_ ? shared_->size() : front.size();
    const std::size_t count = std::min(n, total - taken_);
    if (!shared_ && count == total && total > Output::kCopyMax) {
      out->Append(std::move(front));
    } else if (!shared_ && total <= Output::kCopyMax) {
      out->Append(front.span().subspan(taken_, count));
    } else {
      if (!shared_) shared_ = std::make_shared<const ByteBuffer>(std::move(front));
      out->Append(shared_, shared_->span().subspan(taken_, count));
    }
    taken_ += count;
    n -= count;
    if (taken_ == total) PopFront();
  }
}

void OutgoingBytes::PopFront() {
  shared_.reset();
  taken_ = 0;
  ByteBuffer sent = std::move(queue_[head_]);
  if (sent.size() <= Output::kCopyMax && !sent.empty()) {
    sent.clear();
    spare_ = std::move(sent);
  }
  if (++head_ == queue_.size()) {
    queue_.clear();
    head_ = 0;
  } else if (head_ >= 64 && 2 * head_ >= queue_.size()) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void OutgoingBytes::Clear() {
  queue_.clear();
  shared_.reset();
  head_ = taken_ = size_ = 0;
}

}  // namespace brim::io
