// The answering half of tfs_json.h.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "api/base64.h"
#include "api/json_text.h"
#include "api/tfs_json.h"

namespace brim::api {
namespace {

using model::DType;

// Lists that hold nothing: a shape like [1000000000, 0] would write gigabytes of brackets.
constexpr std::uint64_t kEmptyListsMax = 1u << 20;

Status WriteError(std::string message) {
  return Status(Code::kInvalidArgument, "json_answer", std::move(message));
}

// Writes one output's values in order, as nested lists.
class ValueWriter {
 public:
  ValueWriter(const model::TensorView& tensor, ByteBuffer* out)
      : tensor_(tensor),
        out_(*out),
        at_(tensor.data.data()),
        strings_(tensor.data),
        base64_(tensor.dtype == DType::kBytes && tensor.name.ends_with("_bytes")) {}

  Status Check() const {
    switch (tensor_.dtype) {
      case DType::kFp16:
      case DType::kBf16:
      case DType::kUint16:
      case DType::kInvalid:
        return WriteError(fmt::format("Failed to write JSON value for tensor type: {}",
                                      TfsTypeWord(tensor_.dtype)));
      default:
        break;
    }
    std::uint64_t lists = 1;
    for (const std::int64_t dim : tensor_.shape.dims()) {
      if (dim == 0) return OkStatus();
      lists *= static_cast<std::uint64_t>(dim);
      if (lists > kEmptyListsMax && tensor_.data.empty()) {
        return WriteError(fmt::format("output {} of shape {} is too large to write", tensor_.name,
                                      tensor_.shape.ToString()));
      }
    }
    return OkStatus();
  }

  // The next sub-tensor, whose first dimension is shape[axis]; a bare value past the last.
  void Write(std::size_t axis) {
    const std::size_t rank = tensor_.shape.rank();
    if (axis >= rank) return WriteValues(1);
    const std::int64_t size = tensor_.shape[axis];
    out_.PushBack('[');
    if (axis + 1 == rank) {
      WriteValues(size);
    } else {
      for (std::int64_t i = 0; i < size; ++i) {
        if (i != 0) out_.PushBack(',');
        Write(axis + 1);
      }
    }
    out_.PushBack(']');
  }

 private:
  void WriteValues(std::int64_t n) {
    switch (tensor_.dtype) {
      case DType::kFp32:
        return WriteNumbers<float>(n);
      case DType::kFp64:
        return WriteNumbers<double>(n);
      case DType::kInt8:
        return WriteNumbers<std::int8_t>(n);
      case DType::kInt16:
        return WriteNumbers<std::int16_t>(n);
      case DType::kInt32:
        return WriteNumbers<std::int32_t>(n);
      case DType::kInt64:
        return WriteNumbers<std::int64_t>(n);
      case DType::kUint8:
        return WriteNumbers<std::uint8_t>(n);
      case DType::kUint32:
        return WriteNumbers<std::uint32_t>(n);
      case DType::kUint64:
        return WriteNumbers<std::uint64_t>(n);
      case DType::kBool:
        return WriteBools(n);
      case DType::kBytes:
        return WriteStrings(n);
      default:
        return;  // Check() refused them.
    }
  }

  template <typename T>
  void WriteNumbers(std::int64_t n) {
    constexpr std::int64_t kAtOnce = 256;  // Room is claimed for so many at a time.
    for (std::int64_t i = 0; i < n;) {
      const std::int64_t count = std::min(kAtOnce, n - i);
      const std::size_t start = out_.size();
      auto* const begin = reinterpret_cast<char*>(
          out_.Extend(static_cast<std::size_t>(count) * (kNumberTextMax + 1)));
      char* to = begin;
      for (std::int64_t k = 0; k < count; ++k, ++i) {
        if (i != 0) *to++ = ',';
        to = WriteNumber(to, LoadLittle<T>(at_));
        at_ += sizeof(T);
      }
      out_.Truncate(start + static_cast<std::size_t>(to - begin));
    }
  }

  void WriteBools(std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      if (i != 0) out_.PushBack(',');
      out_.Append(std::string_view(*at_++ != std::byte{0} ? "true" : "false"));
    }
  }

  void WriteStrings(std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      std::string_view text;
      if (i != 0) out_.PushBack(',');
      strings_.Next(&text);
      if (base64_) {
        out_.Append(std::string_view("{\"b64\":\""));
        out_.Append(EncodeBase64(text));
        out_.Append(std::string_view("\"}"));
      } else {
        AppendQuoted(&out_, text);
      }
    }
  }

  const model::TensorView& tensor_;
  ByteBuffer& out_;
  const std::byte* at_;
  model::StringElements strings_;
  const bool base64_;
};

