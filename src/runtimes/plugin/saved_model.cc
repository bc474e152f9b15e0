#include "runtimes/plugin/saved_model.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <protozero/pbf_reader.hpp>

namespace brim::runtimes {
namespace {

constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 31;  // Protobuf's own limit.
constexpr std::string_view kOwnPrefix = "__saved_model";
constexpr int kReferenceTypes = 100;  // types.proto: DT_FLOAT_REF = DT_FLOAT + 100.

struct TensorInfo {
  std::string tensor;
  TensorDeclaration declaration;
  std::string refused;
};

// protozero checks a field's wire type only by assert: these come before every get.
bool IsBytes(const protozero::pbf_reader& reader, protozero::pbf_tag_type tag) {
  return reader.tag() == tag && reader.wire_type() == protozero::pbf_wire_type::length_delimited;
}
bool IsNumber(const protozero::pbf_reader& reader, protozero::pbf_tag_type tag) {
  return reader.tag() == tag && reader.wire_type() == protozero::pbf_wire_type::varint;
}

void ReadShape(protozero::pbf_reader shape, TensorDeclaration* out) {
  bool rank_known = true;
  while (shape.next()) {
    if (IsBytes(shape, 2)) {
      std::int64_t size = 0;
      for (protozero::pbf_reader dim = shape.get_message(); dim.next();) {
        if (IsNumber(dim, 1)) {
          size = dim.get_int64();
        } else {
          dim.skip();
        }
      }
      out->dims.push_back(size < 0 ? -1 : size);
    } else if (IsNumber(shape, 3)) {
      rank_known = !shape.get_bool();
    } else {
      shape.skip();
    }
  }
  if (!rank_known) out->dims.clear();
  out->rank = rank_known ? static_cast<std::int32_t>(out->dims.size()) : -1;
}

TensorInfo ReadTensorInfo(protozero::pbf_reader message) {
  TensorInfo info;
  info.declaration.rank = -1;
  int type = 0;
  while (message.next()) {
    if (IsBytes(message, 1)) {
      info.tensor = message.get_string();
    } else if (IsNumber(message, 2)) {
      type = message.get_int32();
    } else if (IsBytes(message, 3)) {
      ReadShape(message.get_message(), &info.declaration);
    } else {
      if (message.tag() == 4 || message.tag() == 5) info.refused = "is sparse or composite";
      message.skip();
    }
  }
  info.declaration.dtype = FromTensorFlowType(type);
  if (info.refused.empty() && info.declaration.dtype == BRIM_INVALID) {
    info.refused = "has TensorFlow's element type " + std::to_string(type) +
                   ", which the protocols cannot carry";
  }
  return info;
}

// One entry of a map from strings to messages.
void ReadEntry(protozero::pbf_reader entry, std::string* key, protozero::pbf_reader* value) {
  while (entry.next()) {
    if (IsBytes(entry, 1)) {
      *key = entry.get_string();
    } else if (IsBytes(entry, 2)) {
      *value = entry.get_message();
    } else {
      entry.skip();
    }
  }
}

void ReadTensorEntry(protozero::pbf_reader entry, std::map<std::string, TensorInfo>* tensors) {
  std::string key;
  protozero::pbf_reader value;
  ReadEntry(entry, &key, &value);
  TensorInfo info = ReadTensorInfo(value);
  info.declaration.name = key;
  (*tensors)[key] = std::move(info);
}

SavedSignature ReadSignature(std::string name, protozero::pbf_reader message) {
  SavedSignature signature;
  signature.declaration.name = std::move(name);
  std::map<std::string, TensorInfo> inputs;
  std::map<std::string, TensorInfo> outputs;
  while (message.next()) {
    if (IsBytes(message, 1)) {
      ReadTensorEntry(message.get_message(), &inputs);
    } else if (IsBytes(message, 2)) {
      ReadTensorEntry(message.get_message(), &outputs);
    } else if (IsBytes(message, 3)) {
      signature.declaration.method_name = message.get_string();
    } else {
      message.skip();
    }
  }
  const auto take = [&signature](std::map<std::string, TensorInfo>& from,
                                 std::vector<TensorDeclaration>* declarations,
                                 std::vector<std::string>* tensors) {
    for (auto& [key, info] : from) {
      if (!info.refused.empty()) signature.refused = "tensor '" + key + "' " + info.refused;
      declarations->push_back(std::move(info.declaration));
      tensors->push_back(std::move(info.tensor));
    }
  };
  take(inputs, &signature.declaration.inputs, &signature.input_tensors);
  take(outputs, &signature.declaration.outputs, &signature.output_tensors);
  return signature;
}

bool HasServeTag(protozero::pbf_reader meta_graph) {
  bool found = false;
  while (meta_graph.next()) {
    if (!IsBytes(meta_graph, 1)) {
      meta_graph.skip();
      continue;
    }
    for (protozero::pbf_reader info = meta_graph.get_message(); info.next();) {
      if (IsBytes(info, 4)) {
        found = found || info.get_string() == "serve";
      } else {
        info.skip();
      }
    }
  }
  return found;
}

void ReadMetaGraph(protozero::pbf_reader meta_graph, std::vector<SavedSignature>* signatures) {
  std::map<std::string, SavedSignature> found;
  while (meta_graph.next()) {
    if (!IsBytes(meta_graph, 5)) {
      meta_graph.skip();
      continue;
    }
    std::string name;
    protozero::pbf_reader body;
    ReadEntry(meta_graph.get_message(), &name, &body);
    if (!std::string_view(name).starts_with(kOwnPrefix)) found[name] = ReadSignature(name, body);
  }
  for (auto& [name, signature] : found) signatures->push_back(std::move(signature));
}

}  // namespace

std::int32_t FromTensorFlowType(int number) {
  switch (number > kReferenceTypes ? number - kReferenceTypes : number) {
    case 1:
      return BRIM_FP32;
    case 2:
      return BRIM_FP64;
    case 3:
      return BRIM_INT32;
    case 4:
      return BRIM_UINT8;
    case 5:
      return BRIM_INT16;
    case 6:
      return BRIM_INT8;
    case 7:
      return BRIM_BYTES;
    case 9:
      return BRIM_INT64;
    case 10:
      return BRIM_BOOL;
    case 14:
      return BRIM_BF16;
    case 17:
      return BRIM_UINT16;
    case 19:
      return BRIM_FP16;
    case 22:
      return BRIM_UINT32;
    case 23:
      return BRIM_UINT64;
    default:
      return BRIM_INVALID;
  }
}

bool ParseMetaGraph(std::string_view bytes, std::vector<SavedSignature>* signatures) {
  try {
    ReadMetaGraph(protozero::pbf_reader(bytes.data(), bytes.size()), signatures);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

brim_code ReadSavedModel(const std::string& directory, std::vector<SavedSignature>* signatures,
                         brim_error* error) {
  const std::string path = directory + "/saved_model.pb";
  std::error_code failed;
  const std::uint64_t size = std::filesystem::file_size(path, failed);
  std::ifstream in(path, std::ios::binary);
  if (failed || !in) return Fail(error, kNotFound, "cannot open " + path);
  if (size > kFileBytesMax) return Fail(error, kInvalidArgument, path + " is larger than 2 GiB");
  std::string bytes(size, '\0');
  if (!in.read(bytes.data(), static_cast<std::streamsize>(size))) {
    return Fail(error, kInvalidArgument, path + " changed while it was read; load it again");
  }
  try {
    bool any = false;
    for (protozero::pbf_reader file(bytes.data(), bytes.size()); file.next();) {
      if (!IsBytes(file, 2)) {
        file.skip();
        continue;
      }
      const protozero::pbf_reader meta_graph = file.get_message();
      any = true;
      if (!HasServeTag(meta_graph)) continue;
      ReadMetaGraph(meta_graph, signatures);
      return kOk;
    }
    return Fail(error, kInvalidArgument,
                any ? path + " has no graph tagged 'serve'; export it for serving"
                    : path + " is not a SavedModel: it holds no graph (is it truncated?)");
  } catch (const std::exception&) {
    signatures->clear();
    return Fail(error, kInvalidArgument, path + " is damaged or truncated; copy it again");
  }
}

bool IsSavedModel(const std::string& directory) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(directory + "/saved_model.pb", ignored);
}

}  // namespace brim::runtimes
