// HTTP/1.1 half of the load generator's connections: keep-alive, one request at a time.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "load_connection.h"

namespace brim::bench {
namespace {

// The text after `name` (with colon) in a response head; empty if it is not there.
std::string_view ValueOf(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != head.npos; at = head.find("\r\n", at)) {
    at += 2;
    if (head.size() - at <= name.size() ||
        strncasecmp(head.data() + at, name.data(), name.size()) != 0) {
      continue;
    }
    std::string_view value = head.substr(at + name.size());
    return value.substr(0, value.find("\r\n"));
  }
  return {};
}

class HttpConnection final : public Connection {
 public:
  HttpConnection(int fd, AnswerSink* sink) : fd_(fd), sink_(sink) { input_.resize(64 << 10); }
  ~HttpConnection() override { close(fd_); }
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  int fd() const override { return fd_; }
  bool HasRoom() const override { return !busy_; }
  void Send(std::uint64_t request, const std::string& bytes) override {
    busy_ = true;
    request_ = request;
    left_ = bytes;
  }
  bool Flush() override {
    while (!left_.empty()) {
      const ssize_t count = send(fd_, left_.data(), left_.size(), MSG_NOSIGNAL);
      if (count < 0) return errno == EAGAIN;
      left_.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  bool WantsWrite() const override { return !left_.empty(); }

  bool OnReadable() override {
    const ssize_t count = recv(fd_, input_.data() + used_, input_.size() - used_, 0);
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    used_ += static_cast<std::size_t>(count);
    if (need_ == 0 && !ReadHead()) return used_ < input_.size();
    if (need_ > used_) return true;
    Answer answer{request_, ok_, need_ - body_, {}};
    if (!ok_) answer.error.assign(input_.data(), std::min<std::size_t>(need_, 400));
    busy_ = false;
    used_ = need_ = 0;
    sink_->OnAnswer(answer);
    return true;
  }

 private:
  // False while the head is not complete.
  bool ReadHead() {
    const std::string_view seen(input_.data(), used_);
    const std::size_t end = seen.find("\r\n\r\n");
    if (end == seen.npos) return false;
    const std::string_view head = seen.substr(0, end + 2);
    ok_ = head.substr(0, 12) == "HTTP/1.1 200";
    body_ = end + 4;
    // Without a stated length (chunked) the size check fails: no server measured here sends that.
    const std::string length(ValueOf(head, "content-length:"));
    need_ = body_ + std::strtoull(length.c_str(), nullptr, 10);
    if (input_.size() < need_) input_.resize(need_);
    return true;
  }

  const int fd_;
  AnswerSink* const sink_;
  bool busy_ = false;
  bool ok_ = false;
  std::uint64_t request_ = 0;
  std::string_view left_;  // Of the request, still to be sent.
  std::vector<char> input_;
  std::size_t used_ = 0, need_ = 0, body_ = 0;
};

}  // namespace

int ConnectLoopback(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

std::unique_ptr<Connection> MakeHttpConnection(int fd, AnswerSink* sink) {
  return std::make_unique<HttpConnection>(fd, sink);
}

}  // namespace brim::bench
