#include "api/kserve_proto.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <protozero/pbf_reader.hpp>

#include "api/kserve_proto_contents.h"
#include "base/text.h"
#include "model/dtype.h"

namespace brim::api {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;

constexpr auto kVarint = pbf_wire_type::varint;
constexpr auto kDelimited = pbf_wire_type::length_delimited;
constexpr auto kFixed64 = pbf_wire_type::fixed64;

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

pbf_reader ReaderOf(std::span<const std::byte> bytes) {
  return pbf_reader(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string_view Text(pbf_reader& reader) {
  const protozero::data_view view = reader.get_view();
  return {view.data(), view.size()};
}

std::span<const std::byte> Bytes(pbf_reader& reader) {
  const protozero::data_view view = reader.get_view();
  return std::as_bytes(std::span(view.data(), view.size()));
}

// Runs `read`, which may throw protozero's exceptions; they end here.
template <typename Fn>
Status Guard(std::string_view what, Fn read) {
  try {
    return read();
  } catch (const protozero::exception& e) {
    return Invalid("protobuf_malformed", fmt::format("{} is malformed: {}", what, e.what()));
  }
}

class Reader {
 public:
  Reader(const KserveLimits& limits, KserveMessage* message)
      : limits_(limits), message_(*message) {}

  Status Read(std::span<const std::byte> bytes);

 private:
  Status ReadInput(pbf_reader reader);
  Status ReadShape(pbf_reader& reader, model::TensorView* tensor);
  Status AppendDim(std::int64_t dim, model::TensorView* tensor);
  Status ReadOutput(pbf_reader reader);
  // An entry of map<string, InferParameter>.
  Status ReadEntry(pbf_reader reader, KserveParameter* parameter);
  Status Join();

  const KserveLimits& limits_;
  KserveMessage& message_;
  // Kept apart from message_.inputs: most requests have raw contents and need nothing of it.
  // The first four lie here, further ones in raw_more_.
  std::span<const std::byte> RawAt(std::size_t i) const {
    return i < raw_few_.size() ? raw_few_[i] : raw_more_[i - raw_few_.size()];
  }
  std::array<std::span<const std::byte>, 4> raw_few_;
  std::vector<std::span<const std::byte>> raw_more_;
  std::size_t raw_count_ = 0;
  std::vector<std::pair<std::size_t, std::span<const std::byte>>> typed_;  // Input index, contents.
};

Status Reader::Read(std::span<const std::byte> bytes) {
  pbf_reader reader = ReaderOf(bytes);
  message_.inputs.reserve(4);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kDelimited):
        message_.model_name = Text(reader);
        break;
      case tag_and_type(2, kDelimited):
        message_.model_version = Text(reader);
        break;
      case tag_and_type(3, kDelimited):
        message_.id = Text(reader);
        break;
      case tag_and_type(4, kDelimited): {
        KserveParameter parameter;
        BRIM_RETURN_IF_ERROR(ReadEntry(reader.get_message(), &parameter));
        BRIM_RETURN_IF_ERROR(TakeParameter(parameter, limits_, &message_));
        break;
      }
      case tag_and_type(5, kDelimited):
        BRIM_RETURN_IF_ERROR(ReadInput(reader.get_message()));
        break;
      case tag_and_type(6, kDelimited):
        BRIM_RETURN_IF_ERROR(ReadOutput(reader.get_message()));
        break;
      case tag_and_type(7, kDelimited):
        if (raw_count_ >= limits_.tensors_max) {
          return Invalid("too_many_tensors",
                         fmt::format("more than {} raw_input_contents", limits_.tensors_max));
        }
        if (raw_count_ < raw_few_.size()) {
          raw_few_[raw_count_] = Bytes(reader);
        } else {
          raw_more_.push_back(Bytes(reader));
        }
        ++raw_count_;
        break;
      default:
        reader.skip();
    }
  }
  if (message_.id.size() > limits_.id_bytes_max) {
    return Invalid("id_too_long", fmt::format("'id' has {} bytes, at most {} are allowed",
                                              message_.id.size(), limits_.id_bytes_max));
  }
  // It is echoed in a protobuf string, which clients refuse when it is not UTF-8.
  if (!IsUtf8(message_.id)) return Invalid("id_not_utf8", "'id' is not valid UTF-8");
  return Join();
}

