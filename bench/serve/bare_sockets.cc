// The bare loop behind sockets: the same bytes in and out as a server's, and nothing else.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <thread>
#include <utility>

#include "bare_copy.h"

namespace brim::bench {
namespace {

// Two ends of one TCP connection over loopback.
std::pair<int, int> Connected() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 1) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      connect(client, reinterpret_cast<sockaddr*>(&address), size) != 0) {
    throw std::runtime_error("cannot connect over loopback");
  }
  const int server = accept(listener, nullptr, nullptr);
  close(listener);
  const int on = 1;
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return {client, server};
}

bool SendAll(int fd, const char* data, std::size_t bytes) {
  for (std::size_t sent = 0; sent < bytes;) {
    const ssize_t count = send(fd, data + sent, bytes - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

bool ReceiveAll(int fd, char* data, std::size_t bytes) {
  for (std::size_t got = 0; got < bytes;) {
    const ssize_t count = recv(fd, data + got, bytes - got, 0);
    if (count <= 0) return false;
    got += static_cast<std::size_t>(count);
  }
  return true;
}

// The client's half: an answer that is complete is followed by the next request. As
// bench/serve/loadgen it does not look at an answer's bytes, and sleeps until all are there.
class Peer {
 public:
  Peer(const std::vector<int>& fds, std::size_t request_bytes, std::size_t answer_bytes)
      : request_(request_bytes), answer_bytes_(answer_bytes) {
    for (const int fd : fds) {
      Await(fd, answer_bytes);
      polls_.push_back({fd, POLLIN | POLLOUT, 0});
      states_.push_back({request_bytes, answer_bytes});
    }
  }

  void Run() {
    while (poll(polls_.data(), polls_.size(), -1) > 0) {
      for (std::size_t i = 0; i < polls_.size(); ++i) {
        const short events = polls_[i].revents;
        if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && !OnReadable(i)) return;
        if ((events & POLLOUT) != 0 && !SendMore(i)) return;
      }
    }
  }

 private:
  struct State {
    std::size_t to_send = 0;
    std::size_t to_receive = 0;
  };

  // poll() reports the socket as readable once so many bytes are there.
  static void Await(int fd, std::size_t bytes) {
    const int wanted = static_cast<int>(bytes);
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted);
  }

  bool OnReadable(std::size_t i) {
    const ssize_t count =
        recv(polls_[i].fd, nullptr, states_[i].to_receive, MSG_DONTWAIT | MSG_TRUNC);
    if (count <= 0) return count < 0 && errno == EAGAIN;
    const bool in_parts = static_cast<std::size_t>(count) < answer_bytes_;
    states_[i].to_receive -= static_cast<std::size_t>(count);
    if (states_[i].to_receive > 0) {
      Await(polls_[i].fd, states_[i].to_receive);
      return true;
    }
    if (in_parts) Await(polls_[i].fd, answer_bytes_);
    states_[i] = {request_.size(), answer_bytes_};
    return SendMore(i);
  }

  // Never blocks: the other end may be waiting to be read.
  bool SendMore(std::size_t i) {
    State& state = states_[i];
    if (state.to_send > 0) {
      const ssize_t count = send(polls_[i].fd, request_.data() + (request_.size() - state.to_send),
                                 state.to_send, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && errno != EAGAIN) return false;
      if (count > 0) state.to_send -= static_cast<std::size_t>(count);
    }
    polls_[i].events = static_cast<short>(state.to_send > 0 ? POLLIN | POLLOUT : POLLIN);
    return true;
  }

  const std::vector<char> request_;
  const std::size_t answer_bytes_;
  std::vector<pollfd> polls_;
  std::vector<State> states_;
};

}  // namespace

void OverSockets(Copy* copy, int connections, const std::atomic<bool>& stop, Caller* caller) {
  std::vector<int> clients;
  std::vector<int> servers;
  for (int i = 0; i < connections; ++i) {
    const auto [client, server] = Connected();
    clients.push_back(client);
    servers.push_back(server);
  }
  const ov::Tensor output = copy->request.get_output_tensor(0);
  const std::size_t in = copy->input.size() * sizeof(float);
  Peer peer(clients, in, output.get_byte_size());
  std::thread client([&peer, caller] {
    peer.Run();
    caller->peer_cpu_s = Seconds(CLOCK_THREAD_CPUTIME_ID);
  });
  for (std::size_t turn = 0; !stop.load(std::memory_order_relaxed);
       turn = (turn + 1) % servers.size()) {
    const int fd = servers[turn];
    const double begin = Seconds(CLOCK_MONOTONIC);
    if (!ReceiveAll(fd, reinterpret_cast<char*>(copy->input.data()), in)) break;
    const double cpu = Seconds(CLOCK_THREAD_CPUTIME_ID);
    copy->request.infer();
    caller->infer_cpu_s += Seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    const ov::Tensor answer = copy->request.get_output_tensor(0);
    if (!SendAll(fd, static_cast<const char*>(answer.data()), answer.get_byte_size())) break;
    caller->latency_us.push_back(static_cast<float>(1e6 * (Seconds(CLOCK_MONOTONIC) - begin)));
  }
  for (const int fd : clients) shutdown(fd, SHUT_RDWR);
  client.join();
  for (const int fd : clients) close(fd);
  for (const int fd : servers) close(fd);
}

}  // namespace brim::bench
