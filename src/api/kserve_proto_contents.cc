#include "api/kserve_proto_contents.h"

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "model/dtype.h"

namespace brim::api {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;

constexpr auto kVarint = pbf_wire_type::varint;
constexpr auto kDelimited = pbf_wire_type::length_delimited;
constexpr auto kFixed32 = pbf_wire_type::fixed32;
constexpr auto kFixed64 = pbf_wire_type::fixed64;

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

std::string_view Text(pbf_reader& reader) {
  const protozero::data_view view = reader.get_view();
  return {view.data(), view.size()};
}

std::span<const std::byte> Bytes(pbf_reader& reader) {
  const protozero::data_view view = reader.get_view();
  return std::as_bytes(std::span(view.data(), view.size()));
}

// Decodes InferTensorContents into one tensor's bytes.
class ContentsReader {
 public:
  ContentsReader(const model::TensorView& tensor, std::uint64_t elements_max,
                 KserveMessage* message)
      : tensor_(tensor), elements_max_(elements_max), message_(*message) {}

  Status Read(std::span<const std::byte> contents);
  std::span<const std::byte> data() const { return in_place_; }

 private:
  using DType = model::DType;

  Status WrongField(std::uint32_t field) const;
  Status TooMany() const;
  ByteBuffer& Buffer();

  template <typename T, typename Wide>
  Status Append(Wide value);
  template <typename Range>
  Status AppendAll(std::uint32_t field, const Range& range);
  template <typename Wide>
  Status AppendInteger(std::uint32_t field, Wide value);
  // `stays`: the bytes live as long as the request, so a lone run is used in place.
  Status AppendFixed(std::uint32_t field, std::span<const std::byte> bytes, bool stays);
  Status AppendString(std::string_view text);

