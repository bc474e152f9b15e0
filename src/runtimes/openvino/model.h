// A model in OpenVINO: how it was read, what its tensors are called, and its compiled copies.
//
// Each instance holds a compiled copy of its own, for a compiled model in caller-runs mode is one
// graph that one caller uses at a time. The model as read is dropped once compiled (for OCR-sized
// networks that is 9 of 39 MB); a further copy reads the files again, which must be unchanged.
// A copy is one graph for every shape, and one more for each shape of the option fixed_shapes.
// Threads: as runtime.h demands.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "openvino/runtime/core.hpp"
#include "runtimes/openvino/fixed_shapes.h"
#include "runtimes/openvino/shape_check.h"
#include "runtimes/plugin/parts.h"

struct brim_runtime {
  ov::Core core;
  std::string devices;  // "CPU,GPU.0"
};

namespace brim::runtimes {

enum class Format { kOnnx, kIr, kSavedModel, kFrozenGraph, kTfLite, kPaddle, kOther };
Format FormatOf(const std::string& path);

// Identity of a file as far as a second reading needs it.
struct FileStamp {
  std::string path;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

// Where a tensor of the signature is in the compiled model.
struct InputPlace {
  std::optional<std::size_t> port;  // None: no computation uses it.
  ov::element::Type type;
  bool narrowed = false;  // 64-bit integers are computed in 32 bits: values must fit.
};
struct OutputPlace {
  std::size_t port = 0;
  std::optional<std::uint32_t>
      same_as;  // The input that this output simply is; port is then unused.
};

// What an instance keeps of an input between runs.
struct InstanceInput {
  ov::Tensor tensor;               // Set in the request; empty when the last input was wrapped.
  void* data = nullptr;            // The tensor's, and its shape: asking it is slow where it has
  std::vector<std::int64_t> dims;  // not been used for long.
  std::vector<std::byte> aligned;  // Copy of a large input that lies at an odd address.
};

// A compiled copy before it is anybody's: the graph for every shape, then those of fixed shapes.
using CompiledCopy = std::vector<ov::CompiledModel>;

// One compiled graph of an instance and what it was last fed.
struct Graph {
  ShapeKey only;  // The input shapes that it takes; empty: all.
  ov::CompiledModel compiled;
  ov::InferRequest request;
  std::vector<InstanceInput> inputs;
};

struct Reading {
  std::shared_ptr<ov::Model> model;  // Null: nothing is left to compute.
  SignatureDeclaration signature;
  std::vector<InputPlace> inputs;
  std::vector<OutputPlace> outputs;
};

}  // namespace brim::runtimes

struct brim_model {
  brim_model(ov::Core& c, std::string p, std::string d, ov::AnyMap read, ov::AnyMap compile)
      : core(c),
        path(std::move(p)),
        device(std::move(d)),
        read_properties(std::move(read)),
        compile_properties(std::move(compile)) {}

  ov::Core& core;
  const std::string path;
  const std::string device;
  const ov::AnyMap read_properties;
  const ov::AnyMap compile_properties;
  // Set once by the load.
  std::vector<brim::runtimes::FileStamp> stamps;
  std::vector<brim::runtimes::InputPlace> inputs;
  std::vector<brim::runtimes::OutputPlace> outputs;
  std::size_t ports = 0;  // Inputs of the compiled model.
  bool computes = true;
  std::unique_ptr<brim::runtimes::InfoTable> table;
  std::unique_ptr<brim::runtimes::ShapeCheck> shapes;  // Null when every shape is static.
  std::vector<brim::runtimes::FixedShape> fixed;       // In the order of a copy's further graphs.
  std::vector<bool> unfused;  // By graph of a copy: compiled without fused attention. By Guard.

  // Throws what OpenVINO throws.
  brim::runtimes::CompiledCopy Compile(const std::shared_ptr<ov::Model>& read) const;
  // Compiles again those of the first copy's graphs whose attention may answer wrongly
  // (attention_guard.h); further copies are then compiled like it. Throws what OpenVINO throws.
  void Guard(const std::shared_ptr<ov::Model>& read, brim::runtimes::CompiledCopy* copy);
  // A compiled copy: the one made at load, if nobody has it yet, else a new one from the unchanged
  // files.
  brim::runtimes::CompiledCopy TakeCopy();
  void KeepSpare(brim::runtimes::CompiledCopy copy) { spare_ = std::move(copy); }

 private:
  ov::CompiledModel CompileGraph(const std::shared_ptr<ov::Model>& read, std::size_t graph) const;

  std::mutex mutex_;
  brim::runtimes::CompiledCopy spare_;  // Empty: taken.
};

struct brim_instance {
  explicit brim_instance(brim_model& m) : model(m) {}

  brim_model& model;
  std::vector<brim::runtimes::Graph> graphs;  // None where nothing is left to compute.
  brim::runtimes::Graph* graph = nullptr;     // Of this run.
  bool usable =
      false;  // False until prepared, and after a failed run, whose graph is not to be trusted.
  brim::runtimes::ShapeKey key;       // Of this run.
  brim::runtimes::ShapeKey last_key;  // Of the last that was accepted.
  std::vector<brim_tensor> answer;
  std::vector<std::vector<std::int64_t>> answer_dims;

  void Prepare();  // Throws what OpenVINO throws.
};

namespace brim::runtimes {

brim_code LoadModel(brim_runtime& runtime, const brim_load_options& options, brim_model** model,
                    brim_error* error);
void RunInstance(brim_instance& instance, const brim_run& run, brim_done done, void* context);

// Reads the path, names its tensors after the signature its clients know, and takes out
// of the graph what is only passed through. Throws what OpenVINO throws.
Reading ReadModel(ov::Core& core, const std::string& path, const ov::AnyMap& properties);

}  // namespace brim::runtimes
