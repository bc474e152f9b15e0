#include "api/kserve_message.h"

#include <fmt/format.h>

#include <utility>

namespace brim::api {
namespace {

using Kind = KserveParameter::Kind;

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

Status TakeNatural(const KserveParameter& parameter, std::uint64_t* value) {
  if (parameter.kind == Kind::kUint) {
    *value = parameter.natural;
    return OkStatus();
  }
  if (parameter.kind == Kind::kInt && parameter.integer >= 0) {
    *value = static_cast<std::uint64_t>(parameter.integer);
    return OkStatus();
  }
  return Invalid(
      "parameter_type",
      fmt::format("invalid value for parameter '{}', expected an integer >= 0", parameter.key));
}

// sequence_id may be a number or a string, sequence_start and sequence_end are booleans.
Status CheckSequence(const KserveParameter& parameter) {
  const bool is_id = parameter.key == "sequence_id";
  const bool fits = is_id ? parameter.kind == Kind::kInt || parameter.kind == Kind::kUint ||
                                parameter.kind == Kind::kText
                          : parameter.kind == Kind::kBool;
  if (fits) return OkStatus();
  return Invalid("parameter_type",
                 fmt::format("invalid value type for '{}' parameter, expected {}", parameter.key,
                             is_id ? "an integer or a string" : "a bool"));
}

}  // namespace

Status TakeParameter(const KserveParameter& parameter, const KserveLimits& limits,
                     KserveMessage* message) {
  const std::string_view key = parameter.key;
  if (key == "priority") return TakeNatural(parameter, &message->priority);
  if (key == "timeout") return TakeNatural(parameter, &message->timeout_us);
  if (key == "sequence_id" || key == "sequence_start" || key == "sequence_end") {
    return CheckSequence(parameter);
  }
  // What streaming clients send to models with several answers per request; there are none here,
  // and every answer is marked final anyway. "binary_data_output" means something over REST only,
  // where the reader takes it.
  if (key == "triton_enable_empty_final_response" || key == "headers" ||
      key == "binary_data_output") {
    return OkStatus();
  }
  if (key.substr(0, 7) == "triton_") {
    return Invalid(
        "parameter_reserved",
        "parameter keys starting with 'triton_' are reserved and should not be specified.");
  }
  if (message->parameters.size() >= limits.parameters_max) {
    return Invalid("too_many_parameters",
                   fmt::format("more than {} parameters", limits.parameters_max));
  }
  message->parameters.push_back(parameter);
  return OkStatus();
}

Status TakeSharedParameter(const KserveParameter& parameter, KserveSharedPart* part) {
  if (parameter.key == "shared_memory_byte_size") return TakeNatural(parameter, &part->bytes);
  if (parameter.key == "shared_memory_offset") return TakeNatural(parameter, &part->offset);
  if (parameter.key != "shared_memory_region") {
    return Invalid("parameter_unknown",
                   fmt::format("unknown parameter '{}': shared_memory_region, "
                               "shared_memory_byte_size and shared_memory_offset are known",
                               parameter.key));
  }
  if (parameter.kind != Kind::kText || parameter.text.empty()) {
    return Invalid("parameter_type",
                   "invalid value for parameter 'shared_memory_region', expected a string: the "
                   "name of a registered region");
  }
  part->region = parameter.text;
  return OkStatus();
}

Status CheckSharedPart(const KserveSharedPart& part, std::string_view tensor) {
  const bool any = !part.region.empty() || part.bytes != 0 || part.offset != 0;
  if (!any || (!part.region.empty() && part.bytes != 0)) return OkStatus();
  return Invalid(
      "shared_memory_incomplete",
      fmt::format("'{}' must be specified with shared memory for tensor '{}'",
                  part.region.empty() ? "shared_memory_region" : "shared_memory_byte_size",
                  tensor));
}

Status TakeRawBody(const serving::Version& version, std::span<const std::byte> body,
                   KserveMessage* message) {
  const model::Signature& signature = version.info().Default();
  if (signature.inputs.size() != 1) {
    return Invalid("raw_inputs", fmt::format("Raw request must only have 1 input to be deduced but "
                                             "got {} inputs in '{}' model configuration",
                                             signature.inputs.size(), version.model()));
  }
  const model::TensorSpec& spec = signature.inputs.front();
  const bool batches = version.config().max_batch_size > 0 && spec.shape.rank() > 0;
  model::TensorView input{spec.name, spec.dtype, spec.shape, body};
  std::optional<std::size_t> dynamic_axis;
  std::uint64_t known = 1;  // Elements but for the dynamic axis.
  for (std::size_t axis = 0; axis < spec.shape.rank(); ++axis) {
    if (axis == 0 && batches) {
      input.shape.Set(0, 1);
    } else if (spec.shape[axis] != model::kDynamic) {
      if (__builtin_mul_overflow(known, static_cast<std::uint64_t>(spec.shape[axis]), &known)) {
        return Invalid("raw_shape", "the model's input is too large");
      }
    } else if (dynamic_axis || !spec.rank_known) {
      return Invalid("raw_shape", fmt::format("The shape of the raw input '{}' can not be deduced "
                                              "because there are more than one variable-sized "
                                              "dimension",
                                              spec.name));
    } else {
      dynamic_axis = axis;
    }
  }
  if (spec.dtype == model::DType::kBytes) {
    if (dynamic_axis || known != 1) {
      return Invalid("raw_shape", fmt::format("For BYTES datatype raw input '{}', the model must "
                                              "have input shape [1]",
                                              spec.name));
    }
    ByteBuffer& element = message->owned.emplace_back();
    StoreLittle(element.Extend(sizeof(std::uint32_t)), static_cast<std::uint32_t>(body.size()));
    element.Append(body);
    input.data = element.span();
  } else if (dynamic_axis) {
    const std::uint64_t row = known * model::ElementBytes(spec.dtype);
    input.shape.Set(*dynamic_axis, row == 0 ? 0 : static_cast<std::int64_t>(body.size() / row));
  }
  message->inputs.push_back(input);
  message->binary_output = true;
  return OkStatus();
}

}  // namespace brim::api
