// Moving bytes between a socket and a session; see connection.h.
//
// Closing is in two steps so that it may happen anywhere: Close() takes the socket and the session
// away, and the deferred run at the end of the round hands the shell to the owner for destruction.
// A finished session's socket is shut down for writing and then read until the client's end:
// closing a socket with unread bytes would send a reset, which can destroy the answer on its way.
#include "io/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace brim::io {
namespace {

using namespace std::chrono_literals;

constexpr int kReadsPerRound = 8;    // Then other connections have their turn.
constexpr int kWritesPerRound = 16;  // Likewise.
constexpr std::size_t kVectorsMax = 64;
constexpr Duration kLingerMax = 2s;
constexpr Duration kCheckPeriodMax = 15s;
constexpr std::string_view kHttp2Preface = "PRI ";  // No HTTP/1.1 method begins so.

Transfer FromErrno() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Transfer::kWantRead;
  return Transfer::kFailed;
}

// The loop is the only writer, so no read-modify-write is needed.
void Add(std::atomic<std::uint64_t>& counter, std::uint64_t n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

Connection::Connection(int fd, std::string peer, ConnectionContext& context, ConnectionOwner& owner)
    : context_(context),
      owner_(owner),
      fd_(fd),
      peer_(std::move(peer)),
      opened_(context.loop.Now()),
      last_read_(opened_),
      last_write_(opened_) {}

Connection::~Connection() {
  session_.reset();
  tls_.reset();
  if (fd_ >= 0) {
    context_.loop.Unwatch(fd_);
    close(fd_);
  }
}

Status Connection::Open() {
  if (context_.tls != nullptr) {
    tls_ = TlsStream::Accept(*context_.tls, fd_);
    if (tls_ == nullptr) return Status(Code::kResourceExhausted, "tls_memory", "no TLS state");
  }
  read_events_ = true;
  BRIM_RETURN_IF_ERROR(context_.loop.Watch(fd_, EPOLLIN, this));
  context_.loop.SetTimer(this, context_.loop.Now() + CheckPeriod());
  return OkStatus();
}

void Connection::StartDrain() {
  if (closed_ || settled_) return;
  if (session_ == nullptr) {
    Close();
  } else {
    session_->StartDrain();
    context_.loop.Defer(this);
  }
}

void Connection::OnReady(std::uint32_t events) {
  if (closed_) return;
  if ((events & EPOLLOUT) != 0) {
    context_.loop.Defer(this);
    if (read_blocked_on_write_) return ReadSome();
  }
  if ((events & EPOLLIN) != 0) {
    ReadSome();
  } else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    Close();
  }
}

bool Connection::MayRead() const {
  if (settled_) return true;
  return !ended_ && !out_.AboveHighWater() && (session_ == nullptr || session_->WantRead());
}

void Connection::ReadSome() {
  for (int i = 0; i < kReadsPerRound; ++i) {
    if (closed_) return;
    if (!MayRead()) {
      SetEvents(false, write_events_);
      return;
    }
    if (!ReadOnce()) return;
  }
  if (!closed_ && tls_ != nullptr && tls_->HasPending()) context_.loop.Defer(this);
}

bool Connection::ReadOnce() {
  std::span<std::byte> space;
  if (session_ != nullptr && !settled_) space = session_->ReceiveSpace();
  const bool in_place = !space.empty();
  if (!in_place) space = context_.receive_buffer;
  std::size_t n = 0;
  const Transfer transfer = Receive(space, &n);
  read_blocked_on_write_ = transfer == Transfer::kWantWrite;
  switch (transfer) {
    case Transfer::kWantRead:
      return false;
    case Transfer::kWantWrite:
      SetEvents(read_events_, true);
      return false;
    case Transfer::kEnd:
      OnEnd();
      return false;
    case Transfer::kFailed:
      Close();
      return false;
    case Transfer::kDone:
      break;
  }
  last_read_ = context_.loop.Now();
  Add(context_.bytes_read, n);
  if (settled_) return true;
  if (in_place) {
    session_->OnReceivedInPlace(n);
  } else {
    OnBytes(space.first(n));
  }
  // A short read means that the socket is empty; the next wait would tell otherwise.
  return n == space.size() || (tls_ != nullptr && !closed_);
}

void Connection::OnBytes(std::span<const std::byte> bytes) {
  if (session_ != nullptr) {
    session_->OnReceive(bytes);
  } else {
    Sniff(bytes);
  }
}

void Connection::Sniff(std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  while (sniffed_size_ < sniffed_.size() && taken < bytes.size()) {
    sniffed_[sniffed_size_++] = bytes[taken++];
  }
  const std::string_view start(reinterpret_cast<const char*>(sniffed_.data()), sniffed_size_);
  const bool matches = kHttp2Preface.starts_with(start);
  const bool by_alpn = tls_ != nullptr && tls_->ChoseHttp2();
  if (!by_alpn && matches && start.size() < kHttp2Preface.size()) return;  // Not yet known.
  session_ = by_alpn || matches ? NewHttp2Session(*this) : NewHttp1Session(*this);
  // Usually nothing was held back from an earlier read: hand over what arrived in one piece.
  if (taken == sniffed_size_) {
    session_->OnReceive(bytes);
  } else {
    session_->OnReceive(std::span<const std::byte>(sniffed_).first(sniffed_size_));
    session_->OnReceive(bytes.subspan(taken));
  }
  context_.loop.Defer(this);  // HTTP/2 sends its settings unasked.
}