  const model::TensorView& tensor_;
  const std::uint64_t elements_max_;
  KserveMessage& message_;
  std::optional<ByteBuffer> buffer_;     // What had to be decoded or copied.
  std::span<const std::byte> in_place_;  // Else a run inside the request.
  std::uint64_t count_ = 0;
};

Status ContentsReader::WrongField(std::uint32_t field) const {
  static constexpr std::string_view kNames[] = {"",
                                                "bool_contents",
                                                "int_contents",
                                                "int64_contents",
                                                "uint_contents",
                                                "uint64_contents",
                                                "fp32_contents",
                                                "fp64_contents",
                                                "bytes_contents"};
  return Invalid("contents_type",
                 fmt::format("unexpected explicit tensor data for input tensor '{}': {} does not "
                             "hold datatype '{}'",
                             tensor_.name, kNames[field], model::KServeName(tensor_.dtype)));
}

Status ContentsReader::TooMany() const {
  return Invalid("data_count", fmt::format("input '{}' has more elements in its contents than its "
                                           "shape {} says",
                                           tensor_.name, tensor_.shape.ToString()));
}

ByteBuffer& ContentsReader::Buffer() {
  if (!buffer_) {
    buffer_.emplace();
    buffer_->Append(in_place_);
  }
  return *buffer_;
}

template <typename T, typename Wide>
Status ContentsReader::Append(Wide value) {
  if (value < static_cast<Wide>(std::numeric_limits<T>::min()) ||
      value > static_cast<Wide>(std::numeric_limits<T>::max())) {
    return Invalid("data_range",
                   fmt::format("input '{}': element {} is {}, which {} does not hold", tensor_.name,
                               count_, value, model::KServeName(tensor_.dtype)));
  }
  if (count_ == elements_max_) return TooMany();
  ++count_;
  StoreLittle(Buffer().Extend(sizeof(T)), static_cast<T>(value));
  return OkStatus();
}

template <typename Wide>
Status ContentsReader::AppendInteger(std::uint32_t field, Wide value) {
  const auto dtype = tensor_.dtype;
  if (field == 1 && dtype == DType::kBool) {
    return Append<std::uint8_t, Wide>(value != 0 ? Wide{1} : Wide{0});
  }
  if (field == 2 && dtype == DType::kInt8) return Append<std::int8_t>(value);
  if (field == 2 && dtype == DType::kInt16) return Append<std::int16_t>(value);
  if (field == 2 && dtype == DType::kInt32) return Append<std::int32_t>(value);
  if (field == 3 && dtype == DType::kInt64) return Append<std::int64_t>(value);
  if (field == 4 && dtype == DType::kUint8) return Append<std::uint8_t>(value);
  if (field == 4 && dtype == DType::kUint16) return Append<std::uint16_t>(value);
  if (field == 4 && dtype == DType::kUint32) return Append<std::uint32_t>(value);
  if (field == 5 && dtype == DType::kUint64) return Append<std::uint64_t>(value);
  return WrongField(field);
}

template <typename Range>
Status ContentsReader::AppendAll(std::uint32_t field, const Range& range) {
  for (const auto value : range) BRIM_RETURN_IF_ERROR(AppendInteger(field, value));
  return OkStatus();
}

Status ContentsReader::AppendFixed(std::uint32_t field, std::span<const std::byte> bytes,
                                   bool stays) {
  const bool is_float = field == 6;
  if (tensor_.dtype != (is_float ? DType::kFp32 : DType::kFp64)) return WrongField(field);
  const std::size_t width = is_float ? 4 : 8;
  if (bytes.size() % width != 0) {
    return Invalid("protobuf_malformed",
                   fmt::format("the contents of input '{}' end inside a number", tensor_.name));
  }
  if (bytes.size() / width > elements_max_ - count_) return TooMany();
  if (stays && count_ == 0 && !buffer_) {
    in_place_ = bytes;
  } else {
    Buffer().Append(bytes);
  }
  count_ += bytes.size() / width;
  return OkStatus();
}

Status ContentsReader::AppendString(std::string_view text) {
  if (tensor_.dtype != DType::kBytes) return WrongField(8);
  if (count_ == elements_max_) return TooMany();
  ++count_;
  ByteBuffer& buffer = Buffer();
  StoreLittle(buffer.Extend(sizeof(std::uint32_t)), static_cast<std::uint32_t>(text.size()));
  buffer.Append(text);
  return OkStatus();
}

Status ContentsReader::Read(std::span<const std::byte> contents) {
  pbf_reader reader(reinterpret_cast<const char*>(contents.data()), contents.size());
  while (reader.next()) {
    const std::uint32_t field = reader.tag();
    Status status;
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kDelimited):
        status = AppendAll(1, reader.get_packed_int64());
        break;
      case tag_and_type(2, kDelimited):
        status = AppendAll(2, reader.get_packed_int64());
        break;
      case tag_and_type(3, kDelimited):
        status = AppendAll(3, reader.get_packed_int64());
        break;
      case tag_and_type(4, kDelimited):
        status = AppendAll(4, reader.get_packed_uint64());
        break;
      case tag_and_type(5, kDelimited):
        status = AppendAll(5, reader.get_packed_uint64());
        break;
      case tag_and_type(1, kVarint):
      case tag_and_type(2, kVarint):
      case tag_and_type(3, kVarint):
        status = AppendInteger(field, reader.get_int64());
        break;
      case tag_and_type(4, kVarint):
      case tag_and_type(5, kVarint):
        status = AppendInteger(field, reader.get_uint64());
        break;
      case tag_and_type(6, kDelimited):
      case tag_and_type(7, kDelimited):
        status = AppendFixed(field, Bytes(reader), true);
        break;
      case tag_and_type(6, kFixed32): {
        const float value = reader.get_float();
        status = AppendFixed(field, std::as_bytes(std::span(&value, 1)), false);
        break;
      }
      case tag_and_type(7, kFixed64): {
        const double value = reader.get_double();
        status = AppendFixed(field, std::as_bytes(std::span(&value, 1)), false);
        break;
      }
      case tag_and_type(8, kDelimited):
        status = AppendString(Text(reader));
        break;
      default:
        reader.skip();
    }
    BRIM_RETURN_IF_ERROR(status);
  }
  if (count_ != elements_max_) {
    return Invalid("data_count",
                   fmt::format("input '{}' has {} elements in its contents, its shape "
                               "{} says {}",
                               tensor_.name, count_, tensor_.shape.ToString(), elements_max_));
  }
  if (buffer_) {
    in_place_ = message_.owned.emplace_back(std::move(*buffer_)).span();
    buffer_.reset();
  }
  return OkStatus();
}

}  // namespace

Status DecodeContents(std::span<const std::byte> contents, model::TensorView* tensor,
                      KserveMessage* message) {
  const auto elements = tensor->shape.Elements();
  if (!elements) {
    return Invalid("shape_invalid",
                   fmt::format("invalid shape for input '{}': {} holds too many elements",
                               tensor->name, tensor->shape.ToString()));
  }
  ContentsReader reader(*tensor, *elements, message);
  BRIM_RETURN_IF_ERROR(reader.Read(contents));
  tensor->data = reader.data();
  return OkStatus();
}

}  // namespace brim::api