Status WriteRows(std::span<const model::TensorView> outputs, ByteBuffer* out) {
  const std::int64_t rows = outputs[0].shape.rank() == 0 ? 0 : outputs[0].shape[0];
  std::vector<ValueWriter> writers;
  writers.reserve(outputs.size());
  for (const model::TensorView& output : outputs) {
    if (output.shape.rank() == 0) {
      return WriteError(fmt::format("Tensor name: {} has no shape information ", output.name));
    }
    if (output.shape[0] != rows) {
      return WriteError(fmt::format("Tensor name: {} has inconsistent batch size: {} expecting: {}",
                                    output.name, output.shape[0], rows));
    }
    BRIM_RETURN_IF_ERROR(writers.emplace_back(output, out).Check());
  }
  out->Append(std::string_view("{\"predictions\":["));
  for (std::int64_t row = 0; row < rows; ++row) {
    if (row != 0) out->PushBack(',');
    if (outputs.size() > 1) out->PushBack('{');
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (i != 0) out->PushBack(',');
      if (outputs.size() > 1) {
        AppendQuoted(out, outputs[i].name);
        out->PushBack(':');
      }
      writers[i].Write(1);
    }
    if (outputs.size() > 1) out->PushBack('}');
  }
  out->Append(std::string_view("]}"));
  return OkStatus();
}

Status WriteColumns(std::span<const model::TensorView> outputs, ByteBuffer* out) {
  out->Append(std::string_view("{\"outputs\":"));
  if (outputs.size() > 1) out->PushBack('{');
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (i != 0) out->PushBack(',');
    if (outputs.size() > 1) {
      AppendQuoted(out, outputs[i].name);
      out->PushBack(':');
    }
    ValueWriter writer(outputs[i], out);
    BRIM_RETURN_IF_ERROR(writer.Check());
    writer.Write(0);
  }
  if (outputs.size() > 1) out->PushBack('}');
  out->PushBack('}');
  return OkStatus();
}

}  // namespace

Status WritePredictions(TfsFormat format, std::span<const model::TensorView> outputs,
                        ByteBuffer* out) {
  if (outputs.empty()) return WriteError("Cannot convert empty tensor map to JSON");
  std::size_t bytes = 64;
  for (const model::TensorView& output : outputs) bytes += output.data.size() * 2;
  out->Reserve(bytes);
  return format == TfsFormat::kRow ? WriteRows(outputs, out) : WriteColumns(outputs, out);
}

void WriteClassifications(const model::TensorView* labels, const model::TensorView* scores,
                          ByteBuffer* out) {
  const model::Shape& shape = labels != nullptr ? labels->shape : scores->shape;
  model::StringElements words(labels != nullptr ? labels->data : std::span<const std::byte>());
  const std::byte* score = scores != nullptr ? scores->data.data() : nullptr;
  out->Append(std::string_view("{\"results\":["));
  for (std::int64_t example = 0; example < shape[0]; ++example) {
    out->Append(std::string_view(example != 0 ? ",[" : "["));
    for (std::int64_t c = 0; c < shape[1]; ++c) {
      std::string_view label;
      if (labels != nullptr) words.Next(&label);
      out->Append(std::string_view(c != 0 ? ",[" : "["));
      AppendQuoted(out, label);
      out->PushBack(',');
      AppendNumber(out, score != nullptr ? LoadLittle<float>(score) : 0.0F);
      if (score != nullptr) score += sizeof(float);
      out->PushBack(']');
    }
    out->PushBack(']');
  }
  out->Append(std::string_view("]}"));
}

void WriteRegressions(const model::TensorView& values, ByteBuffer* out) {
  out->Append(std::string_view("{\"results\":["));
  for (std::size_t at = 0; at < values.data.size(); at += sizeof(float)) {
    if (at != 0) out->PushBack(',');
    AppendNumber(out, LoadLittle<float>(values.data.data() + at));
  }
  out->Append(std::string_view("]}"));
}

std::string_view TfsTypeWord(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return "bool";
    case DType::kUint8:
      return "uint8";
    case DType::kUint16:
      return "uint16";
    case DType::kUint32:
      return "uint32";
    case DType::kUint64:
      return "uint64";
    case DType::kInt8:
      return "int8";
    case DType::kInt16:
      return "int16";
    case DType::kInt32:
      return "int32";
    case DType::kInt64:
      return "int64";
    case DType::kFp16:
      return "half";
    case DType::kFp32:
      return "float";
    case DType::kFp64:
      return "double";
    case DType::kBytes:
      return "string";
    case DType::kBf16:
      return "bfloat16";
    case DType::kInvalid:
      break;
  }
  return "INVALID";
}

}  // namespace brim::api
