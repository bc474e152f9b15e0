// Listener: one listening TCP socket. Opened by the owner's thread; then used on one loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "io/loop.h"
#include "io/server.h"

namespace brim::io {

class Listener final : private Loop::Watcher, private Loop::Timer {
 public:
  // Called on the loop for each accepted, non-blocking socket, which becomes the callee's.
  using OnAccepted = std::function<void(int fd, std::string peer)>;

  Listener(Loop& loop, const Logger& logger, OnAccepted on_accepted);
  ~Listener() override;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Binds and listens. kUnavailable when the address is taken or not ours.
  Status Open(const ListenAddress& address);
  std::uint16_t port() const { return port_; }
  Status Watch();
  void Close();

 private:
  void OnReady(std::uint32_t events) override;
  void OnTimer() override;

  Loop& loop_;
  const Logger& logger_;
  const OnAccepted on_accepted_;
  int fd_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace brim::io
