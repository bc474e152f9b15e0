// One client connection of the load generator, HTTP/1.1 or gRPC.
//
// Threads: all on the generator's one thread. A request is a number that comes back with its
// answer; its bytes are shared and outlive the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace brim::bench {

struct Answer {
  std::uint64_t request = 0;
  bool ok = false;        // The protocol's own success: HTTP 200, grpc-status 0.
  std::size_t bytes = 0;  // Of the body or the gRPC frame.
  std::string error;      // What the server said, when not ok.
};

class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  virtual void OnAnswer(const Answer& answer) = 0;
};

class Connection {
 public:
  virtual ~Connection() = default;
  virtual int fd() const = 0;
  // Whether another request may be sent before an answer came.
  virtual bool HasRoom() const = 0;
  // REQUIRES: HasRoom(). Queues; Flush() sends.
  virtual void Send(std::uint64_t request, const std::string& bytes) = 0;
  // Both false when the connection is over; what was open on it has no answer then.
  virtual bool OnReadable() = 0;
  virtual bool Flush() = 0;
  virtual bool WantsWrite() const = 0;
};

// Connects to 127.0.0.1:port, blocking; -1 and errno when refused.
int ConnectLoopback(std::uint16_t port);
std::unique_ptr<Connection> MakeHttpConnection(int fd, AnswerSink* sink);
// Sends gRPC frames to inference.GRPCInferenceService/ModelInfer.
std::unique_ptr<Connection> MakeGrpcConnection(int fd, std::size_t streams_max, AnswerSink* sink);

}  // namespace brim::bench
