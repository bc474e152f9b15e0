#include "runtimes/tensorflow/model.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "runtimes/plugin/saved_model.h"

namespace brim::runtimes {
namespace {

constexpr std::size_t kTextMax = 600;

// An encoded tensorflow.ConfigProto (tensorflow/core/protobuf/config.proto):
//   intra_op_parallelism_threads (2) = 1: an operation is not spread over threads;
//   inter_op_parallelism_threads (5) = -1: operations run on the caller;
//   allow_soft_placement (7) = true: a graph exported on a GPU machine loads here.
constexpr unsigned char kConfig[] = {0x10, 0x01, 0x28, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0x01, 0x38, 0x01};

// "scope/x:1" to its operation's name and 1.
std::pair<std::string, int> SplitTensorName(const std::string& name) {
  const std::size_t colon = name.rfind(':');
  if (colon == std::string::npos) return {name, 0};
  return {name.substr(0, colon), std::atoi(name.c_str() + colon + 1)};
}

// False when the graph has no such tensor.
bool FindTensor(const brim_model& model, const std::string& name, TF_Output* output) {
  const auto [operation, index] = SplitTensorName(name);
  output->oper = model.tf.GraphOperationByName(model.graph, operation.c_str());
  output->index = index;
  return output->oper != nullptr && index >= 0 &&
         index < model.tf.OperationNumOutputs(output->oper);
}

bool Same(const TF_Output& a, const TF_Output& b) { return a.oper == b.oper && a.index == b.index; }

// Empty, or why the signature cannot be served.
std::string Resolve(const brim_model& model, const SavedSignature& signature,
                    Endpoints* endpoints) {
  if (!signature.refused.empty()) return signature.refused;
  for (const std::string& name : signature.input_tensors) {
    TF_Output output{};
    if (!FindTensor(model, name, &output)) return "the graph has no tensor '" + name + "'";
    for (const TF_Output& other : endpoints->inputs) {
      if (Same(other, output)) return "two inputs are the tensor '" + name + "'";
    }
    endpoints->inputs.push_back(output);
    endpoints->input_types.push_back(model.tf.OperationOutputType(output));
  }
  for (const std::string& name : signature.output_tensors) {
    TF_Output output{};
    if (!FindTensor(model, name, &output)) return "the graph has no tensor '" + name + "'";
    std::optional<std::uint32_t> same_as;
    for (std::uint32_t i = 0; i < endpoints->inputs.size(); ++i) {
      if (Same(endpoints->inputs[i], output)) same_as = i;
    }
    endpoints->outputs.push_back(output);
    endpoints->same_as.push_back(same_as);
  }
  return {};
}

// Owns the C API's load-time objects.
struct Status {
  explicit Status(const TensorFlow& t) : tf(t), raw(t.NewStatus()) {}
  ~Status() { tf.DeleteStatus(raw); }
  Status(const Status&) = delete;
  Status& operator=(const Status&) = delete;
  const TensorFlow& tf;
  TF_Status* raw;
};

brim_code OpenSession(brim_model* model, const char* path, std::vector<SavedSignature>* signatures,
                      brim_error* error) {
  const TensorFlow& tf = model->tf;
  const Status status(tf);
  TF_SessionOptions* options = tf.NewSessionOptions();
  tf.SetConfig(options, kConfig, sizeof kConfig, status.raw);
  TF_Buffer* meta_graph = tf.NewBuffer();
  const char* const tags[] = {"serve"};
  model->graph = tf.NewGraph();
  if (tf.GetCode(status.raw) == TF_OK) {
    model->session = tf.LoadSessionFromSavedModel(options, nullptr, path, tags, 1, model->graph,
                                                  meta_graph, status.raw);
  }
  const bool parsed =
      model->session != nullptr &&
      ParseMetaGraph({static_cast<const char*>(meta_graph->data), meta_graph->length}, signatures);
  tf.DeleteBuffer(meta_graph);
  tf.DeleteSessionOptions(options);
  if (tf.GetCode(status.raw) != TF_OK) {
    const auto code = static_cast<brim_code>(tf.GetCode(status.raw));
    return Fail(
        error, code == kNotFound ? kInvalidArgument : code,
        std::string("TensorFlow cannot load '") + path + "': " + FirstLine(tf.Message(status.raw)));
  }
  if (!parsed)
    return Fail(error, kInvalidArgument,
                std::string("the signatures of '") + path + "' cannot be read");
  return kOk;
}

// TensorFlow loads a directory without its variables as if all were well; each run would fail.
bool LacksVariables(const brim_model& model, const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path + "/variables/variables.index", ignored)) return false;
  std::size_t position = 0;
  while (TF_Operation* operation = model.tf.GraphNextOperation(model.graph, &position)) {
    const std::string_view type = model.tf.OperationOpType(operation);
    if (type == "VarHandleOp" || type == "VariableV2" || type == "Variable") return true;
  }
  return false;
}