Status Reader::AppendDim(std::int64_t dim, model::TensorView* tensor) {
  if (dim < 0) {
    return Invalid(
        "shape_invalid",
        fmt::format("invalid shape for input '{}': dimension {} is negative", tensor->name, dim));
  }
  if (!tensor->shape.Append(dim)) {
    return Invalid("shape_invalid", fmt::format("invalid shape for input '{}': more than {} "
                                                "dimensions",
                                                tensor->name, model::kRankMax));
  }
  return OkStatus();
}

Status Reader::ReadShape(pbf_reader& reader, model::TensorView* tensor) {
  for (const std::int64_t dim : reader.get_packed_int64()) {
    BRIM_RETURN_IF_ERROR(AppendDim(dim, tensor));
  }
  return OkStatus();
}

Status Reader::ReadInput(pbf_reader reader) {
  if (message_.inputs.size() >= limits_.tensors_max) {
    return Invalid("too_many_tensors", fmt::format("more than {} inputs", limits_.tensors_max));
  }
  model::TensorView tensor;
  std::string_view dtype;
  std::optional<std::span<const std::byte>> contents;
  KserveSharedPart shared;
  std::uint32_t parameters = 0;
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kDelimited):
        tensor.name = Text(reader);
        break;
      case tag_and_type(2, kDelimited):
        dtype = Text(reader);
        break;
      case tag_and_type(3, kDelimited):
        BRIM_RETURN_IF_ERROR(ReadShape(reader, &tensor));
        break;
      case tag_and_type(3, kVarint):
        BRIM_RETURN_IF_ERROR(AppendDim(reader.get_int64(), &tensor));
        break;
      case tag_and_type(4, kDelimited): {
        KserveParameter parameter;
        BRIM_RETURN_IF_ERROR(ReadEntry(reader.get_message(), &parameter));
        if (++parameters > limits_.parameters_max) {
          return Invalid("too_many_parameters",
                         fmt::format("more than {} parameters", limits_.parameters_max));
        }
        if (IsSharedParameter(parameter.key)) {
          BRIM_RETURN_IF_ERROR(TakeSharedParameter(parameter, &shared));
        }
        break;
      }
      case tag_and_type(5, kDelimited):
        contents = Bytes(reader);
        break;
      default:
        reader.skip();
    }
  }
  const auto known = model::FromKServeName(dtype);
  if (!known) {
    return Invalid("dtype_unknown",
                   fmt::format("invalid datatype '{}' for input '{}'", dtype, tensor.name));
  }
  tensor.dtype = *known;
  BRIM_RETURN_IF_ERROR(CheckSharedPart(shared, tensor.name));
  if (!shared.region.empty()) {
    if (contents) {
      return Invalid("contents_mixed",
                     fmt::format("input '{}' has both contents and shared memory: send one of them",
                                 tensor.name));
    }
    message_.shared_inputs.push_back({message_.inputs.size(), shared});
  }
  if (contents) typed_.emplace_back(message_.inputs.size(), *contents);
  message_.inputs.push_back(tensor);
  return OkStatus();
}

