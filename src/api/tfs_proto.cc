// See tfs_proto.h. protozero throws on bytes that are no protobuf: every read is inside
// ReadGuarded().
#include "api/tfs_proto.h"

#include <fmt/format.h>

#include <protozero/pbf_reader.hpp>
#include <unordered_map>

#include "api/proto_writer.h"
#include "api/tfs_tensor_proto.h"

namespace brim::api {
namespace {

using protozero::data_view;
using protozero::pbf_reader;
using protozero::pbf_wire_type;

Status BadMessage(std::string_view why) {
  return Status(Code::kInvalidArgument, "bad_protobuf",
                fmt::format("the request is not the expected protobuf: {}", why));
}

template <typename F>
Status ReadGuarded(F read) {
  try {
    return read();
  } catch (const protozero::exception& error) {
    return BadMessage(error.what());
  }
}

std::string_view View(data_view view) { return {view.data(), view.size()}; }

pbf_reader Reader(std::span<const std::byte> message) {
  return pbf_reader(reinterpret_cast<const char*>(message.data()), message.size());
}

constexpr std::uint32_t Tag(std::uint32_t field, pbf_wire_type type) {
  return protozero::tag_and_type(field, type);
}
constexpr pbf_wire_type kDelimited = pbf_wire_type::length_delimited;

// A message field that occurs again is merged into what is there, as protobuf says.
void ReadSpec(pbf_reader reader, TfsModelSpec* spec) {
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Tag(1, kDelimited):
        spec->name = View(reader.get_view());
        break;
      case Tag(2, kDelimited): {
        pbf_reader wrapper = reader.get_message();
        std::int64_t version = 0;
        while (wrapper.next(1, pbf_wire_type::varint)) version = wrapper.get_int64();
        spec->version = version;
        spec->label = {};
        break;
      }
      case Tag(3, kDelimited):
        spec->signature_name = View(reader.get_view());
        break;
      case Tag(4, kDelimited):
        spec->label = View(reader.get_view());
        spec->version.reset();
        break;
      default:
        reader.skip();
    }
  }
}

TfsNamedTensor ReadNamedTensor(pbf_reader entry) {
  TfsNamedTensor tensor;
  while (entry.next()) {
    switch (entry.tag_and_type()) {
      case Tag(1, kDelimited):
        tensor.name = View(entry.get_view());
        break;
      case Tag(2, kDelimited):
        tensor.proto = View(entry.get_view());
        break;
      default:
        entry.skip();
    }
  }
  return tensor;
}

// Keeps the last entry of each key.
class LastOfEach {
 public:
  explicit LastOfEach(std::vector<TfsNamedTensor>* inputs) : inputs_(*inputs) {}
  void Add(const TfsNamedTensor& tensor) {
    const auto [at, added] = index_.emplace(tensor.name, inputs_.size());
    if (added) {
      inputs_.push_back(tensor);
    } else {
      inputs_[at->second] = tensor;
    }
  }

 private:
  std::vector<TfsNamedTensor>& inputs_;
  std::unordered_map<std::string_view, std::size_t> index_;
};

Status TooMany(std::string_view what, std::uint32_t limit) {
  return Status(Code::kInvalidArgument, "too_many_tensors",
                fmt::format("more than {} {} in one request", limit, what));
}

Status ReadPredict(pbf_reader reader, const TfsProtoLimits& limits, TfsPredictMessage* parsed) {
  LastOfEach inputs(&parsed->inputs);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Tag(1, kDelimited):
        if (!parsed->spec) parsed->spec.emplace();
        ReadSpec(reader.get_message(), &*parsed->spec);
        break;
      case Tag(2, kDelimited):
        inputs.Add(ReadNamedTensor(reader.get_message()));
        if (parsed->inputs.size() > limits.tensors_max)
          return TooMany("inputs", limits.tensors_max);
        break;
      case Tag(3, kDelimited):
        parsed->output_filter.push_back(View(reader.get_view()));
        if (parsed->output_filter.size() > limits.tensors_max) {
          return TooMany("names in output_filter", limits.tensors_max);
        }
        break;
      default:
        reader.skip();
    }
  }
  return OkStatus();
}

