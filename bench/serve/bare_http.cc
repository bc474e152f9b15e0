// Comparator: the least HTTP/1.1 server on epoll that answers KServe's binary infer by OpenVINO.
//
// Usage: bare_http PORT MODEL SHAPE COPIES. As many compiled copies of one model as asked, each set
// up as bare_openvino's. "/v2/models/NAME_007/infer" is copy 7. Reads Content-Length and
// Inference-Header-Content-Length, skips the JSON, copies the tensor into the input that is set in
// the request, infers on the loop, sends the first output. Checks, queues and counts nothing: what
// a server adds to it is its own. Prints "ready" once it listens. Two loops, see two_loops.h.
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "bare_copy.h"
#include "request_head.h"
#include "two_loops.h"

namespace brim::bench {
namespace {

// Of the one model; set before the loops start. A connection has no other way to them.
Copies* all_copies = nullptr;

class BareConnection {
 public:
  explicit BareConnection(int fd) : fd_(fd) { input_.resize(256 << 10); }

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
      const std::size_t number = std::min(head.find('_'), head.size() - 1);
      model_ = std::strtoull(head.data() + number + 1, nullptr, 10) % all_copies->size();
      body_ = end + 4;
      need_ = body_ + NumberAfter(head, "content-length:");
      json_ = NumberAfter(head, "inference-header-content-length:");
      if (input_.size() < need_) input_.resize(need_);
    }
    return used_ < need_ || Answer();
  }
  bool OnWritable() { return out_.Flush(fd_); }
  bool WantsWrite() const { return !out_.empty(); }

 private:
  // One request at a time: a client that pipelines is not served.
  bool Answer() {
    Copy& copy = *(*all_copies)[model_];
    const std::lock_guard lock(copy.mutex);
    const std::size_t bytes = need_ - body_ - json_;
    if (bytes != copy.input.size() * sizeof(float)) return false;
    std::memcpy(copy.input.data(), input_.data() + body_ + json_, bytes);
    copy.request.infer();
    const ov::Tensor output = copy.request.get_output_tensor(0);
    const std::size_t size = output.get_byte_size();
    std::array<char, 256> json;
    std::array<char, 256> head;
    const int json_size =
        std::snprintf(json.data(), json.size(),
                      R"({"model_name":"%03zu","model_version":"1","outputs":[{"name":"OUTPUT0",)"
                      R"("datatype":"FP32","shape":[1,%zu],)"
                      R"("parameters":{"binary_data_size":%zu}}]})",
                      model_, size / sizeof(float), size);
    const int head_size =
        std::snprintf(head.data(), head.size(),
                      "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                      "Inference-Header-Content-Length: %d\r\nContent-Length: %zu\r\n\r\n",
                      json_size, static_cast<std::size_t>(json_size) + size);
    const iovec parts[] = {{head.data(), static_cast<std::size_t>(head_size)},
                           {json.data(), static_cast<std::size_t>(json_size)},
                           {const_cast<void*>(output.data()), size}};
    used_ = need_ = 0;
    return Send(parts);
  }

  bool Send(std::span<const iovec> parts) {
    const ssize_t count = writev(fd_, parts.data(), static_cast<int>(parts.size()));
    if (count < 0 && errno != EAGAIN) return false;
    std::size_t sent = count < 0 ? 0 : static_cast<std::size_t>(count);
    for (const iovec& part : parts) {
      const std::size_t skip = std::min(sent, part.iov_len);
      const auto* from = static_cast<const std::uint8_t*>(part.iov_base);
      out_.bytes().insert(out_.bytes().end(), from + skip, from + part.iov_len);
      sent -= skip;
    }
    return true;
  }

  int fd_;
  std::vector<char> input_;
  std::size_t used_ = 0, need_ = 0, body_ = 0, json_ = 0;
  std::size_t model_ = 0;
  Outbox out_;
};

int Main(char** argv) {
  ov::Shape shape;
  for (char* at = argv[3]; *at != '\0';) {
    shape.push_back(std::strtoull(at, &at, 10));
    if (*at == ',') ++at;
  }
  Copies copies = MakeCopies(argv[2], shape, std::max(1, std::atoi(argv[4])), false, false);
  all_copies = &copies;
  return ServeTwoLoops<BareConnection>(static_cast<std::uint16_t>(std::atoi(argv[1])));
}

}  // namespace
}  // namespace brim::bench

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: bare_http PORT MODEL 1,150 COPIES\n", stderr);
    return 2;
  }
  try {
    return brim::bench::Main(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bare_http: %s\n", error.what());
    return 1;
  }
}