void Connection::OnEnd() {
  if (session_ != nullptr) Flush();  // Answers that were made from this round's bytes.
  if (closed_) return;
  ended_ = true;
  if (settled_ || session_ == nullptr || out_.empty() || !session_->Idle()) {
    Close();
  } else {
    SetEvents(false, true);  // The answers already made still go out.
  }
}

void Connection::RunDeferred() {
  if (closed_) {
    owner_.OnClosed(*this);  // Destroys this.
    return;
  }
  Flush();
  if (closed_) return;
  const bool may_read = MayRead();
  SetEvents(may_read, write_events_);
  if (may_read && tls_ != nullptr && tls_->HasPending()) ReadSome();
}

void Connection::Flush() {
  if (settled_) return;
  for (int i = 0; i < kWritesPerRound; ++i) {
    const bool was_empty = out_.empty();
    if (session_ != nullptr && !out_.AboveHighWater()) session_->Collect(&out_);
    if (was_empty) last_write_ = context_.loop.Now();
    if (out_.empty()) {
      SetEvents(read_events_, read_blocked_on_write_);
      if (ended_) {
        Close();
      } else if (session_ != nullptr && session_->Finished()) {
        Linger();
      }
      return;
    }
    if (!WriteOnce()) return;
  }
  context_.loop.Defer(this);
}

bool Connection::WriteOnce() {
  iovec vectors[kVectorsMax];
  const std::size_t count = out_.Gather(vectors, kVectorsMax);
  std::size_t offered = 0;
  for (std::size_t i = 0; i < count; ++i) offered += vectors[i].iov_len;
  std::size_t n = 0;
  switch (Send(vectors, count, &n)) {
    case Transfer::kDone:
      break;
    case Transfer::kWantRead:  // Only TLS: the handshake's next bytes wake us.
      return false;
    case Transfer::kWantWrite:
      SetEvents(read_events_, true);
      return false;
    case Transfer::kEnd:
    case Transfer::kFailed:
      Close();
      return false;
  }
  out_.Consume(n);
  last_write_ = context_.loop.Now();
  Add(context_.bytes_written, n);
  if (n == offered || tls_ != nullptr) return true;  // TLS goes record by record.
  SetEvents(read_events_, true);  // Taking a part means full: asking again would only say so.
  return false;
}

void Connection::Linger() {
  if (tls_ != nullptr) tls_->SendCloseNotify();
  session_.reset();
  settled_ = true;
  owner_.OnSettled(*this);
  if (shutdown(fd_, SHUT_WR) != 0) return Close();
  SetEvents(true, false);
  context_.loop.SetTimer(this, context_.loop.Now() + kLingerMax);
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  context_.loop.CancelTimer(this);
  context_.loop.Unwatch(fd_);
  session_.reset();  // Calls in flight become orphans.
  tls_.reset();
  close(std::exchange(fd_, -1));
  context_.loop.Defer(this);
}

void Connection::SetEvents(bool read, bool write) {
  if (closed_ || (read == read_events_ && write == write_events_)) return;
  read_events_ = read;
  write_events_ = write;
  const std::uint32_t events =
      (read ? std::uint32_t{EPOLLIN} : 0u) | (write ? std::uint32_t{EPOLLOUT} : 0u);
  if (!context_.loop.Rewatch(fd_, events, this).ok()) Close();
}

Transfer Connection::Receive(std::span<std::byte> into, std::size_t* n) {
  if (tls_ != nullptr) return tls_->Read(into, n);
  ssize_t got;
  do {
    got = recv(fd_, into.data(), into.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return FromErrno();
  *n = static_cast<std::size_t>(got);
  return got == 0 ? Transfer::kEnd : Transfer::kDone;
}

Transfer Connection::Send(const iovec* vectors, std::size_t count, std::size_t* n) {
  if (tls_ != nullptr) return tls_->Write(vectors, count, n);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(vectors);
  message.msg_iovlen = count;
  ssize_t sent;
  do {
    sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    const Transfer transfer = FromErrno();
    return transfer == Transfer::kWantRead ? Transfer::kWantWrite : transfer;
  }
  *n = static_cast<std::size_t>(sent);
  return Transfer::kDone;
}

Duration Connection::CheckPeriod() const {
  const ServerOptions& options = context_.shared.options;
  const Duration shorter = std::min<Duration>(options.read_timeout, options.idle_timeout);
  return std::clamp<Duration>(shorter / 4, 1ms, kCheckPeriodMax);
}

bool Connection::TimedOut(Time now) const {
  const ServerOptions& options = context_.shared.options;
  if (settled_) return true;
  const bool shaking_hands = tls_ != nullptr && !tls_->handshake_done();
  if (shaking_hands && now - opened_ >= options.read_timeout) return true;
  const std::optional<Time> head_since = session_ != nullptr ? session_->HeadSince() : std::nullopt;
  if (head_since && now - *head_since >= options.read_timeout) return true;
  if (!out_.empty()) return now - last_write_ >= options.read_timeout;  // The client reads nothing.
  const bool greeting = sniffed_size_ > 0 || shaking_hands;
  const bool begun = session_ != nullptr ? session_->MidRequest() : greeting;
  if (begun) return now - last_read_ >= options.read_timeout;
  const bool idle = session_ == nullptr || session_->Idle();
  return idle && now - std::max(last_read_, last_write_) >= options.idle_timeout;
}

void Connection::OnTimer() {
  const Time now = context_.loop.Now();
  if (TimedOut(now)) {
    Close();
  } else {
    context_.loop.SetTimer(this, now + CheckPeriod());
  }
}

}  // namespace brim::io