Status Reader::ReadOutput(pbf_reader reader) {
  if (message_.outputs.size() >= limits_.tensors_max) {
    return Invalid("too_many_tensors", fmt::format("more than {} outputs", limits_.tensors_max));
  }
  KserveOutput output;
  std::uint32_t parameters = 0;
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kDelimited):
        output.name = Text(reader);
        break;
      case tag_and_type(2, kDelimited): {
        KserveParameter parameter;
        BRIM_RETURN_IF_ERROR(ReadEntry(reader.get_message(), &parameter));
        if (++parameters > limits_.parameters_max) {
          return Invalid("too_many_parameters",
                         fmt::format("more than {} parameters", limits_.parameters_max));
        }
        if (IsSharedParameter(parameter.key)) {
          BRIM_RETURN_IF_ERROR(TakeSharedParameter(parameter, &output.shared));
        }
        if (parameter.key != "classification") break;
        if (parameter.kind != KserveParameter::Kind::kInt || parameter.integer <= 0) {
          return Invalid(
              "parameter_type",
              "invalid value for 'classification' parameter, expected an int64_param > 0");
        }
        output.classes = static_cast<std::uint64_t>(parameter.integer);
        break;
      }
      default:
        reader.skip();
    }
  }
  message_.outputs.push_back(output);
  return CheckSharedPart(output.shared, output.name);
}

void ReadChoice(pbf_reader reader, KserveParameter* parameter) {
  using Kind = KserveParameter::Kind;
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kVarint):
        parameter->kind = Kind::kBool;
        parameter->boolean = reader.get_uint64() != 0;  // get_bool() reads past the end.
        break;
      case tag_and_type(2, kVarint):
        parameter->kind = Kind::kInt;
        parameter->integer = reader.get_int64();
        break;
      case tag_and_type(3, kDelimited):
        parameter->kind = Kind::kText;
        parameter->text = Text(reader);
        break;
      case tag_and_type(4, kFixed64):
        parameter->kind = Kind::kDouble;
        parameter->number = reader.get_double();
        break;
      case tag_and_type(5, kVarint):
        parameter->kind = Kind::kUint;
        parameter->natural = reader.get_uint64();
        break;
      default:
        reader.skip();
    }
  }
}

Status Reader::ReadEntry(pbf_reader reader, KserveParameter* parameter) {
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kDelimited):
        parameter->key = Text(reader);
        break;
      case tag_and_type(2, kDelimited):
        ReadChoice(reader.get_message(), parameter);
        break;
      default:
        reader.skip();
    }
  }
  // Parameters are echoed in protobuf strings, which clients refuse when they are not UTF-8.
  if (!IsUtf8(parameter->key) || !IsUtf8(parameter->text)) {
    return Invalid("parameter_not_utf8", "a parameter is not valid UTF-8");
  }
  return OkStatus();
}

Status Reader::Join() {
  // Those whose data does not lie in shared memory.
  const std::size_t sent = message_.inputs.size() - message_.shared_inputs.size();
  if (raw_count_ == 0 && typed_.size() == sent) {
    std::uint64_t decoded_bytes = 0;
    for (const auto& [index, contents] : typed_) {
      model::TensorView& tensor = message_.inputs[index];
      decoded_bytes += model::DenseBytes(tensor.dtype, tensor.shape).value_or(contents.size() * 2);
      if (decoded_bytes > limits_.decoded_bytes_max) {
        return Status(Code::kResourceExhausted, "request_too_large",
                      fmt::format("the inputs decode to more than {} bytes: send them as "
                                  "raw_input_contents",
                                  limits_.decoded_bytes_max));
      }
      BRIM_RETURN_IF_ERROR(DecodeContents(contents, &tensor, &message_));
    }
    return OkStatus();
  }
  if (!typed_.empty() && raw_count_ != 0) {
    return Invalid("contents_mixed",
                   fmt::format("contents field must not be specified when using raw_input_contents "
                               "for '{}' for model '{}'",
                               message_.inputs[typed_.front().first].name, message_.model_name));
  }
  if (raw_count_ > sent) {
    return Invalid("data_left", fmt::format("{} raw_input_contents for {} inputs for model '{}'",
                                            raw_count_, sent, message_.model_name));
  }
  std::size_t raw = 0, typed = 0, shared = 0;
  for (std::size_t i = 0; i < message_.inputs.size(); ++i) {
    if (shared < message_.shared_inputs.size() && message_.shared_inputs[shared].input == i) {
      ++shared;
    } else if (typed < typed_.size() && typed_[typed].first == i) {
      ++typed;
    } else if (raw < raw_count_) {
      message_.inputs[i].data = RawAt(raw++);
    } else {
      return Invalid(
          "data_missing",
          fmt::format("unable to find data for input tensor '{}' for model '{}' in request.",
                      message_.inputs[i].name, message_.model_name));
    }
  }
  return OkStatus();
}

