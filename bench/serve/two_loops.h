// The frame of the bare echo servers: one listener, two epoll threads, connections dealt in turn.
//
// The least that a server on two cores can do, so that what Brim adds can be seen. No limits, no
// timeouts, no errors answered: for loopback and its own load generator only. Threads: main
// accepts; a connection belongs to one loop for life. Connection is a type with a constructor
// taking a file descriptor, OnReadable() and OnWritable(), both returning false when it is over,
// and WantsWrite().
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace brim::bench {

// What could not be sent yet. Sends at once; keeps what the socket does not take.
class Outbox {
 public:
  std::vector<std::uint8_t>& bytes() { return bytes_; }
  bool empty() const { return sent_ == bytes_.size(); }
  // False when the peer is gone.
  bool Flush(int fd) {
    while (sent_ < bytes_.size()) {
      const ssize_t n = send(fd, bytes_.data() + sent_, bytes_.size() - sent_, MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      sent_ += static_cast<std::size_t>(n);
    }
    bytes_.clear();
    sent_ = 0;
    return true;
  }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t sent_ = 0;
};

template <typename Connection>
struct Entry {
  explicit Entry(int fd_in) : fd(fd_in), connection(fd_in) {}
  int fd;
  bool writing = false;
  Connection connection;
};

template <typename Connection>
void RunLoop(int poller) {
  epoll_event events[64];
  for (;;) {
    const int count = epoll_wait(poller, events, 64, -1);
    for (int i = 0; i < count; ++i) {
      auto* entry = static_cast<Entry<Connection>*>(events[i].data.ptr);
      bool alive = true;
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        alive = entry->connection.OnReadable();
      if (alive && (events[i].events & EPOLLOUT)) alive = entry->connection.OnWritable();
      if (!alive) {
        close(entry->fd);
        delete entry;
        continue;
      }
      if (const bool wants = entry->connection.WantsWrite(); wants != entry->writing) {
        entry->writing = wants;
        epoll_event event{};
        event.events = EPOLLIN | (wants ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
        event.data.ptr = entry;
        epoll_ctl(poller, EPOLL_CTL_MOD, entry->fd, &event);
      }
    }
  }
}

// Serves 127.0.0.1:port until killed; prints "ready" once it listens.
template <typename Connection>
int ServeTwoLoops(std::uint16_t port) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 128) != 0) {
    std::perror("listen");
    return 1;
  }
  constexpr int kLoops = 2;
  int pollers[kLoops];
  std::vector<std::jthread> threads;
  for (int& poller : pollers) {
    poller = epoll_create1(0);
    threads.emplace_back(RunLoop<Connection>, poller);
  }
  std::puts("ready");
  std::fflush(stdout);
  for (int turn = 0;; turn = (turn + 1) % kLoops) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    if (fd < 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = new Entry<Connection>(fd);
    epoll_ctl(pollers[turn], EPOLL_CTL_ADD, fd, &event);
  }
}

}  // namespace brim::bench
