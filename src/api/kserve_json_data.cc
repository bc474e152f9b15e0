#include "api/kserve_json_data.h"

#include <fmt/format.h>

#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace brim::api {
namespace od = simdjson::ondemand;
namespace {

Status Invalid(const char* reason, std::string message) {
  return Status(Code::kInvalidArgument, reason, std::move(message));
}

// NaN, Infinity and -Infinity, which JSON has no numbers for.
bool NonFinite(std::string_view token, double* value) {
  while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' ||
                            token.back() == '\t')) {
    token.remove_suffix(1);
  }
  if (token == "NaN") {
    *value = std::numeric_limits<double>::quiet_NaN();
  } else if (token == "Infinity") {
    *value = std::numeric_limits<double>::infinity();
  } else if (token == "-Infinity") {
    *value = -std::numeric_limits<double>::infinity();
  } else {
    return false;
  }
  return true;
}

// Each reads one element, or says false: then the value is still unread.
bool ReadElement(od::value& value, float* out) {
  double wide = 0;
  if (value.get_double().get(wide) != simdjson::SUCCESS) {
    if (!NonFinite(value.raw_json_token(), &wide)) return false;
    *out = static_cast<float>(wide);
    return true;
  }
  // Out of a float's range but finite: refused rather than made infinite. Half an ulp above the
  // largest float still rounds to it.
  constexpr double kLimit = 3.4028235677973366e38;
  if (wide >= kLimit || wide <= -kLimit) return false;
  *out = static_cast<float>(wide);
  return true;
}
bool ReadElement(od::value& value, double* out) {
  return value.get_double().get(*out) == simdjson::SUCCESS ||
         NonFinite(value.raw_json_token(), out);
}
bool ReadElement(od::value& value, bool* out) {
  if (value.get_bool().get(*out) == simdjson::SUCCESS) return true;
  std::uint64_t number = 0;
  if (value.get_uint64().get(number) != simdjson::SUCCESS || number > 1) return false;
  *out = number == 1;
  return true;
}
bool ReadElement(od::value& value, std::uint64_t* out) {
  return value.get_uint64().get(*out) == simdjson::SUCCESS;
}
bool ReadElement(od::value& value, std::int64_t* out) {
  return value.get_int64().get(*out) == simdjson::SUCCESS;
}
template <typename T>
requires(std::is_integral_v<T> && sizeof(T) < 8 &&
         !std::is_same_v<T, bool>) bool ReadElement(od::value& value, T* out) {
  std::int64_t wide = 0;
  if (value.get_int64().get(wide) != simdjson::SUCCESS) return false;
  if (wide < std::numeric_limits<T>::min() || wide > std::numeric_limits<T>::max()) return false;
  *out = static_cast<T>(wide);
  return true;
}

class DataReader {
 public:
  DataReader(const JsonTensor& tensor, std::uint32_t depth_max, ByteBuffer* out)
      : tensor_(tensor), depth_max_(depth_max), out_(*out) {}

  template <typename T>
  Status ReadNumbers(od::array array) {
    const std::size_t start = out_.size();
    out_.Extend(tensor_.elements * sizeof(T));
    BRIM_RETURN_IF_ERROR(ReadElements(array, 1, reinterpret_cast<T*>(out_.data() + start)));
    return CheckCount();
  }

  Status ReadStrings(od::array array) {
    BRIM_RETURN_IF_ERROR(ReadTexts(array, 1));
    return CheckCount();
  }

 private:
  template <typename T>
  Status ReadElements(od::array array, std::uint32_t depth, T* out);
  Status ReadTexts(od::array array, std::uint32_t depth);
  Status TooDeep() const;
  Status CheckCount() const {
    return count_ == tensor_.elements ? OkStatus()
                                      : JsonCountMismatch(tensor_.name, tensor_.elements);
  }

  const JsonTensor& tensor_;
  const std::uint32_t depth_max_;
  ByteBuffer& out_;
  std::uint64_t count_ = 0;
};

Status DataReader::TooDeep() const {
  return Invalid("json_depth", fmt::format("JSON nesting depth of input '{}' exceeds maximum "
                                           "allowed limit ({})",
                                           tensor_.name, depth_max_));
}

