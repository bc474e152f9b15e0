// A SavedModel in TensorFlow: one session, every callable signature, runs on their callers'
// threads.
//
// Threads: as runtime.h demands. Instances share the session, which takes concurrent runs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtimes/plugin/parts.h"
#include "runtimes/tensorflow/library.h"

struct brim_runtime {
  std::string directory;  // Of TensorFlow's libraries.
  bool loaded = false;    // They are: at the first model, not before.
  brim::runtimes::TensorFlow tensorflow;
};

namespace brim::runtimes {

// One signature's tensors in the graph.
struct Endpoints {
  std::vector<TF_Output> inputs;
  std::vector<TF_DataType> input_types;
  std::vector<TF_Output> outputs;
  // Per output: the input that it simply is. TensorFlow refuses to fetch what is fed.
  std::vector<std::optional<std::uint32_t>> same_as;
};

}  // namespace brim::runtimes

struct brim_model {
  explicit brim_model(const brim::runtimes::TensorFlow& t) : tf(t) {}
  ~brim_model();
  brim_model(const brim_model&) = delete;
  brim_model& operator=(const brim_model&) = delete;

  const brim::runtimes::TensorFlow& tf;
  TF_Graph* graph = nullptr;
  TF_Session* session = nullptr;
  std::vector<brim::runtimes::Endpoints> endpoints;  // By signature.
  std::unique_ptr<brim::runtimes::InfoTable> table;
};

struct brim_instance {
  explicit brim_instance(brim_model& m) : model(m) {}

  brim_model& model;
  // Space for one run, kept between runs.
  std::vector<TF_Tensor*> inputs;
  std::vector<TF_Output> fetches;
  std::vector<TF_Tensor*> fetched;
  std::vector<brim_tensor> answer;
  std::vector<std::vector<std::int64_t>> dims;
  std::vector<std::vector<std::byte>> strings;
};

namespace brim::runtimes {

brim_code LoadModel(brim_runtime& runtime, const brim_load_options& options, brim_model** model,
                    brim_error* error);
void RunInstance(brim_instance& instance, const brim_run& run, brim_done done, void* context);

// First line of a status' message, at most 600 bytes; what follows is TensorFlow's own call stack.
std::string FirstLine(const char* message);

}  // namespace brim::runtimes
