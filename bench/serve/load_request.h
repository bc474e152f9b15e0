// The KServe v2 infer request that a load consists of, in both wire forms.
//
// One float input of fixed contents; all outputs wanted, binary. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace brim::bench {

struct RequestShape {
  std::string model;
  std::string input = "INPUT0";
  std::vector<std::int64_t> dims;
  // gRPC: the input is at the start of this region of shared memory, the output goes there too.
  std::string shared_region;
  std::string shared_output;  // Its name.
  std::uint64_t shared_output_bytes = 0;
  std::uint64_t shared_output_offset = 0;
};

// The input's contents: different values, all within (0, 1), the same in each run.
std::string TensorBytes(const RequestShape& shape);

// A whole HTTP/1.1 request: POST /v2/models/MODEL/infer with the binary tensor extension.
std::string HttpRequest(const RequestShape& shape);

// A gRPC message with its 5-byte prefix: inference.ModelInferRequest.
std::string GrpcFrame(const RequestShape& shape);

}  // namespace brim::bench
