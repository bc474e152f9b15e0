// A run: checks what OpenVINO would not survive, wraps the caller's memory, infers, points at the
// answers.
#include <algorithm>
#include <cstring>
#include <utility>

#include "runtimes/openvino/model.h"
#include "runtimes/openvino/types.h"

namespace brim::runtimes {
namespace {

// Why this run is refused, or nothing.
struct Refusal {
  brim_code code = kOk;
  std::string text;
};

template <typename T>
bool FitsIn32Bits(const brim_tensor& tensor, std::string* value) {
  const auto* at = static_cast<const std::byte*>(tensor.data);
  for (std::uint64_t i = 0; i < tensor.bytes / sizeof(T); ++i) {
    T element;
    std::memcpy(&element, at + i * sizeof(T), sizeof(T));
    if (!std::in_range<std::int32_t>(element)) {
      *value = std::to_string(element);
      return false;
    }
  }
  return true;
}

// OpenVINO's CPU device would wrap the value around without a word.
Refusal CheckNarrowed(const brim_instance& instance, const brim_run& run) {
  for (std::uint32_t i = 0; i < run.input_count; ++i) {
    if (!instance.model.inputs[i].narrowed) continue;
    std::string value;
    const bool fits = run.inputs[i].dtype == BRIM_INT64
                          ? FitsIn32Bits<std::int64_t>(run.inputs[i], &value)
                          : FitsIn32Bits<std::uint64_t>(run.inputs[i], &value);
    if (!fits) {
      return {kInvalidArgument, "input '" + instance.model.table->signatures()[0].inputs[i].name +
                                    "' holds " + value +
                                    "; OpenVINO computes with 32-bit integers"};
    }
  }
  return {};
}

// Chooses the graph: the one compiled for just these shapes, if there is one.
Refusal CheckShapes(brim_instance& instance, const brim_run& run) {
  instance.graph = instance.graphs.data();
  if (instance.model.shapes == nullptr) return {};
  instance.key.clear();
  // In the order of the compiled model's ports, which is not always the signature's.
  for (std::size_t port = 0; port < instance.model.ports; ++port) {
    for (std::uint32_t i = 0; i < run.input_count; ++i) {
      if (instance.model.inputs[i].port != port) continue;
      instance.key.push_back(run.inputs[i].rank);
      instance.key.insert(instance.key.end(), run.inputs[i].dims,
                          run.inputs[i].dims + run.inputs[i].rank);
    }
  }
  for (Graph& graph : instance.graphs) {
    if (graph.only.empty() || graph.only != instance.key) continue;
    instance.graph = &graph;
    return {};
  }
  if (instance.key == instance.last_key) return {};
  std::string why;
  if (!instance.model.shapes->Accepts(instance.key, &why)) {
    std::string shapes;
    for (std::uint32_t i = 0; i < run.input_count; ++i) {
      shapes += (i == 0 ? "" : ", ") + instance.model.table->signatures()[0].inputs[i].name + ' ' +
                ShapeText(run.inputs[i].dims, run.inputs[i].rank);
    }
    return {kInvalidArgument,
            "the model cannot take these input shapes together: " + shapes + " (" + why + ")"};
  }
  instance.last_key = instance.key;
  return {};
}

// Setting a tensor costs about 2 us, as much as copying this many bytes.
constexpr std::uint64_t kCopiedBytesMax = 16384;

bool HasShape(const InstanceInput& held, const brim_tensor& input) {
  return std::equal(held.dims.begin(), held.dims.end(), input.dims, input.dims + input.rank);
}

// Small inputs are copied into a tensor that stays set while the shape does; large ones are wrapped
// where they lie, or copied where their element type needs another alignment.
void SetInput(ov::InferRequest& request, const InputPlace& place, const brim_tensor& input,
              InstanceInput* held) {
  if (input.bytes <= kCopiedBytesMax) {
    if (!held->tensor || !HasShape(*held, input)) {
      held->tensor = ov::Tensor(place.type, ov::Shape(input.dims, input.dims + input.rank));
      held->data = held->tensor.data();
      held->dims.assign(input.dims, input.dims + input.rank);
      request.set_input_tensor(*place.port, held->tensor);
    }
    if (input.bytes != 0) std::memcpy(held->data, input.data, input.bytes);
    return;
  }
  held->tensor = {};
  const void* data = input.data;
  if (reinterpret_cast<std::uintptr_t>(data) % ElementBytes(input.dtype) != 0) {
    held->aligned.resize(input.bytes);
    std::memcpy(held->aligned.data(), data, input.bytes);
    data = held->aligned.data();
  }
  request.set_input_tensor(
      *place.port, ov::Tensor(place.type, ov::Shape(input.dims, input.dims + input.rank), data));
}

void Infer(brim_instance& instance, const brim_run& run) {
  Graph& graph = *instance.graph;
  graph.inputs.resize(run.input_count);
  for (std::uint32_t i = 0; i < run.input_count; ++i) {
    const InputPlace& place = instance.model.inputs[i];
    if (place.port) SetInput(graph.request, place, run.inputs[i], &graph.inputs[i]);
  }
  graph.request.infer();
}

void Answer(brim_instance& instance, const brim_run& run, std::uint32_t wanted, std::size_t at) {
  const OutputPlace& place = instance.model.outputs[wanted];
  const TensorDeclaration& declared = instance.model.table->signatures()[0].outputs[wanted];
  brim_tensor& answer = instance.answer[at];
  if (place.same_as) {
    answer = run.inputs[*place.same_as];
    answer.name = declared.name.c_str();
    return;
  }
  const ov::Tensor tensor = instance.graph->request.get_output_tensor(place.port);
  const ov::Shape& shape = tensor.get_shape();
  std::vector<std::int64_t>& dims = instance.answer_dims[at];
  dims.assign(shape.begin(), shape.end());
  const std::size_t bytes = tensor.get_byte_size();
  answer = {declared.name.c_str(),
            declared.dtype,
            static_cast<std::int32_t>(dims.size()),
            dims.data(),
            bytes == 0 ? nullptr : tensor.data(),
            bytes};
}

}  // namespace

void RunInstance(brim_instance& instance, const brim_run& run, brim_done done, void* context) {
  Refusal refusal;
  try {
    if (!instance.usable) instance.Prepare();
    refusal = CheckShapes(instance, run);
    if (refusal.code == kOk) refusal = CheckNarrowed(instance, run);
    if (refusal.code == kOk) {
      if (instance.model.computes) Infer(instance, run);
      instance.answer.resize(run.output_count);
      instance.answer_dims.resize(run.output_count);
      for (std::uint32_t i = 0; i < run.output_count; ++i) Answer(instance, run, run.outputs[i], i);
    }
  } catch (const std::exception& failed) {
    instance.usable = false;
    refusal = {kInternal, "OpenVINO failed to run the model: " + Cleaned(failed.what())};
  }
  if (refusal.code != kOk) return done(context, refusal.code, refusal.text.c_str(), nullptr, 0);
  done(context, kOk, "", instance.answer.data(), run.output_count);
}

}  // namespace brim::runtimes
