// See tfs_tensor_proto.h.
//
// Field numbers of TensorProto: dtype 1, tensor_shape 2 {dim 2 {size 1}, unknown_rank 3},
// tensor_content 4, and the typed lists float_val 5, double_val 6, int_val 7 (int32, int16, int8,
// uint8, uint16), string_val 8, int64_val 10, bool_val 11, half_val 13 (half, bfloat16: 16 bits in
// an int32), uint32_val 16, uint64_val 17.
#include "api/tfs_tensor_proto.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <protozero/pbf_reader.hpp>
#include <vector>

#include "api/proto_writer.h"

namespace brim::api {
namespace {

using model::DType;
using protozero::pbf_reader;
using protozero::pbf_wire_type;

constexpr std::uint32_t kShape = 2, kContent = 4, kFloat = 5, kDouble = 6, kInt = 7, kString = 8,
                        kInt64 = 10, kBool = 11, kHalf = 13, kUint32 = 16, kUint64 = 17;

// The typed list of a dtype; 0: none.
std::uint32_t ListField(DType dtype) {
  switch (dtype) {
    case DType::kFp32:
      return kFloat;
    case DType::kFp64:
      return kDouble;
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32:
    case DType::kUint8:
    case DType::kUint16:
      return kInt;
    case DType::kBytes:
      return kString;
    case DType::kInt64:
      return kInt64;
    case DType::kBool:
      return kBool;
    case DType::kFp16:
    case DType::kBf16:
      return kHalf;
    case DType::kUint32:
      return kUint32;
    case DType::kUint64:
      return kUint64;
    case DType::kInvalid:
      break;
  }
  return 0;
}

std::string_view View(protozero::data_view view) { return {view.data(), view.size()}; }

// What a first reading finds; the lists stay as they are until the dtype is known.
struct Parts {
  int dtype = 0;
  model::Shape shape;
  bool unknown_rank = false;
  bool too_deep = false;
  std::string_view content;
};

void ReadShape(pbf_reader reader, Parts* parts) {
  while (reader.next()) {
    if (reader.tag() == 2 && reader.wire_type() == pbf_wire_type::length_delimited) {
      pbf_reader dim = reader.get_message();
      std::int64_t size = 0;
      while (dim.next()) {
        if (dim.tag() == 1 && dim.wire_type() == pbf_wire_type::varint) {
          size = dim.get_int64();
        } else {
          dim.skip();
        }
      }
      if (!parts->shape.Append(size)) parts->too_deep = true;
    } else if (reader.tag() == 3 && reader.wire_type() == pbf_wire_type::varint) {
      parts->unknown_rank = reader.get_uint64() != 0;  // get_bool() may read past the end.
    } else {
      reader.skip();
    }
  }
}

Parts ReadParts(std::string_view proto) {
  Parts parts;
  pbf_reader reader(proto.data(), proto.size());
  while (reader.next()) {
    const pbf_wire_type type = reader.wire_type();
    if (reader.tag() == 1 && type == pbf_wire_type::varint) {
      parts.dtype = reader.get_enum();
    } else if (reader.tag() == kShape && type == pbf_wire_type::length_delimited) {
      ReadShape(reader.get_message(), &parts);
    } else if (reader.tag() == kContent && type == pbf_wire_type::length_delimited) {
      parts.content = View(reader.get_view());
    } else {
      reader.skip();
    }
  }
  return parts;
}

// Calls once(reader) for each single value of a list field, and packed(bytes) for each packed run.
template <typename Once, typename Packed>
void ForList(std::string_view proto, std::uint32_t field, Once once, Packed packed) {
  pbf_reader reader(proto.data(), proto.size());
  while (reader.next()) {
    if (reader.tag() != field) {
      reader.skip();
    } else if (reader.wire_type() == pbf_wire_type::length_delimited) {
      packed(View(reader.get_view()));
    } else {
      once(reader);
    }
  }
}

class Decoder {
 public:
  Decoder(std::string_view name, std::string_view proto, std::uint64_t* budget,
          OwnedTensors* tensors)
      : name_(name), proto_(proto), budget_(*budget), tensors_(*tensors) {}

  Status Decode() {
    const Parts parts = ReadParts(proto_);
    if (parts.too_deep) return Error(fmt::format("more than {} dimensions", model::kRankMax));
    if (parts.unknown_rank) return Error("its shape says unknown_rank; a value has a shape");
    const std::optional<DType> dtype = model::FromTensorFlowNumber(parts.dtype);
    if (!dtype || ListField(*dtype) == 0)
      return Error(fmt::format("dtype {} is not supported", parts.dtype));
    const std::optional<std::uint64_t> count = parts.shape.Elements();
    if (!count) return Error(fmt::format("shape {} is not one of a value", parts.shape.ToString()));
    view_ = {name_, *dtype, parts.shape, {}};
    count_ = *count;
    if (*dtype == DType::kBytes) {
      BRIM_RETURN_IF_ERROR(parts.content.empty() ? DecodeStrings()
                                                 : DecodeStringContent(parts.content));
    } else if (!parts.content.empty()) {
      BRIM_RETURN_IF_ERROR(TakeContent(parts.content));
    } else {
      BRIM_RETURN_IF_ERROR(DecodeNumbers());
    }
    tensors_.views.push_back(view_);
    return OkStatus();
  }

