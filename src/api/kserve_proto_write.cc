// Writes KServe v2 inference answers as protobuf.
//
// Sizes are known before writing, so that each answer is one allocation and
// each output tensor is copied once, into its final place.
#include <utility>

#include "api/kserve_proto.h"
#include "api/proto_writer.h"
#include "base/text.h"

namespace brim::api {
namespace {

constexpr std::uint32_t kInferResponse = 2;      // ModelStreamInferResponse.infer_response
constexpr std::uint32_t kRawOutputContents = 6;  // ModelInferResponse.raw_output_contents

void WriteParameter(const KserveParameter& parameter, ProtoWriter* out) {
  const auto entry = out->Begin(4);
  out->Text(1, parameter.key);
  const auto value = out->Begin(2);
  switch (parameter.kind) {
    case KserveParameter::Kind::kBool:
      out->AlwaysUint(1, parameter.boolean ? 1 : 0);
      break;
    case KserveParameter::Kind::kInt:
      out->AlwaysUint(2, static_cast<std::uint64_t>(parameter.integer));
      break;
    case KserveParameter::Kind::kText:
      out->AlwaysText(3, parameter.text);
      break;
    case KserveParameter::Kind::kDouble:
      out->AlwaysDouble(4, parameter.number);
      break;
    case KserveParameter::Kind::kUint:
      out->AlwaysUint(5, parameter.natural);
      break;
  }
  out->End(value);
  out->End(entry);
}

void WriteFinalMark(ProtoWriter* out) {
  KserveParameter mark;
  mark.key = "triton_final_response";
  mark.boolean = true;
  WriteParameter(mark, out);
}

// All of ModelInferResponse but the raw contents.
void WriteHead(const KserveAnswer& answer, bool final_mark, ByteBuffer* out) {
  ProtoWriter writer(out);
  writer.Text(1, answer.model_name);
  writer.Text(2, answer.model_version);
  writer.Text(3, answer.id);
  for (const KserveParameter& parameter : answer.parameters) WriteParameter(parameter, &writer);
  if (final_mark) WriteFinalMark(&writer);
  for (const KserveAnswerTensor& output : answer.outputs) {
    const auto mark = writer.Begin(5);
    writer.Text(1, output.tensor.name);
    writer.Text(2, model::KServeName(output.tensor.dtype));
    writer.PackedInts(3, output.tensor.shape.dims());
    writer.End(mark);
  }
}

std::size_t HeadRoom(const KserveAnswer& answer) {
  return 160 + answer.model_name.size() + answer.id.size() + 96 * answer.outputs.size();
}

std::size_t RawBytes(const KserveAnswer& answer) {
  std::size_t bytes = 0;
  for (const KserveAnswerTensor& output : answer.outputs) {
    const std::size_t size = output.tensor.data.size();
    bytes += 1 + ProtoWriter::VarintBytes(size) + size;
  }
  return bytes;
}

// Clients refuse a protobuf string that is not UTF-8, and an error may quote what a client sent.
std::string ValidUtf8(std::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const std::size_t length = Utf8SequenceLength(text);
    valid.append(length == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return valid;
}

void AppendRaw(const KserveAnswer& answer, ByteBuffer* out) {
  ProtoWriter writer(out);
  // Of a tensor that was put elsewhere an empty entry: clients count one for each output.
  for (const KserveAnswerTensor& output : answer.outputs) {
    writer.LengthPrefix(kRawOutputContents, output.tensor.data.size());
    out->Append(output.tensor.data);
  }
}

}  // namespace

ByteBuffer WriteInferProto(const KserveAnswer& answer, ByteBuffer room) {
  ByteBuffer out = std::move(room);
  out.Reserve(HeadRoom(answer) + RawBytes(answer));
  WriteHead(answer, false, &out);
  AppendRaw(answer, &out);
  return out;
}

ByteBuffer WriteStreamAnswer(const KserveAnswer& answer) {
  ByteBuffer head;
  head.Reserve(HeadRoom(answer));
  WriteHead(answer, true, &head);
  const std::size_t raw = RawBytes(answer);
  ByteBuffer out;
  out.Reserve(16 + head.size() + raw);
  ProtoWriter(&out).LengthPrefix(kInferResponse, head.size() + raw);
  out.Append(head.span());
  AppendRaw(answer, &out);
  return out;
}

ByteBuffer WriteStreamError(std::string_view error, std::string_view id, std::string_view model,
                            std::string_view version) {
  ByteBuffer out;
  ProtoWriter writer(&out);
  writer.AlwaysText(1, ValidUtf8(error));
  const auto mark = writer.Begin(kInferResponse);
  writer.Text(1, ValidUtf8(model));
  writer.Text(2, ValidUtf8(version));
  writer.Text(3, ValidUtf8(id));
  WriteFinalMark(&writer);
  writer.End(mark);
  return out;
}

}  // namespace brim::api
