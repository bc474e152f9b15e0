// Binding and accepting; see listener.h.
#include "io/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace brim::io {
namespace {

using namespace std::chrono_literals;

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerRound = 64;
// Out of descriptors, the socket would stay ready: look again later instead of spinning.
constexpr Duration kAcceptPause = 100ms;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

bool Parse(const ListenAddress& from, Address* to) {
  std::string host = from.host == "localhost" ? "127.0.0.1" : from.host;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&to->storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(from.port);
    to->size = sizeof *v4;
    return true;
  }
  // In brackets, as a URL has it, or bare.
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&to->storage);
  *v6 = sockaddr_in6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) != 1) return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(from.port);
  to->size = sizeof *v6;
  return true;
}

std::uint16_t PortOf(const sockaddr_storage& storage) {
  return storage.ss_family == AF_INET6
             ? ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port)
             : ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

std::string PeerName(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = "unknown";
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return "[" + std::string(text) + "]:" + std::to_string(PortOf(storage));
  }
  if (storage.ss_family != AF_INET) return text;
  inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, text, sizeof text);
  return std::string(text) + ":" + std::to_string(PortOf(storage));
}

std::string Advice(int error) {
  switch (error) {
    case EADDRINUSE:
      return "stop the process that listens there or choose another port";
    case EACCES:
      return "ports below 1024 need a privilege: choose a higher port";
    case EADDRNOTAVAIL:
      return "this host has no such address: use one of its own, or 0.0.0.0 for all";
    default:
      return "check the address and the limit of open files (ulimit -n)";
  }
}

void SetFlag(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof value);
}

}  // namespace

Listener::Listener(Loop& loop, const Logger& logger, OnAccepted on_accepted)
    : loop_(loop), logger_(logger), on_accepted_(std::move(on_accepted)) {}

Listener::~Listener() {
  if (fd_ >= 0) close(fd_);
}

Status Listener::Open(const ListenAddress& address) {
  const std::string name = address.host + ":" + std::to_string(address.port);
  const auto failed = [&](int error) {
    return Status(Code::kUnavailable, "listen_failed",
                  "cannot listen on " + name + ": " + std::strerror(error) + "; " + Advice(error));
  };
  Address parsed;
  if (!Parse(address, &parsed)) {
    return Status(Code::kInvalidArgument, "listen_address",
                  "'" + address.host + "' is not an IPv4 or IPv6 address: write one, or localhost");
  }
  fd_ = socket(parsed.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return failed(errno);
  SetFlag(fd_, SOL_SOCKET, SO_REUSEADDR, 1);
  // "::" alone means every address, IPv4 too.
  if (parsed.storage.ss_family == AF_INET6) {
    SetFlag(fd_, IPPROTO_IPV6, IPV6_V6ONLY, address.host == "::" || address.host == "[::]" ? 0 : 1);
  }
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&parsed.storage), parsed.size) != 0 ||
      listen(fd_, kBacklog) != 0) {
    return failed(errno);
  }
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return failed(errno);
  port_ = PortOf(bound);
  return OkStatus();
}

Status Listener::Watch() { return loop_.Watch(fd_, EPOLLIN, this); }

void Listener::Close() {
  loop_.CancelTimer(this);
  if (fd_ < 0) return;
  loop_.Unwatch(fd_);
  close(std::exchange(fd_, -1));
}

void Listener::OnReady(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerRound; ++i) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int fd =
        accept4(fd_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      SetFlag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      SetFlag(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
      on_accepted_(fd, PeerName(peer));
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) continue;
    logger_.Warn("accept_failed", {{"error", std::strerror(errno)}, {"advice", Advice(errno)}});
    loop_.Unwatch(fd_);
    loop_.SetTimer(this, loop_.Now() + kAcceptPause);
    return;
  }
}

void Listener::OnTimer() {
  const Status status = Watch();
  if (!status.ok()) loop_.SetTimer(this, loop_.Now() + kAcceptPause);
}

}  // namespace brim::io
