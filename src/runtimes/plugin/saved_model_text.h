// For tests: writes a small SavedModel, float tensors of shape [-1] only.
//
// Sources: tensorflow/core/protobuf/{saved_model,meta_graph}.proto,
// framework/{graph,node_def,attr_value}.proto.
#pragma once

#include <protozero/pbf_writer.hpp>
#include <string>
#include <utility>
#include <vector>

namespace brim::runtimes {

class SavedModelText {
 public:
  using Tensors =
      std::vector<std::pair<std::string, std::string>>;  // Name in the signature, in the graph.

  void Node(const std::string& name, const std::string& op, const std::vector<std::string>& inputs,
            const std::string& type_attribute) {
    protozero::pbf_writer graph(graph_);
    protozero::pbf_writer node(graph, 1);
    node.add_string(1, name);
    node.add_string(2, op);
    for (const std::string& input : inputs) node.add_string(3, input);
    protozero::pbf_writer attribute(node, 5);
    attribute.add_string(1, type_attribute);
    protozero::pbf_writer value(attribute, 2);
    value.add_enum(6, kFloat);
  }
  // `kind` 1: an ordinary tensor; 4: a sparse one (TensorInfo's field number).
  void Signature(const std::string& name, const Tensors& inputs, const Tensors& outputs,
                 std::uint32_t kind = 1, int type = kFloat) {
    protozero::pbf_writer all(signatures_);
    protozero::pbf_writer entry(all, 5);
    entry.add_string(1, name);
    protozero::pbf_writer signature(entry, 2);
    for (const auto& [list, field] : {std::pair(&inputs, 1U), std::pair(&outputs, 2U)}) {
      for (const auto& [key, tensor] : *list) {
        protozero::pbf_writer map_entry(signature, field);
        map_entry.add_string(1, key);
        protozero::pbf_writer info(map_entry, 2);
        info.add_string(kind, kind == 1 ? tensor : "");
        info.add_enum(2, type);
        protozero::pbf_writer shape(info, 3);
        protozero::pbf_writer dim(shape, 2);
        dim.add_int64(1, -1);
      }
    }
    signature.add_string(3, "tensorflow/serving/predict");
  }
  std::string MetaGraph() const {
    std::string bytes;
    protozero::pbf_writer meta(bytes);
    {
      protozero::pbf_writer info(meta, 1);
      info.add_string(4, "serve");
    }
    meta.add_message(
        2, graph_ + std::string("\x22\x03\x08\xe1\x0e", 5));  // versions { producer: 1889 }
    return bytes + signatures_;
  }
  std::string Bytes() const {
    std::string bytes;
    protozero::pbf_writer file(bytes);
    file.add_int64(1, 1);
    file.add_message(2, MetaGraph());
    return bytes;
  }

 private:
  static constexpr int kFloat = 1;
  std::string graph_;
  std::string signatures_;
};

}  // namespace brim::runtimes