 private:
  Status Error(std::string_view why) const {
    return Status(Code::kInvalidArgument, "bad_tensor_proto",
                  fmt::format("tensor parsing error: {}: {}", name_, why));
  }

  Status TooLarge() const {
    return Status(
        Code::kResourceExhausted, "tensors_too_large",
        fmt::format(
            "tensor parsing error: {}: shape {} needs more memory than is left of this request's "
            "bound for decoding",
            name_, view_.shape.ToString()));
  }

  // A buffer of count * size bytes, if the budget has them.
  Status Claim(std::uint64_t count, std::uint64_t size, ByteBuffer** out) {
    // Divided, not multiplied: the count is the client's and may be near 2^62.
    if (count > budget_ / size) return TooLarge();
    budget_ -= count * size;
    *out = &tensors_.storage.emplace_back();
    (*out)->Reserve(count * size);
    return OkStatus();
  }

  Status TakeContent(std::string_view content) {
    const std::optional<std::uint64_t> bytes = model::DenseBytes(view_.dtype, view_.shape);
    if (!bytes || *bytes != content.size()) {
      return Error(fmt::format("tensor_content has {} bytes; shape {} of {} needs {}",
                               content.size(), view_.shape.ToString(),
                               model::TensorFlowName(view_.dtype), bytes.value_or(0)));
    }
    view_.data = std::as_bytes(std::span(content.data(), content.size()));
    return OkStatus();
  }

  Status DecodeNumbers() {
    switch (view_.dtype) {
      case DType::kFp32:
        return DecodeFixed<float>(kFloat, pbf_wire_type::fixed32);
      case DType::kFp64:
        return DecodeFixed<double>(kDouble, pbf_wire_type::fixed64);
      case DType::kInt8:
        return DecodeVarints<std::int8_t>(kInt);
      case DType::kInt16:
        return DecodeVarints<std::int16_t>(kInt);
      case DType::kInt32:
        return DecodeVarints<std::int32_t>(kInt);
      case DType::kUint8:
        return DecodeVarints<std::uint8_t>(kInt);
      case DType::kUint16:
        return DecodeVarints<std::uint16_t>(kInt);
      case DType::kInt64:
        return DecodeVarints<std::int64_t>(kInt64);
      case DType::kUint32:
        return DecodeVarints<std::uint32_t>(kUint32);
      case DType::kUint64:
        return DecodeVarints<std::uint64_t>(kUint64);
      case DType::kFp16:
      case DType::kBf16:
        return DecodeVarints<std::uint16_t>(kHalf);
      case DType::kBool:
        return DecodeVarints<std::uint8_t>(kBool);
      default:
        return Error("its dtype has no list of values");
    }
  }

  template <typename T>
  Status DecodeFixed(std::uint32_t field, pbf_wire_type single) {
    std::uint64_t values = 0;
    std::uint32_t runs = 0;
    bool bad = false;
    std::string_view run;
    ForList(
        proto_, field,
        [&](pbf_reader& reader) {
          bad |= reader.wire_type() != single;
          reader.skip();
          runs += 2;  // Not in one piece.
          ++values;
        },
        [&](std::string_view packed) {
          bad |= packed.size() % sizeof(T) != 0;
          run = packed;
          ++runs;
          values += packed.size() / sizeof(T);
        });
    if (bad) return Error("a list of values of the wrong wire type");
    if (runs == 1 && values >= count_) {
      view_.data = std::as_bytes(std::span(run.data(), count_ * sizeof(T)));
      return OkStatus();
    }
    ByteBuffer* out = nullptr;
    BRIM_RETURN_IF_ERROR(Claim(count_, sizeof(T), &out));
    ForList(
        proto_, field,
        [&](pbf_reader& reader) {
          if constexpr (std::is_same_v<T, float>) {
            AppendValue<T>(out, reader.get_float());
          } else {
            AppendValue<T>(out, reader.get_double());
          }
        },
        [&](std::string_view packed) {
          out->Append(packed.substr(0, count_ * sizeof(T) - out->size()));
        });
    return Repeat<T>(out);
  }

