// ModelFile: the text file that a fake model is made of.
//
// The fake runtime is a real plugin whose models do what their file says: tests and the wire
// benchmark need models whose answers, speed, size and failures they choose. One statement a line,
// # starts a comment, words are separated by spaces. The first statement must be `brim-fake 1`.
//
//   brim-fake 1
//   platform onnxruntime_onnx         what info says; "fake" if absent
//   signature serving_default [METHOD]
//   input x FP32 -1,4                 name, KServe type, dimensions: -1 any, [] a scalar, ? any
//   rank output y FP32 -1,4 identity x     the input's own memory and shape, no copy output s FP32
//   -1,4 add x z        element by element; numeric and of one shape output f FP32 -1,2 fill 1.5
//   every element; for BYTES the word. A -1 is the first input's
//                                     dimension on that axis, or 1 if it has none
//   output r INT32 -1 rows            every element: dimension 0 of the first input (the batch it
//   ran in) output i INT32 1 instance         every element: which instance ran, counted from 0 per
//   model free_instances                    instances cost nothing, as TensorFlow's memory_bytes N
//   touched at load, given back at unload instance_bytes N                  the same for each
//   instance load_ms N                         a load takes that long (asleep) load_fail CODE
//   TEXT...            every load fails with that gRPC code's number instance_fail CODE TEXT...
//   every instance but the first run_us N                          CPU time of the calling thread
//   that a run burns run_fail CODE TEXT...             every run fails (after burning)
//   run_fail_every N CODE TEXT...     the Nth, 2Nth, ... run of the model fails
//   run_fail_above N CODE TEXT...     a run fails whose first input has more than N rows
//   async                             runs are answered by a thread of the runtime's own
//   load_gate PATH, run_gate PATH     first read one byte from PATH, e.g. a FIFO: the test says
//   when
//
// A device named "FAKE.1" exists beside "CPU", so that device selection can be tested. Option
// `load_fail_if=VALUE` fails the load with that text; any other option is ignored.
// Limits: 1 MiB, 64 signatures, 1024 tensors each. Pure but for reading the file; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtimes/plugin/parts.h"

namespace brim::runtimes {

struct Failure {
  brim_code code = kOk;  // kOk: none.
  std::string text;
};

enum class Function { kIdentity, kAdd, kFill, kRows, kInstance };

struct OutputRule {
  Function function = Function::kIdentity;
  std::uint32_t first = 0;  // Inputs' indexes.
  std::uint32_t second = 0;
  double value = 0;  // kFill.
  std::string text;  // kFill of BYTES.
};

struct ModelFile {
  std::string platform = "fake";
  std::vector<SignatureDeclaration> signatures;
  std::vector<std::vector<OutputRule>> rules;  // By signature, then output.
  bool free_instances = false;
  bool async = false;
  std::uint64_t memory_bytes = 0;
  std::uint64_t instance_bytes = 0;
  std::uint64_t load_ms = 0;
  std::uint64_t run_us = 0;
  Failure load_fail, instance_fail, run_fail, run_fail_every, run_fail_above;
  std::uint64_t run_fail_period = 0;
  std::uint64_t run_fail_rows = 0;
  std::string load_gate, run_gate;
};

// Whether a file starts as a fake model does.
bool IsModelFile(const std::string& path);
// On failure the error names the line.
brim_code ReadModelFile(const std::string& path, ModelFile* file, brim_error* error);

}  // namespace brim::runtimes
