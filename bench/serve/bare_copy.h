// One compiled copy of a model in OpenVINO alone, and clocks: what the bare loops share.
#pragma once

#include <time.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <openvino/openvino.hpp>
#include <vector>

namespace brim::bench {

inline double Seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Copy {
  std::mutex mutex;
  ov::CompiledModel compiled;
  ov::InferRequest request;
  std::vector<float> input;  // Set in the request once and for all.
};
using Copies = std::vector<std::unique_ptr<Copy>>;

// What one calling thread measured.
struct Caller {
  std::vector<float> latency_us;
  double infer_cpu_s = 0;  // CPU of infer() alone.
  double peer_cpu_s = 0;   // Of the thread at the other end of the sockets.
};

// Calls until `stop`: a peer on loopback sends the input's bytes over one of `connections` TCP
// connections of this caller, which reads them, infers, and writes the first output's bytes back;
// nothing is framed, parsed, copied or checked. The least that any server on TCP can cost.
void OverSockets(Copy* copy, int connections, const std::atomic<bool>& stop, Caller* caller);

}  // namespace brim::bench