  template <typename T>
  Status DecodeVarints(std::uint32_t field) {
    ByteBuffer* out = nullptr;
    BRIM_RETURN_IF_ERROR(Claim(count_, sizeof(T), &out));
    bool bad = false;
    ForList(
        proto_, field,
        [&](pbf_reader& reader) {
          if (reader.wire_type() == pbf_wire_type::varint) {
            AppendVarint<T>(out, reader.get_uint64());
          } else {
            bad = true;
            reader.skip();
          }
        },
        [&](std::string_view packed) {
          const char* at = packed.data();
          const char* const end = at + packed.size();
          while (at != end) AppendVarint<T>(out, protozero::decode_varint(&at, end));
        });
    if (bad) return Error("a list of values of the wrong wire type");
    return Repeat<T>(out);
  }

  template <typename T>
  void AppendVarint(ByteBuffer* out, std::uint64_t value) {
    // TensorFlow cuts int_val to the narrow types as well.
    AppendValue<T>(
        out, view_.dtype == DType::kBool ? static_cast<T>(value != 0) : static_cast<T>(value));
  }

  template <typename T>
  void AppendValue(ByteBuffer* out, T value) {
    if (out->size() < count_ * sizeof(T)) StoreLittle(out->Extend(sizeof(T)), value);
  }

  // Fills up with the last value, or with zeros when there is none.
  template <typename T>
  Status Repeat(ByteBuffer* out) {
    const std::size_t have = out->size() / sizeof(T);
    const T last = have == 0 ? T{} : LoadLittle<T>(out->data() + (have - 1) * sizeof(T));
    for (std::size_t i = have; i < count_; ++i) StoreLittle(out->Extend(sizeof(T)), last);
    view_.data = out->span();
    return OkStatus();
  }

  Status DecodeStrings() {
    std::uint64_t bytes = 0, have = 0;
    std::string_view last;
    bool bad = false;
    ForList(
        proto_, kString,
        [&](pbf_reader& reader) {
          bad = true;
          reader.skip();
        },
        [&](std::string_view text) {
          if (have < count_) {
            ++have;
            bytes += text.size();
            last = text;
          }
        });
    if (bad) return Error("a list of values of the wrong wire type");
    if (count_ - have > budget_ / (4 + last.size())) return TooLarge();
    bytes += 4 * count_ + (count_ - have) * last.size();
    ByteBuffer* out = nullptr;
    BRIM_RETURN_IF_ERROR(Claim(bytes, 1, &out));
    std::uint64_t done = 0;
    ForList(
        proto_, kString, [](pbf_reader& reader) { reader.skip(); },
        [&](std::string_view text) {
          if (done < count_) AppendString(out, text);
          ++done;
        });
    for (; done < count_; ++done) AppendString(out, last);
    view_.data = out->span();
    return OkStatus();
  }

  // Strings in tensor_content: the varint lengths of all, then the bytes of all
  // (tensorflow/core/lib/strings/coding).
  Status DecodeStringContent(std::string_view content) {
    const char* at = content.data();
    const char* const end = at + content.size();
    if (count_ > content.size()) return Error("tensor_content is too short for its shape");
    std::vector<std::uint64_t> lengths;
    lengths.reserve(count_);
    std::uint64_t bytes = 0;
    for (std::uint64_t i = 0; i < count_; ++i) {
      if (at == end) return Error("tensor_content is too short for its shape");
      lengths.push_back(protozero::decode_varint(&at, end));
      if (lengths.back() > content.size())
        return Error("a string of tensor_content is longer than that");
      bytes += lengths.back();
    }
    if (bytes != static_cast<std::uint64_t>(end - at)) {
      return Error(fmt::format("the strings of tensor_content take {} bytes, but {} are there",
                               bytes, end - at));
    }
    ByteBuffer* out = nullptr;
    BRIM_RETURN_IF_ERROR(Claim(bytes + 4 * count_, 1, &out));
    for (const std::uint64_t length : lengths) {
      AppendString(out, {at, length});
      at += length;
    }
    view_.data = out->span();
    return OkStatus();
  }

  static void AppendString(ByteBuffer* out, std::string_view text) {
    StoreLittle(out->Extend(4), static_cast<std::uint32_t>(text.size()));
    out->Append(text);
  }

  const std::string_view name_;
  const std::string_view proto_;
  std::uint64_t& budget_;
  OwnedTensors& tensors_;
  model::TensorView view_;
  std::uint64_t count_ = 0;
};

std::size_t EncodeVarint(std::uint64_t value, std::byte* at) {
  std::size_t n = 0;
  for (; value >= 0x80; value >>= 7) at[n++] = static_cast<std::byte>(value | 0x80);
  at[n++] = static_cast<std::byte>(value);
  return n;
}

// Signed values are sign-extended to 64 bits, as protobuf writes int32 and int64.
template <typename T>
std::uint64_t Widened(T value) {
  return std::is_signed_v<T> ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value))
                             : static_cast<std::uint64_t>(value);
}

