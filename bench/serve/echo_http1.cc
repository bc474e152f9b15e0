// Comparator: the least HTTP/1.1 server on epoll that answers KServe's binary infer with its own
// input.
//
// Usage: echo_http1 PORT. Reads Content-Length and Inference-Header-Content-Length, skips the JSON
// and sends a JSON head made from the tensor's size, then its bytes. Two loops, see two_loops.h.
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "request_head.h"
#include "two_loops.h"

namespace brim::bench {
namespace {

class Http1Connection {
 public:
  explicit Http1Connection(int fd) : fd_(fd) { input_.resize(64 << 10); }

  bool OnReadable() {
    const ssize_t count = recv(fd_, input_.data() + used_, input_.size() - used_, 0);
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    used_ += static_cast<std::size_t>(count);
    if (need_ == 0) {
      const std::string_view seen(input_.data(), used_);
      const std::size_t end = seen.find("\r\n\r\n");
      if (end == seen.npos) return used_ < input_.size();
      const std::string_view head = seen.substr(0, end + 2);
      body_ = end + 4;
      need_ = body_ + NumberAfter(head, "content-length:");
      json_ = NumberAfter(head, "inference-header-content-length:");
      if (input_.size() < need_) input_.resize(need_);
    }
    if (used_ < need_) return true;
    return Answer();
  }
  bool OnWritable() { return out_.Flush(fd_); }
  bool WantsWrite() const { return !out_.empty(); }

 private:
  // One request at a time: a client that pipelines is not served.
  bool Answer() {
    const char* tensor = input_.data() + body_ + json_;
    const std::size_t size = need_ - body_ - json_;
    char json[256], head[256];
    const int json_size = std::snprintf(
        json, sizeof json,
        R"({"model_name":"identity","model_version":"1","outputs":[{"name":"OUTPUT0",)"
        R"("datatype":"FP32","shape":[1,%zu],"parameters":{"binary_data_size":%zu}}]})",
        size / 4, size);
    const int head_size =
        std::snprintf(head, sizeof head,
                      "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                      "Inference-Header-Content-Length: %d\r\nContent-Length: %zu\r\n\r\n",
                      json_size, static_cast<std::size_t>(json_size) + size);
    iovec parts[] = {{head, static_cast<std::size_t>(head_size)},
                     {json, static_cast<std::size_t>(json_size)},
                     {const_cast<char*>(tensor), size}};
    const ssize_t count = writev(fd_, parts, 3);
    if (count < 0 && errno != EAGAIN) return false;
    std::size_t sent = count < 0 ? 0 : static_cast<std::size_t>(count);
    for (const iovec& part : parts) {
      const std::size_t skip = std::min(sent, part.iov_len);
      const auto* from = static_cast<const std::uint8_t*>(part.iov_base);
      out_.bytes().insert(out_.bytes().end(), from + skip, from + part.iov_len);
      sent -= skip;
    }
    used_ = need_ = 0;
    return true;
  }

  int fd_;
  std::vector<char> input_;
  std::size_t used_ = 0, need_ = 0, body_ = 0, json_ = 0;
  Outbox out_;
};

}  // namespace
}  // namespace brim::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: echo_http1 PORT\n", stderr);
    return 2;
  }
  using brim::bench::Http1Connection;
  return brim::bench::ServeTwoLoops<Http1Connection>(static_cast<std::uint16_t>(atoi(argv[1])));
}
