// SharedTensors: the input and outputs of a load in system shared memory, as clients on the
// server's machine may send them (Triton's extension_shared_memory.md).
//
// One POSIX object: the input, then room for one output per connection. Gone with its maker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "load_request.h"

namespace brim::bench {

class SharedTensors {
 public:
  // `outputs` places of `output_bytes`. error() says what failed.
  SharedTensors(const RequestShape& shape, std::size_t output_bytes, std::size_t outputs);
  ~SharedTensors();
  SharedTensors(const SharedTensors&) = delete;
  SharedTensors& operator=(const SharedTensors&) = delete;

  // Tells the server on this port of loopback, over HTTP/1.1.
  bool Register(std::uint16_t port);
  // The request that finds its input here and puts its output into place i.
  RequestShape Place(RequestShape shape, std::size_t i) const;
  // Whether all places hold the same output, and more than zeros.
  bool Check();
  const std::string& error() const { return error_; }

 private:
  bool Fail(const std::string& what);

  const std::string name_;
  const std::size_t output_bytes_;
  const std::size_t outputs_;
  std::size_t outputs_at_ = 0;
  std::size_t bytes_ = 0;
  char* memory_ = nullptr;
  std::string error_;
};

}  // namespace brim::bench