Status ReadSpecMessage(pbf_reader reader, const TfsProtoLimits& limits, TfsSpecMessage* parsed) {
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Tag(1, kDelimited):
        if (!parsed->spec) parsed->spec.emplace();
        ReadSpec(reader.get_message(), &*parsed->spec);
        break;
      case Tag(2, kDelimited):
        // metadata_field or input, whichever message it is; the callers know.
        parsed->input = View(reader.get_view());
        parsed->metadata_fields.push_back(parsed->input);
        if (parsed->metadata_fields.size() > limits.tensors_max)
          return TooMany("fields", limits.tensors_max);
        break;
      default:
        reader.skip();
    }
  }
  return OkStatus();
}

struct ExampleList {
  std::vector<std::string_view> examples;
  std::string_view context;
};

// Input is one of ExampleList example_list = 1 and ExampleListWithContext example_list_with_context
// = 2.
void ReadInput(pbf_reader reader, ExampleList* list) {
  while (reader.next()) {
    const std::uint32_t kind = reader.tag_and_type();
    if (kind != Tag(1, kDelimited) && kind != Tag(2, kDelimited)) {
      reader.skip();
      continue;
    }
    *list = ExampleList();  // The last of a oneof counts.
    pbf_reader inside = reader.get_message();
    while (inside.next()) {
      if (inside.tag_and_type() == Tag(1, kDelimited)) {
        list->examples.push_back(View(inside.get_view()));
      } else if (kind == Tag(2, kDelimited) && inside.tag_and_type() == Tag(2, kDelimited)) {
        list->context = View(inside.get_view());
      } else {
        inside.skip();
      }
    }
  }
}

void WriteSpec(ProtoWriter* writer, std::uint32_t field, const TfsAnswerSpec& spec) {
  const auto mark = writer->Begin(field);
  writer->Text(1, spec.model);
  const auto version = writer->Begin(2);
  writer->Int(1, spec.version);
  writer->End(version);
  writer->Text(3, spec.signature_name);
  writer->End(mark);
}

void WriteTensorInfo(ProtoWriter* writer, std::uint32_t field, const model::TensorSpec& tensor) {
  const auto entry = writer->Begin(field);
  writer->AlwaysText(1, tensor.name);
  const auto info = writer->Begin(2);
  writer->Text(1, tensor.name);
  writer->Uint(2, static_cast<std::uint64_t>(model::TensorFlowNumber(tensor.dtype)));
  const auto shape = writer->Begin(3);
  if (tensor.rank_known) {
    for (const std::int64_t size : tensor.shape.dims()) {
      const auto dim = writer->Begin(2);
      writer->Int(1, size);
      writer->End(dim);
    }
  } else {
    writer->Bool(3, true);
  }
  writer->End(shape);
  writer->End(info);
  writer->End(entry);
}

}  // namespace

Status ParsePredict(std::span<const std::byte> message, const TfsProtoLimits& limits,
                    TfsPredictMessage* parsed) {
  return ReadGuarded([&] { return ReadPredict(Reader(message), limits, parsed); });
}

Status ParseSpec(std::span<const std::byte> message, const TfsProtoLimits& limits,
                 TfsSpecMessage* parsed) {
  return ReadGuarded([&] { return ReadSpecMessage(Reader(message), limits, parsed); });
}

Status DecodeExamples(std::string_view input, std::string_view input_name,
                      const TfsProtoLimits& limits, OwnedTensors* tensors) {
  ExampleList list;
  BRIM_RETURN_IF_ERROR(ReadGuarded([&] {
    ReadInput(pbf_reader(input.data(), input.size()), &list);
    return OkStatus();
  }));
  if (list.examples.empty())
    return Status(Code::kInvalidArgument, "no_examples", "Input is empty.");
  std::uint64_t bytes = list.examples.size() * (4 + list.context.size());
  for (const std::string_view example : list.examples) bytes += example.size();
  if (bytes > limits.decoded_bytes_max) {
    return Status(Code::kInvalidArgument, "examples_too_large",
                  fmt::format("the examples with their context take {} bytes, more than {}", bytes,
                              limits.decoded_bytes_max));
  }
  ByteBuffer& out = tensors->storage.emplace_back();
  out.Reserve(bytes);
  for (const std::string_view example : list.examples) {
    // Messages joined end to end are merged when read: the example's features are added to the
    // context's.
    StoreLittle(out.Extend(4), static_cast<std::uint32_t>(list.context.size() + example.size()));
    out.Append(list.context);
    out.Append(example);
  }
  tensors->views.push_back({input_name, model::DType::kBytes,
                            model::Shape{static_cast<std::int64_t>(list.examples.size())},
                            out.span()});
  return OkStatus();
}

