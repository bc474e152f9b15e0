// Reading a model: formats, tensor names, and outputs that are inputs passed through.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "openvino/core/model.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/op/result.hpp"
#include "runtimes/openvino/model.h"
#include "runtimes/openvino/types.h"
#include "runtimes/plugin/saved_model.h"

namespace brim::runtimes {
namespace {

// The name of a port that its users know: the file's own where the port has several.
template <typename Port>
std::string NameOf(const Port& port, Format format) {
  std::string friendly = port.get_node()->get_friendly_name();
  if (const std::size_t sink = friendly.find("/sink_port_"); sink != std::string::npos)
    friendly.resize(sink);
  std::string name = friendly;
  const auto& names = port.get_names();
  if (!names.empty() && !names.contains(friendly))
    name = *std::min_element(names.begin(), names.end());
  if (format == Format::kFrozenGraph && name.ends_with(":0")) name.resize(name.size() - 2);
  return name;
}

template <typename Port>
TensorDeclaration Declare(const Port& port, std::string name) {
  TensorDeclaration tensor;
  tensor.name = std::move(name);
  tensor.dtype = FromElementType(port.get_element_type());
  if (tensor.dtype == BRIM_INVALID) {
    throw std::runtime_error("tensor '" + tensor.name + "' has OpenVINO's element type " +
                             port.get_element_type().get_type_name() +
                             ", which the protocols cannot carry");
  }
  const ov::PartialShape& shape = port.get_partial_shape();
  tensor.rank = -1;
  if (shape.rank().is_dynamic()) return tensor;
  for (const ov::Dimension& dim : shape)
    tensor.dims.push_back(dim.is_static() ? dim.get_length() : -1);
  tensor.rank = static_cast<std::int32_t>(tensor.dims.size());
  return tensor;
}

// The parameter an output is fed from without any computing, or null.
const ov::Node* PassedThrough(const ov::Output<ov::Node>& result) {
  const ov::Node* node = result.get_node()->get_input_node_ptr(0);
  while (std::string_view(node->get_type_name()) == "Identity") node = node->get_input_node_ptr(0);
  return ov::is_type<ov::op::v0::Parameter>(node) ? node : nullptr;
}

// The index of the port that carries this name, or none.
template <typename Ports>
std::optional<std::size_t> Find(const Ports& ports, const std::string& name) {
  for (std::size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].get_names().contains(name)) return i;
  }
  return std::nullopt;
}

// The signature that OpenVINO converts: serving_default, else the only one.
const SavedSignature* Converted(const std::vector<SavedSignature>& signatures) {
  for (const SavedSignature& s : signatures) {
    if (s.declaration.name == "serving_default") return &s;
  }
  return signatures.size() == 1 ? signatures.data() : nullptr;
}

// What the graph has, in the graph's order and names; places are ports of the graph as read.
Reading Describe(std::shared_ptr<ov::Model> model, Format format) {
  Reading reading;
  for (const auto& port : model->inputs()) {
    reading.inputs.push_back({reading.inputs.size(), port.get_element_type(), false});
    reading.signature.inputs.push_back(Declare(port, NameOf(port, format)));
  }
  for (const auto& port : model->outputs()) {
    reading.outputs.push_back({reading.outputs.size(), std::nullopt});
    reading.signature.outputs.push_back(Declare(port, NameOf(port, format)));
  }
  reading.model = std::move(model);
  return reading;
}

// The same by the SavedModel's own signature: its names, its order by name, and inputs that
// OpenVINO dropped because nothing uses them. Where a name is not found the graph's description
// stands.
Reading DescribeSavedModel(std::shared_ptr<ov::Model> model, const std::string& path) {
  std::vector<SavedSignature> signatures;
  brim_error error{};
  if (ReadSavedModel(path, &signatures, &error) != kOk) throw std::runtime_error(error.text);
  Reading plain = Describe(model, Format::kSavedModel);
  const SavedSignature* converted = Converted(signatures);
  if (converted == nullptr) return plain;
  Reading named;
  named.signature.name = converted->declaration.name;
  named.signature.method_name = converted->declaration.method_name;
  const auto inputs = model->inputs();
  const auto outputs = model->outputs();
  std::size_t used = 0;
  for (const TensorDeclaration& wanted : converted->declaration.inputs) {
    const auto port = Find(inputs, wanted.name);
    used += port ? 1 : 0;
    named.inputs.push_back(
        {port, port ? inputs[*port].get_element_type() : ov::element::Type(), false});
    named.signature.inputs.push_back(port ? Declare(inputs[*port], wanted.name) : wanted);
  }
  for (const TensorDeclaration& wanted : converted->declaration.outputs) {
    const auto port = Find(outputs, wanted.name);
    if (!port) return plain;
    named.outputs.push_back({*port, std::nullopt});
    named.signature.outputs.push_back(Declare(outputs[*port], wanted.name));
  }
  if (used != inputs.size()) return plain;
  named.model = std::move(model);
  return named;
}