brim_code CheckOptions(const brim_load_options& options, brim_error* error) {
  const std::string_view precision = options.precision == nullptr ? "" : options.precision;
  if (!precision.empty() && precision != "f32" && precision != "auto") {
    return Fail(error, kInvalidArgument,
                "the tensorflow runtime computes in the model's own precision: f32 or auto, not '" +
                    std::string(precision) + "'");
  }
  if (options.width > 1) {
    return Fail(error, kInvalidArgument,
                "the tensorflow runtime runs an inference on one core: width must be 1");
  }
  for (std::uint32_t i = 0; i < options.option_count; ++i) {
    const std::string_view key = options.option_keys[i];
    if (std::none_of(key.begin(), key.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
      return Fail(error, kInvalidArgument,
                  "the tensorflow runtime has no option '" + std::string(key) + "'; it has none");
    }
  }
  return kOk;
}

}  // namespace

std::string FirstLine(const char* message) {
  std::string line(message);
  if (const std::size_t end = line.find('\n'); end != std::string::npos) line.resize(end);
  if (line.size() > kTextMax) line = line.substr(0, kTextMax) + "...";
  return line;
}

brim_code LoadModel(brim_runtime& runtime, const brim_load_options& options, brim_model** out,
                    brim_error* error) {
  if (const brim_code code = CheckOptions(options, error); code != kOk) return code;
  const std::string path = options.path;
  if (!IsSavedModel(path)) {
    return Fail(
        error, kNotFound,
        "there is no '" + path + "/saved_model.pb'; TensorFlow loads SavedModel directories");
  }
  auto model = std::make_unique<brim_model>(runtime.tensorflow);
  std::vector<SavedSignature> saved;
  if (const brim_code code = OpenSession(model.get(), path.c_str(), &saved, error); code != kOk)
    return code;
  if (LacksVariables(*model, path)) {
    return Fail(
        error, kInvalidArgument,
        "'" + path + "' has variables, but no variables/variables.index; copy the whole directory");
  }
  std::vector<SignatureDeclaration> declarations;
  std::string refused = "it has none";
  for (SavedSignature& signature : saved) {
    Endpoints endpoints;
    const std::string why = Resolve(*model, signature, &endpoints);
    if (!why.empty()) {
      refused = "'" + signature.declaration.name + "': " + why;
      continue;
    }
    model->endpoints.push_back(std::move(endpoints));
    declarations.push_back(std::move(signature.declaration));
  }
  if (declarations.empty()) {
    return Fail(error, kUnimplemented,
                "'" + path + "' has no signature that can be served (" + refused + ")");
  }
  model->table = std::make_unique<InfoTable>("tensorflow_savedmodel", "f32", "CPU",
                                             std::move(declarations), true);
  *out = model.release();
  return kOk;
}

}  // namespace brim::runtimes

brim_model::~brim_model() {
  TF_Status* status = tf.NewStatus();
  if (session != nullptr) {
    tf.CloseSession(session, status);
    tf.DeleteSession(session, status);
  }
  if (graph != nullptr) tf.DeleteGraph(graph);
  tf.DeleteStatus(status);
}