// Fields 1 and 2 as text, whatever they mean in this message.
void ReadTexts(pbf_reader reader, std::string_view* first, std::string_view* second) {
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kDelimited):
        *first = Text(reader);
        break;
      case tag_and_type(2, kDelimited):
        *second = Text(reader);
        break;
      default:
        reader.skip();
    }
  }
}

// The value of an entry of map<string, ModelRepositoryParameter> that is text or bytes.
std::string_view ReadRepositoryValue(pbf_reader reader) {
  std::string_view value;
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(3, kDelimited):
      case tag_and_type(4, kDelimited):
        value = Text(reader);
        break;
      default:
        reader.skip();
    }
  }
  return value;
}

Status ReadRepositoryEntry(pbf_reader reader, const KserveLimits& limits, RepositoryProto* out) {
  std::string_view key;
  std::string_view value;
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kDelimited):
        key = Text(reader);
        break;
      case tag_and_type(2, kDelimited):
        value = ReadRepositoryValue(reader.get_message());
        break;
      default:
        reader.skip();
    }
  }
  if (key == "config") {
    out->config = value;
  } else if (key.substr(0, 5) == "file:") {
    if (out->files.size() >= limits.parameters_max) {
      return Invalid("too_many_parameters",
                     fmt::format("more than {} files", limits.parameters_max));
    }
    out->files.emplace_back(key.substr(5), value);
  } else if (key != "unload_dependents") {  // No model here depends on another.
    return Invalid("parameter_unknown",
                   fmt::format("unknown parameter '{}': 'config' and 'file:<version>/<name>' are "
                               "known",
                               key));
  }
  return OkStatus();
}

}  // namespace

Status ReadInferProto(std::span<const std::byte> bytes, const KserveLimits& limits,
                      KserveMessage* message) {
  return Guard("ModelInferRequest", [&] { return Reader(limits, message).Read(bytes); });
}

Status ReadNamedRequest(std::span<const std::byte> bytes, NamedRequest* out) {
  return Guard("request", [&] {
    ReadTexts(ReaderOf(bytes), &out->name, &out->version);
    return OkStatus();
  });
}

Status ReadIndexRequest(std::span<const std::byte> bytes, bool* ready) {
  return Guard("RepositoryIndexRequest", [&] {
    pbf_reader reader = ReaderOf(bytes);
    while (reader.next()) {
      if (reader.tag_and_type() == tag_and_type(2, kVarint)) {
        *ready = reader.get_uint64() != 0;  // get_bool() reads past the end.
      } else {
        reader.skip();
      }
    }
    return OkStatus();
  });
}

Status ReadRepositoryProto(std::span<const std::byte> bytes, const KserveLimits& limits,
                           RepositoryProto* out) {
  return Guard("repository request", [&]() -> Status {
    std::string_view first;
    ReadTexts(ReaderOf(bytes), &first, &out->name);
    if (out->name.empty()) {
      out->name = first;
    } else if (!first.empty()) {
      return Status(Code::kUnimplemented, "repository_name",
                    "'repository_name' specification is not supported");
    }
    pbf_reader reader = ReaderOf(bytes);
    while (reader.next()) {
      if (reader.tag_and_type() == tag_and_type(3, kDelimited)) {
        BRIM_RETURN_IF_ERROR(ReadRepositoryEntry(reader.get_message(), limits, out));
      } else {
        reader.skip();
      }
    }
    return OkStatus();
  });
}

Status ReadSettingsRequest(std::span<const std::byte> bytes, bool* changes) {
  return Guard("settings request", [&] {
    pbf_reader reader = ReaderOf(bytes);
    while (reader.next()) {
      if (reader.tag_and_type() == tag_and_type(1, kDelimited)) *changes = true;
      reader.skip();
    }
    return OkStatus();
  });
}

}  // namespace brim::api