// Takes out results that are parameters passed through, then parameters that nothing uses, and
// renumbers the places. OpenVINO's CPU device corrupts the heap on string tensors, so none may be
// left.
void TakeOutPassedThrough(Reading* reading) {
  const ov::ParameterVector parameters = reading->model->get_parameters();
  const ov::ResultVector results = reading->model->get_results();
  for (OutputPlace& place : reading->outputs) {
    const ov::Node* from = PassedThrough(results[place.port]->output(0));
    for (std::uint32_t i = 0; from != nullptr && i < reading->inputs.size(); ++i) {
      if (reading->inputs[i].port && parameters[*reading->inputs[i].port].get() == from)
        place.same_as = i;
    }
  }
  std::vector<std::size_t> result_ports(results.size());
  for (std::size_t i = 0, kept = 0; i < results.size(); ++i) {
    const bool gone = std::any_of(reading->outputs.begin(), reading->outputs.end(),
                                  [i](const OutputPlace& p) { return p.port == i && p.same_as; });
    if (gone) reading->model->remove_result(results[i]);
    result_ports[i] = gone ? kept : kept++;
  }
  for (OutputPlace& place : reading->outputs) place.port = result_ports[place.port];
  if (reading->model->get_results().size() == results.size()) return;
  std::vector<std::optional<std::size_t>> parameter_ports(parameters.size());
  for (std::size_t i = 0, kept = 0; i < parameters.size(); ++i) {
    const auto ops = reading->model->get_ordered_ops();
    const bool used = std::any_of(ops.begin(), ops.end(), [&](const std::shared_ptr<ov::Node>& op) {
      const auto values = op->input_values();
      return std::any_of(values.begin(), values.end(), [&](const auto& value) {
        return value.get_node() == parameters[i].get();
      });
    });
    if (used) {
      parameter_ports[i] = kept++;
    } else {
      reading->model->remove_parameter(parameters[i]);
    }
  }
  for (InputPlace& place : reading->inputs) {
    if (place.port) place.port = parameter_ports[*place.port];
  }
  if (reading->model->get_results().empty()) reading->model.reset();
}

void RefuseStrings(const Reading& reading) {
  for (std::size_t i = 0; i < reading.inputs.size() + reading.outputs.size(); ++i) {
    const bool input = i < reading.inputs.size();
    const std::size_t at = input ? i : i - reading.inputs.size();
    const TensorDeclaration& tensor =
        input ? reading.signature.inputs[at] : reading.signature.outputs[at];
    const bool computed =
        input ? reading.inputs[at].port.has_value() : !reading.outputs[at].same_as;
    if (tensor.dtype == BRIM_BYTES && computed) {
      throw std::runtime_error(
          "tensor '" + tensor.name +
          "' holds strings, which OpenVINO cannot compute with; use another runtime");
    }
  }
}

}  // namespace

Format FormatOf(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    return IsSavedModel(path) ? Format::kSavedModel : Format::kOther;
  const std::string extension = std::filesystem::path(path).extension();
  if (extension == ".onnx") return Format::kOnnx;
  if (extension == ".pdmodel") return Format::kPaddle;
  if (extension == ".pb") {
    return std::filesystem::path(path).filename() == "saved_model.pb" ? Format::kOther
                                                                      : Format::kFrozenGraph;
  }
  std::ifstream in(path, std::ios::binary);
  std::string start(4096, '\0');
  in.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(in.gcount()));
  if (start.size() >= 8 && start.compare(4, 4, "TFL3") == 0) return Format::kTfLite;
  if (extension == ".tflite") return Format::kTfLite;
  if (extension == ".xml" && start.find("<net") != std::string::npos) return Format::kIr;
  return Format::kOther;
}

Reading ReadModel(ov::Core& core, const std::string& path, const ov::AnyMap& properties) {
  const Format format = FormatOf(path);
  std::shared_ptr<ov::Model> model = core.read_model(path, std::string(), properties);
  Reading reading = format == Format::kSavedModel ? DescribeSavedModel(std::move(model), path)
                                                  : Describe(std::move(model), format);
  TakeOutPassedThrough(&reading);
  RefuseStrings(reading);
  for (InputPlace& place : reading.inputs) {
    place.narrowed =
        place.port && (place.type == ov::element::i64 || place.type == ov::element::u64);
  }
  return reading;
}

}  // namespace brim::runtimes
