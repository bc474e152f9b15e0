// One compiled copy of a model in OpenVINO alone, and clocks: what the bare loops share.
#pragma once

#include <time.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

namespace brim::bench {

inline double Seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

using CacheLine = std::uint64_t __attribute__((vector_size(64)));

struct Copy {
  std::mutex mutex;
  ov::CompiledModel compiled;
  ov::InferRequest request;
  std::vector<float> input;        // Set in the request once and for all.
  std::vector<CacheLine> weights;  // Of a copy that is only read.
};
using Copies = std::vector<std::unique_ptr<Copy>>;

// `count` compiled copies with num_streams(0) and f32, each read from the file anew, as models of a
// server share nothing, and run three times. `is_static`: of just this shape. `unfused`: without
// the CPU device's generated kernels. Throws what OpenVINO throws.
inline Copies MakeCopies(const std::string& file, const ov::Shape& shape, int count, bool is_static,
                         bool unfused) {
  ov::Core core;
  ov::AnyMap properties{ov::num_streams(0), ov::hint::inference_precision(ov::element::f32)};
  if (unfused) properties["SNIPPETS_MODE"] = "DISABLE";
  Copies copies;
  for (int i = 0; i < count; ++i) {
    const std::shared_ptr<ov::Model> model = core.read_model(file);
    if (is_static) model->reshape(ov::PartialShape(shape));
    auto copy = std::make_unique<Copy>();
    copy->compiled = core.compile_model(model, "CPU", properties);
    copy->request = copy->compiled.create_infer_request();
    copy->input.assign(ov::shape_size(shape), 0.5f);
    copy->request.set_input_tensor(ov::Tensor(ov::element::f32, shape, copy->input.data()));
    copies.push_back(std::move(copy));
  }
  for (int i = 0; i < 3; ++i) {
    for (const auto& copy : copies) copy->request.infer();
  }
  return copies;
}

// `count` copies that hold as many bytes as the f32 constants of the model and no more.
Copies MakeReaders(const std::string& file, int count);

// Reads every byte of the weights once, as fast as a stream of vector loads goes.
void ReadWeights(const Copy& copy);

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