template <typename T>
std::uint64_t VarintsBytes(std::span<const std::byte> data) {
  std::uint64_t bytes = 0;
  for (std::size_t at = 0; at < data.size(); at += sizeof(T)) {
    bytes += ProtoWriter::VarintBytes(Widened(LoadLittle<T>(data.data() + at)));
  }
  return bytes;
}

template <typename T>
void AppendVarints(std::span<const std::byte> data, std::uint64_t bytes, ByteBuffer* out) {
  std::byte* to = out->Extend(bytes);
  for (std::size_t at = 0; at < data.size(); at += sizeof(T)) {
    to += EncodeVarint(Widened(LoadLittle<T>(data.data() + at)), to);
  }
}

// Calls f with a value of the integer type whose varints carry the dtype.
template <typename F>
void ForVarint(DType dtype, F f) {
  switch (dtype) {
    case DType::kInt8:
      return f(std::int8_t{});
    case DType::kInt16:
      return f(std::int16_t{});
    case DType::kInt32:
      return f(std::int32_t{});
    case DType::kInt64:
      return f(std::int64_t{});
    case DType::kUint8:
      return f(std::uint8_t{});
    case DType::kUint16:
    case DType::kFp16:
    case DType::kBf16:
      return f(std::uint16_t{});
    case DType::kUint32:
      return f(std::uint32_t{});
    case DType::kUint64:
      return f(std::uint64_t{});
    default:
      return;
  }
}

// Bytes of the packed list's payload, without tag and length. Not for strings.
std::uint64_t PackedBytes(const model::TensorView& tensor) {
  // Packed floats are their bytes, and a truth value is one byte of 0 or 1.
  std::uint64_t bytes = tensor.data.size();
  ForVarint(tensor.dtype, [&](auto type) { bytes = VarintsBytes<decltype(type)>(tensor.data); });
  return bytes;
}

void AppendPacked(const model::TensorView& tensor, std::uint64_t bytes, ByteBuffer* out) {
  if (tensor.dtype == DType::kBool) {
    for (const std::byte value : tensor.data) out->PushBack(value != std::byte{0} ? '\1' : '\0');
  } else if (tensor.dtype == DType::kFp32 || tensor.dtype == DType::kFp64) {
    out->Append(tensor.data);
  } else {
    ForVarint(tensor.dtype,
              [&](auto type) { AppendVarints<decltype(type)>(tensor.data, bytes, out); });
  }
}

std::uint64_t FieldBytes(std::uint32_t field, std::uint64_t payload) {
  return ProtoWriter::VarintBytes(field << 3) + ProtoWriter::VarintBytes(payload) + payload;
}

std::uint64_t StringsBytes(std::span<const std::byte> data) {
  std::uint64_t bytes = 0;
  model::StringElements elements(data);
  std::string_view element;
  while (elements.Next(&element)) bytes += FieldBytes(kString, element.size());
  return bytes;
}

}  // namespace

Status DecodeTensorProto(std::string_view name, std::string_view proto, std::uint64_t* budget,
                         OwnedTensors* tensors) {
  try {
    return Decoder(name, proto, budget, tensors).Decode();
  } catch (const protozero::exception& error) {
    return Status(Code::kInvalidArgument, "bad_tensor_proto",
                  fmt::format("tensor parsing error: {}: {}", name, error.what()));
  }
}

void WriteNamedTensor(const model::TensorView& tensor, ByteBuffer* out) {
  ByteBuffer head;  // dtype and shape.
  ProtoWriter small(&head);
  small.Uint(1, static_cast<std::uint64_t>(model::TensorFlowNumber(tensor.dtype)));
  const auto shape = small.Begin(kShape);
  for (const std::int64_t size : tensor.shape.dims()) {
    const auto dim = small.Begin(2);
    small.Int(1, size);
    small.End(dim);
  }
  small.End(shape);
  // Lengths are found first and the values written once, in place: an answer may be large.
  const std::uint32_t field = ListField(tensor.dtype);
  const bool strings = tensor.dtype == DType::kBytes;
  const std::uint64_t payload = strings ? StringsBytes(tensor.data) : PackedBytes(tensor);
  const std::uint64_t values = strings || payload == 0 ? payload : FieldBytes(field, payload);
  const std::uint64_t proto = head.size() + values;

  ProtoWriter writer(out);
  writer.LengthPrefix(1, FieldBytes(1, tensor.name.size()) + FieldBytes(2, proto));
  writer.AlwaysText(1, tensor.name);
  writer.LengthPrefix(2, proto);
  out->Append(head.span());
  if (strings) {
    model::StringElements elements(tensor.data);
    std::string_view element;
    while (elements.Next(&element)) writer.AlwaysText(field, element);
  } else if (payload != 0) {
    writer.LengthPrefix(field, payload);
    AppendPacked(tensor, payload, out);
  }
}

}  // namespace brim::api