Status DecodeInputs(const std::vector<TfsNamedTensor>& inputs, const TfsProtoLimits& limits,
                    OwnedTensors* tensors) {
  std::uint64_t budget = limits.decoded_bytes_max;
  tensors->views.reserve(inputs.size());
  for (const TfsNamedTensor& input : inputs) {
    BRIM_RETURN_IF_ERROR(DecodeTensorProto(input.name, input.proto, &budget, tensors));
  }
  return OkStatus();
}

void WriteClassificationResponse(const TfsAnswerSpec& spec, const model::TensorView* labels,
                                 const model::TensorView* scores, ByteBuffer* out) {
  const model::Shape& shape = labels != nullptr ? labels->shape : scores->shape;
  model::StringElements words(labels != nullptr ? labels->data : std::span<const std::byte>());
  const std::byte* score = scores != nullptr ? scores->data.data() : nullptr;
  ProtoWriter writer(out);
  const auto result = writer.Begin(1);
  for (std::int64_t example = 0; example < shape[0]; ++example) {
    const auto classifications = writer.Begin(1);
    for (std::int64_t c = 0; c < shape[1]; ++c) {
      const auto one = writer.Begin(1);
      std::string_view label;
      if (labels != nullptr) words.Next(&label);
      writer.Text(1, label);
      if (score != nullptr) {
        writer.AlwaysFloat(2, LoadLittle<float>(score));
        score += sizeof(float);
      }
      writer.End(one);
    }
    writer.End(classifications);
  }
  writer.End(result);
  WriteSpec(&writer, 2, spec);
}

void WriteRegressionResponse(const TfsAnswerSpec& spec, const model::TensorView& values,
                             ByteBuffer* out) {
  ProtoWriter writer(out);
  const auto result = writer.Begin(1);
  for (std::size_t at = 0; at < values.data.size(); at += sizeof(float)) {
    const auto one = writer.Begin(1);
    writer.AlwaysFloat(1, LoadLittle<float>(values.data.data() + at));
    writer.End(one);
  }
  writer.End(result);
  WriteSpec(&writer, 2, spec);
}

void WriteMetadataResponse(const TfsAnswerSpec& spec, std::span<const model::Signature> signatures,
                           ByteBuffer* out) {
  ProtoWriter writer(out);
  WriteSpec(&writer, 1, spec);
  const auto entry = writer.Begin(2);
  writer.Text(1, "signature_def");
  const auto any = writer.Begin(2);
  writer.Text(1, "type.googleapis.com/tensorflow.serving.SignatureDefMap");
  const auto map = writer.Begin(2);
  for (const model::Signature& signature : signatures) {
    const auto named = writer.Begin(1);
    writer.AlwaysText(1, signature.name);
    const auto definition = writer.Begin(2);
    for (const model::TensorSpec& tensor : signature.inputs) WriteTensorInfo(&writer, 1, tensor);
    for (const model::TensorSpec& tensor : signature.outputs) WriteTensorInfo(&writer, 2, tensor);
    writer.Text(3, signature.method_name);
    writer.End(definition);
    writer.End(named);
  }
  writer.End(map);
  writer.End(any);
  writer.End(entry);
}

void WriteStatusResponse(std::span<const TfsVersionStatus> versions, ByteBuffer* out) {
  ProtoWriter writer(out);
  for (const TfsVersionStatus& version : versions) {
    const auto entry = writer.Begin(1);
    writer.Int(1, version.version);
    writer.Int(2, version.state);
    const auto status = writer.Begin(3);
    writer.Uint(1, static_cast<std::uint64_t>(version.status.code()));
    if (!version.status.ok()) writer.Text(2, version.status.message());
    writer.End(status);
    writer.End(entry);
  }
}

void WritePredictResponse(const TfsAnswerSpec& spec, std::span<const model::TensorView> outputs,
                          ByteBuffer* out) {
  std::size_t bytes = 128 + spec.model.size() + spec.signature_name.size();
  for (const model::TensorView& output : outputs)
    bytes += output.data.size() + output.name.size() + 64;
  out->Reserve(bytes);
  for (const model::TensorView& output : outputs) WriteNamedTensor(output, out);
  ProtoWriter writer(out);
  WriteSpec(&writer, 2, spec);
}

}  // namespace brim::api
