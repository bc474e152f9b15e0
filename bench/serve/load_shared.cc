#include "load_shared.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "load_connection.h"

namespace brim::bench {
namespace {

// From here to 256 MiB an offset takes 4 bytes on the wire, so that all answers are of one size.
constexpr std::size_t kOutputsAtMin = 2 << 20;

}  // namespace

SharedTensors::SharedTensors(const RequestShape& shape, std::size_t output_bytes,
                             std::size_t outputs)
    : name_("brim_loadgen_" + std::to_string(getpid())),
      output_bytes_(output_bytes),
      outputs_(outputs) {
  const std::string input = TensorBytes(shape);
  outputs_at_ = std::max(kOutputsAtMin, input.size());
  bytes_ = outputs_at_ + output_bytes_ * outputs_;
  const int fd = shm_open(("/" + name_).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes_)) != 0) {
    Fail(std::strerror(errno));
  } else {
    void* const at = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
      Fail(std::strerror(errno));
    } else {
      memory_ = static_cast<char*>(at);
      std::memcpy(memory_, input.data(), input.size());
    }
  }
  if (fd >= 0) close(fd);
}

SharedTensors::~SharedTensors() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
  shm_unlink(("/" + name_).c_str());
}

bool SharedTensors::Fail(const std::string& what) {
  if (error_.empty()) error_ = "shared memory /" + name_ + ": " + what;
  return false;
}

bool SharedTensors::Register(std::uint16_t port) {
  if (memory_ == nullptr) return false;
  const int fd = ConnectLoopback(port);
  if (fd < 0) return Fail("cannot connect to port " + std::to_string(port));
  const std::string body =
      "{\"key\":\"/" + name_ + "\",\"offset\":0,\"byte_size\":" + std::to_string(bytes_) + "}";
  const std::string request = "POST /v2/systemsharedmemory/region/" + name_ +
                              "/register HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                              "Content-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  const timeval patience{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  std::string answer;
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    char bytes[4096];
    for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, 0)) > 0 && answer.size() < 65536;) {
      answer.append(bytes, static_cast<std::size_t>(n));
    }
  }
  close(fd);
  if (answer.rfind("HTTP/1.1 200", 0) == 0) return true;
  return Fail(answer.empty() ? "no answer to its registration" : answer);
}

RequestShape SharedTensors::Place(RequestShape shape, std::size_t i) const {
  shape.shared_region = name_;
  shape.shared_output_bytes = output_bytes_;
  shape.shared_output_offset = outputs_at_ + i * output_bytes_;
  return shape;
}

bool SharedTensors::Check() {
  const std::string_view first(memory_ + outputs_at_, output_bytes_);
  if (first.find_first_not_of('\0') == std::string_view::npos) return Fail("the output is empty");
  for (std::size_t i = 1; i < outputs_; ++i) {
    if (std::string_view(first.data() + i * output_bytes_, output_bytes_) != first) {
      return Fail("outputs of the same request differ");
    }
  }
  return true;
}

}  // namespace brim::bench