template <typename T>
Status DataReader::ReadElements(od::array array, std::uint32_t depth, T* out) {
  if (depth > depth_max_) return TooDeep();
  for (auto result : array) {
    od::value value;
    if (const auto error = std::move(result).get(value)) return JsonError(error, "'data'");
    T element{};
    if (ReadElement(value, &element)) {
      if (count_ == tensor_.elements) return JsonCountMismatch(tensor_.name, tensor_.elements);
      std::memcpy(out + count_, &element, sizeof element);
      ++count_;
      continue;
    }
    od::array inner;
    if (value.get_array().get(inner) != simdjson::SUCCESS) {
      constexpr std::size_t kShown = 40;
      return Invalid(
          "data_type",
          fmt::format("Unable to parse 'data': element {} of input '{}' is '{}', which {} does not "
                      "hold",
                      count_, tensor_.name,
                      std::string_view(value.raw_json_token()).substr(0, kShown),
                      model::KServeName(tensor_.dtype)));
    }
    BRIM_RETURN_IF_ERROR(ReadElements(inner, depth + 1, out));
  }
  return OkStatus();
}

Status DataReader::ReadTexts(od::array array, std::uint32_t depth) {
  if (depth > depth_max_) return TooDeep();
  for (auto result : array) {
    od::value value;
    if (const auto error = std::move(result).get(value)) return JsonError(error, "'data'");
    od::json_type type;
    if (const auto error = value.type().get(type)) return JsonError(error, "'data'");
    if (type == od::json_type::array) {
      od::array inner;
      if (const auto error = value.get_array().get(inner)) return JsonError(error, "'data'");
      BRIM_RETURN_IF_ERROR(ReadTexts(inner, depth + 1));
      continue;
    }
    if (type != od::json_type::string) {
      return Invalid("data_type", fmt::format("Unable to parse 'data': element {} of input '{}' "
                                              "must be a string",
                                              count_, tensor_.name));
    }
    if (count_ == tensor_.elements) return JsonCountMismatch(tensor_.name, tensor_.elements);
    std::string_view text;
    if (const auto plain = PlainText(value)) {
      text = *plain;
    } else if (const auto error = value.get_string().get(text)) {
      return JsonError(error, "'data'");
    }
    StoreLittle(out_.Extend(sizeof(std::uint32_t)), static_cast<std::uint32_t>(text.size()));
    out_.Append(text);
    ++count_;
  }
  return OkStatus();
}

}  // namespace

Status JsonError(simdjson::error_code error, std::string_view where) {
  return Invalid("json_malformed",
                 fmt::format("Unable to parse {}: {}", where, simdjson::error_message(error)));
}

Status JsonCountMismatch(std::string_view input, std::uint64_t expected) {
  return Invalid("data_count", fmt::format("Unable to parse 'data': input '{}' needs {} elements "
                                           "by its shape, 'data' has another number",
                                           input, expected));
}

std::optional<std::string_view> PlainText(od::value& value) {
  od::raw_json_string raw;
  if (value.get_raw_json_string().get(raw) != simdjson::SUCCESS) return std::nullopt;
  // simdjson's first stage has checked that every string is closed, so the scan ends inside the
  // document.
  const char* const begin = raw.raw();
  const char* at = begin;
  while (*at != '"') {
    if (*at == '\\') return std::nullopt;
    ++at;
  }
  return std::string_view(begin, static_cast<std::size_t>(at - begin));
}

Status ReadJsonData(od::array array, const JsonTensor& tensor, std::uint32_t depth_max,
                    ByteBuffer* out) {
  DataReader reader(tensor, depth_max, out);
  using model::DType;
  switch (tensor.dtype) {
    case DType::kBool:
      return reader.ReadNumbers<bool>(array);
    case DType::kUint8:
      return reader.ReadNumbers<std::uint8_t>(array);
    case DType::kUint16:
      return reader.ReadNumbers<std::uint16_t>(array);
    case DType::kUint32:
      return reader.ReadNumbers<std::uint32_t>(array);
    case DType::kUint64:
      return reader.ReadNumbers<std::uint64_t>(array);
    case DType::kInt8:
      return reader.ReadNumbers<std::int8_t>(array);
    case DType::kInt16:
      return reader.ReadNumbers<std::int16_t>(array);
    case DType::kInt32:
      return reader.ReadNumbers<std::int32_t>(array);
    case DType::kInt64:
      return reader.ReadNumbers<std::int64_t>(array);
    case DType::kFp32:
      return reader.ReadNumbers<float>(array);
    case DType::kFp64:
      return reader.ReadNumbers<double>(array);
    case DType::kBytes:
      return reader.ReadStrings(array);
    case DType::kFp16:
    case DType::kBf16:
    case DType::kInvalid:
      break;
  }
  return Invalid("dtype_in_json",
                 fmt::format("receiving {} data via JSON is not supported. Please use the binary "
                             "data format for input '{}'",
                             model::KServeName(tensor.dtype), tensor.name));
}

}  // namespace brim::api
