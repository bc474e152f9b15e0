// Connection: one accepted socket and the session that speaks on it.
//
// It tells HTTP/2 from HTTP/1.1 by its preface (or ALPN), reads when the session wants bytes,
// writes once per loop round, and closes on end of file, error, timeout or when the session has
// finished. An end of file is taken as "the client has gone", also while calls are in flight.
// Everything runs on its loop.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "io/loop.h"
#include "io/output.h"
#include "io/session.h"
#include "io/tls.h"

namespace brim::io {

class Connection;

// What the connections of one loop share. Counters are written by the loop and read from anywhere.
struct ConnectionContext {
  Loop& loop;
  SharedState& shared;
  const TlsContext* tls = nullptr;
  std::span<std::byte> receive_buffer;
  std::atomic<std::uint64_t> bytes_read{0};
  std::atomic<std::uint64_t> bytes_written{0};
};

class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // Everything was answered and sent; only the client's end of file is awaited. At most once.
  virtual void OnSettled(Connection& connection) = 0;
  virtual void OnClosed(Connection& connection) = 0;  // Destroy it now; at most once.
};

class Connection final : public SessionHost,
                         private Loop::Watcher,
                         private Loop::Timer,
                         private Loop::Deferred {
 public:
  Connection(int fd, std::string peer, ConnectionContext& context, ConnectionOwner& owner);
  ~Connection() override;

  Status Open();  // Starts watching. On failure the connection is to be destroyed.
  void StartDrain();
  bool settled() const { return settled_; }
  std::size_t slot = 0;  // The owner's: where it keeps this connection.

  // SessionHost.
  Loop& loop() override { return context_.loop; }
  SharedState& shared() override { return context_.shared; }
  std::string_view peer() const override { return peer_; }
  void WantWrite() override { context_.loop.Defer(this); }

 private:
  void OnReady(std::uint32_t events) override;
  void OnTimer() override;
  void RunDeferred() override;

  void ReadSome();
  bool ReadOnce();  // False: enough for this round.
  void OnBytes(std::span<const std::byte> bytes);
  void Sniff(std::span<const std::byte> bytes);
  void OnEnd();
  void Flush();
  bool WriteOnce();  // False: the socket is full or the connection closed.
  void Linger();
  void Close();
  bool MayRead() const;
  void SetEvents(bool read, bool write);
  Transfer Receive(std::span<std::byte> into, std::size_t* n);
  Transfer Send(const iovec* vectors, std::size_t count, std::size_t* n);
  bool TimedOut(Time now) const;
  Duration CheckPeriod() const;

  ConnectionContext& context_;
  ConnectionOwner& owner_;
  int fd_;
  const std::string peer_;
  std::unique_ptr<TlsStream> tls_;
  std::unique_ptr<Session> session_;
  Output out_;
  std::array<std::byte, 4> sniffed_{};  // First bytes that do not yet tell the protocol.
  std::uint8_t sniffed_size_ = 0;
  bool read_events_ = false;  // What epoll is asked for now.
  bool write_events_ = false;
  bool read_blocked_on_write_ = false;  // TLS must write before it can read.
  bool ended_ = false;                  // The peer sends no more.
  bool settled_ = false;                // Lingering: reading only to see the peer's end.
  bool closed_ = false;
  const Time opened_;
  Time last_read_;
  Time last_write_;  // Progress, or when output began to wait.
};

}  // namespace brim::io
