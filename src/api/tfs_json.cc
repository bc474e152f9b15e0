// See tfs_json.h. The order of checks follows TensorFlow Serving's, so that the first error is the
// same one.
#include "api/tfs_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include "api/base64.h"
#include "api/tfs_examples.h"
#include "api/tfs_json_value.h"

namespace brim::api {
namespace {

using model::DType;
using simdjson::dom::element_type;

// One element into its type; false when JSON's value is of another kind or does not fit.
bool Convert(const JsonElement& element, double* out) {
  switch (element.type()) {
    case element_type::DOUBLE:
      *out = element.get_double().value_unsafe();
      return true;
    case element_type::INT64:
      *out = static_cast<double>(element.get_int64().value_unsafe());
      return true;
    case element_type::UINT64:
      *out = static_cast<double>(element.get_uint64().value_unsafe());
      return true;
    default:
      return IsNonFinite(element, out);
  }
}

bool Convert(const JsonElement& element, float* out) {
  double wide = 0;
  if (!Convert(element, &wide)) return false;
  constexpr double kMax = std::numeric_limits<float>::max();
  if (std::isfinite(wide) && std::fabs(wide) > kMax) {
    // Numbers just above still round down to the largest float; the cast of others is undefined.
    const float edge = std::fabs(wide) < 3.4028235677973366e38
                           ? std::numeric_limits<float>::max()
                           : std::numeric_limits<float>::infinity();
    *out = wide > 0 ? edge : -edge;
  } else {
    *out = static_cast<float>(wide);
  }
  return true;
}

template <typename T>
bool ConvertInteger(const JsonElement& element, T* out) {
  if (element.type() == element_type::INT64) {
    const std::int64_t value = element.get_int64().value_unsafe();
    if constexpr (std::is_same_v<T, std::uint64_t>) {
      if (value < 0) return false;
    } else {
      if (value < static_cast<std::int64_t>(std::numeric_limits<T>::min()) ||
          value > static_cast<std::int64_t>(std::numeric_limits<T>::max())) {
        return false;
      }
    }
    *out = static_cast<T>(value);
    return true;
  }
  if constexpr (std::is_same_v<T, std::uint64_t>) {
    if (element.type() != element_type::UINT64) return false;
    *out = element.get_uint64().value_unsafe();
    return true;
  }
  return false;
}
bool Convert(const JsonElement& e, std::int8_t* out) { return ConvertInteger(e, out); }
bool Convert(const JsonElement& e, std::int16_t* out) { return ConvertInteger(e, out); }
bool Convert(const JsonElement& e, std::int32_t* out) { return ConvertInteger(e, out); }
bool Convert(const JsonElement& e, std::int64_t* out) { return ConvertInteger(e, out); }
bool Convert(const JsonElement& e, std::uint8_t* out) { return ConvertInteger(e, out); }
bool Convert(const JsonElement& e, std::uint32_t* out) { return ConvertInteger(e, out); }
bool Convert(const JsonElement& e, std::uint64_t* out) { return ConvertInteger(e, out); }
bool Convert(const JsonElement& e, bool* out) {
  if (e.type() != element_type::BOOL) return false;
  *out = e.get_bool().value_unsafe();
  return true;
}

Status TypeError(const JsonElement& element, DType dtype) {
  return JsonFormatError(element, fmt::format("Type: {} is not of expected type: {}",
                                              JsonTypeWord(element), TfsTypeWord(dtype)));
}

void AppendStringElement(std::string_view text, ByteBuffer* out) {
  StoreLittle(out->Extend(4), static_cast<std::uint32_t>(text.size()));
  out->Append(text);
}

Status AppendString(const JsonElement& element, ByteBuffer* out) {
  std::string_view text;
  if (element.get(text) == simdjson::SUCCESS) {
    AppendStringElement(text, out);
    return OkStatus();
  }
  if (!element.is_object()) return TypeError(element, DType::kBytes);
  if (!IsBase64Object(element, &text)) {
    return JsonFormatError(element, "not formatted correctly for base64 data");
  }
  const std::size_t at = out->size();
  out->Extend(4);
  if (!DecodeBase64(text, out)) return JsonError("Unable to base64 decode");
  StoreLittle(out->data() + at, static_cast<std::uint32_t>(out->size() - at - 4));
  return OkStatus();
}

template <typename T>
Status AppendNumber(const JsonElement& element, DType dtype, ByteBuffer* out) {
  T value{};
  if (!Convert(element, &value)) return TypeError(element, dtype);
  StoreLittle(out->Extend(sizeof(T)), value);
  return OkStatus();
}

// Appends numbers until the end or the first element that does not convert; returns how many.
template <typename T>
std::size_t AppendNumbers(const simdjson::dom::array& array, std::size_t n, ByteBuffer* out) {
  std::byte* to = out->Extend(n * sizeof(T));
  std::size_t done = 0;
  for (const JsonElement element : array) {
    T value{};
    if (!Convert(element, &value)) break;
    StoreLittle(to + done * sizeof(T), value);
    ++done;
  }
  out->Truncate(out->size() - (n - done) * sizeof(T));
  return done;
}

// Calls f<T>() for the element type of dtype; `otherwise` for strings and what JSON cannot carry.
template <typename R, typename F>
R ForNumber(DType dtype, R otherwise, F f) {
  switch (dtype) {
    case DType::kFp32:
      return f(float{});
    case DType::kFp64:
      return f(double{});
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
    case DType::kUint32:
      return f(std::uint32_t{});
    case DType::kUint64:
      return f(std::uint64_t{});
    case DType::kBool:
      return f(bool{});
    default:
      return otherwise;
  }
}

Status AppendScalar(const JsonElement& element, DType dtype, ByteBuffer* out) {
  if (dtype == DType::kBytes) return AppendString(element, out);
  double number = 0;
  if (element.is_object() && !IsNonFinite(element, &number)) return TypeError(element, dtype);
  Status done;
  const bool known = ForNumber(dtype, false, [&](auto type) {
    done = AppendNumber<decltype(type)>(element, dtype, out);
    return true;
  });
  if (known) return done;
  return Status(Code::kUnimplemented, "json_dtype",
                fmt::format("Conversion of JSON Value: {} to type: {}", JsonDebugText(element),
                            TfsTypeWord(dtype)));
}

// The shape that the first element of each level shows. False: deeper than a shape can be.
bool DenseShape(JsonElement element, model::Shape* shape) {
  simdjson::dom::array array;
  while (element.get(array) == simdjson::SUCCESS) {
    const std::size_t size = ArraySize(array);
    if (!shape->Append(static_cast<std::int64_t>(size))) return false;
    if (size == 0) break;
    element = *array.begin();
  }
  return true;
}

// Appends the values of one JSON value of known shape.
class TensorFiller {
 public:
  TensorFiller(DType dtype, const model::Shape& shape, ByteBuffer* out)
      : dtype_(dtype), shape_(shape), out_(*out) {}

  std::size_t count() const { return count_; }

  Status Fill(const JsonElement& element, std::size_t level) {
    simdjson::dom::array array;
    if (element.get(array) != simdjson::SUCCESS) {
      if (level != shape_.rank()) {
        return JsonFormatError(
            element,
            fmt::format("found at incorrect level: {} in the JSON DOM. Expected at level: {}",
                        level + 1, shape_.rank()));
      }
      ++count_;
      return AppendScalar(element, dtype_, &out_);
    }
    if (level >= shape_.rank()) {
      return JsonError(fmt::format("Encountered list at unexpected level: {} expected < {}", level,
                                   shape_.rank()));
    }
    const std::size_t size = ArraySize(array);
    if (static_cast<std::int64_t>(size) != shape_[level]) {
      return JsonError(
          fmt::format("Encountered list at unexpected size: {} at level: {} expected size: {}",
                      size, level, shape_[level]));
    }
    std::size_t done = 0;
    if (level + 1 == shape_.rank()) {
      done = ForNumber(dtype_, std::size_t{0}, [&](auto type) {
        return AppendNumbers<decltype(type)>(array, size, &out_);
      });
      count_ += done;
      if (done == size) return OkStatus();
    }
    // What is left: lists, strings, or the element that is wrong.
    std::size_t index = 0;
    for (const JsonElement child : array) {
      if (index++ < done) continue;
      BRIM_RETURN_IF_ERROR(Fill(child, level + 1));
    }
    return OkStatus();
  }

 private:
  const DType dtype_;
  const model::Shape& shape_;
  ByteBuffer& out_;
  std::size_t count_ = 0;
};

// A tensor whose first dimension grows by one element of "instances" at a time.
struct GrowingTensor {
  bool begun = false;
  std::size_t count = 0;  // Values of the first element.
  std::int64_t rows = 0;  // Elements so far, for finding a key that comes twice.
  model::Shape shape;     // Of one element.
};

constexpr std::size_t kNoInput = static_cast<std::size_t>(-1);

// Finds inputs by name in constant time: a body may name each of a thousand inputs in each of many
// elements.
class InputNames {
 public:
  explicit InputNames(const model::Signature& signature) {
    for (std::size_t i = 0; i < signature.inputs.size(); ++i)
      index_.emplace(signature.inputs[i].name, i);
  }
  std::size_t Find(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? kNoInput : found->second;
  }

 private:
  std::unordered_map<std::string_view, std::size_t> index_;
};

std::string SortedNames(const model::Signature& signature) {
  std::vector<std::string_view> names;
  for (const model::TensorSpec& input : signature.inputs) names.push_back(input.name);
  std::sort(names.begin(), names.end());
  return fmt::format("{}", fmt::join(names, ","));
}

Status TooDeep() {
  return JsonError(fmt::format("lists nest deeper than the {} dimensions that a tensor can have",
                               model::kRankMax));
}

class RowReader {
 public:
  RowReader(const model::Signature& signature, std::size_t body_bytes, OwnedTensors* tensors)
      : signature_(signature),
        names_(signature),
        growing_(signature.inputs.size()),
        body_bytes_(body_bytes),
        storage_(tensors->storage),
        views_(tensors->views) {}

  Status Read(const simdjson::dom::array& instances) {
    const JsonElement first = *instances.begin();
    const bool mappings = IsMapping(first);
    if (!mappings && signature_.inputs.size() > 1) {
      return JsonError(
          "instances is a plain list, but expecting list of objects as multiple input tensors "
          "required as per "
          "tensorinfo_map");
    }
    items_ = ArraySize(instances);
    storage_.resize(signature_.inputs.size());
    for (const JsonElement element : instances) {
      BRIM_RETURN_IF_ERROR(mappings ? AddMapping(element) : AddPlain(element));
      ++item_;
    }
    return Finish();
  }

 private:
  Status AddMapping(const JsonElement& element) {
    if (!IsMapping(element)) {
      return JsonError(
          fmt::format("Expecting object but got list at item {} of input list", item_));
    }
    std::size_t keys = 0;
    for (const auto& [name, value] : AsObject(element)) {
      const std::size_t input = names_.Find(name);
      const Status added =
          input == kNoInput
              ? JsonError(fmt::format("JSON object: does not have named input: {}", name))
              : Add(input, value);
      if (!added.ok()) {
        return JsonError(
            fmt::format("Failed to process element: {} key: {} of 'instances' list. Error: {}: {}",
                        item_, name, CodeName(added.code()), added.message()));
      }
      ++keys;
    }
    if (keys == signature_.inputs.size()) return OkStatus();
    return JsonError(
        fmt::format("Failed to process element: {} of 'instances' list. JSON object: {} keys must "
                    "be equal to: {}",
                    item_, JsonDebugText(element), SortedNames(signature_)));
  }

  Status AddPlain(const JsonElement& element) {
    if (IsMapping(element)) {
      return JsonError(
          fmt::format("Expecting value/list but got object at item {} of input list", item_));
    }
    const Status added = Add(0, element);
    if (added.ok()) return added;
    return JsonError(fmt::format("Failed to process element: {} of 'instances' list. Error: {}: {}",
                                 item_, CodeName(added.code()), added.message()));
  }

  Status Add(std::size_t input, const JsonElement& value) {
    GrowingTensor& tensor = growing_[input];
    const model::TensorSpec& spec = signature_.inputs[input];
    if (tensor.rows++ != static_cast<std::int64_t>(item_))
      return JsonError("the key is given twice");
    model::Shape shape;
    if (!DenseShape(value, &shape)) return TooDeep();
    TensorFiller filler(spec.dtype, shape, &storage_[input]);
    BRIM_RETURN_IF_ERROR(filler.Fill(value, 0));
    if (!tensor.begun) {
      tensor.begun = true;
      tensor.count = filler.count();
      tensor.shape = shape;
      // A value takes two bytes of JSON at least, so what follows cannot need more than that.
      storage_[input].Reserve(std::min(storage_[input].size() * items_, body_bytes_ / 2 * 8));
      return OkStatus();
    }
    if (tensor.count != filler.count()) {
      return JsonError(
          fmt::format("Expecting tensor size: {} but got: {}", tensor.count, filler.count()));
    }
    if (tensor.shape == shape) return OkStatus();
    return JsonError(
        fmt::format("Expecting shape {} but got: {}", tensor.shape.ToString(), shape.ToString()));
  }

  Status Finish() {
    for (std::size_t i = 0; i < growing_.size(); ++i) {
      model::TensorView view{signature_.inputs[i].name, signature_.inputs[i].dtype,
                             growing_[i].shape, storage_[i].span()};
      if (!view.shape.Prepend(static_cast<std::int64_t>(items_))) return TooDeep();
      views_.push_back(view);
    }
    return OkStatus();
  }

  const model::Signature& signature_;
  const InputNames names_;
  std::vector<GrowingTensor> growing_;
  const std::size_t body_bytes_;
  std::vector<ByteBuffer>& storage_;
  std::vector<model::TensorView>& views_;
  std::size_t items_ = 0;
  std::size_t item_ = 0;  // The one being read.
};

Status AddColumn(const model::TensorSpec& spec, const JsonElement& value, OwnedTensors* tensors) {
  model::Shape shape;
  if (!DenseShape(value, &shape)) return TooDeep();
  ByteBuffer& out = tensors->storage.emplace_back();
  TensorFiller filler(spec.dtype, shape, &out);
  BRIM_RETURN_IF_ERROR(filler.Fill(value, 0));
  tensors->views.push_back({spec.name, spec.dtype, shape, out.span()});
  return OkStatus();
}

Status ReadColumns(const JsonElement& inputs, const model::Signature& signature,
                   OwnedTensors* tensors) {
  tensors->storage.reserve(signature.inputs.size());
  if (!IsMapping(inputs)) {
    if (signature.inputs.size() > 1) {
      return JsonError(
          "inputs is a plain value/list, but expecting an object as multiple input tensors "
          "required as per "
          "tensorinfo_map");
    }
    return AddColumn(signature.inputs.front(), inputs, tensors);
  }
  std::unordered_map<std::string_view, JsonElement> given;
  for (const auto& [name, value] : AsObject(inputs)) given.emplace(name, value);
  for (const model::TensorSpec& spec : signature.inputs) {
    const auto found = given.find(spec.name);
    if (found == given.end()) {
      return JsonError(fmt::format("Missing named input: {} in 'inputs' object.", spec.name));
    }
    BRIM_RETURN_IF_ERROR(AddColumn(spec, found->second, tensors));
  }
  return OkStatus();
}

Status ParseError(simdjson::error_code error, const TfsJsonLimits& limits) {
  if (error == simdjson::DEPTH_ERROR) {
    return JsonError(fmt::format("JSON Parse error: nested deeper than {}", limits.depth_max));
  }
  return JsonError(fmt::format("JSON Parse error: {}", simdjson::error_message(error)));
}

}  // namespace

struct TfsJsonRequest::Impl {
  TfsJsonLimits limits;
  simdjson::dom::parser parser;
  JsonElement root;
  std::string_view signature_name;
  std::size_t body_bytes = 0;

  simdjson::error_code Parse(std::span<const std::byte> json) {
    const simdjson::error_code error = parser.allocate(json.size(), limits.depth_max);
    if (error != simdjson::SUCCESS) return error;
    return parser.parse(reinterpret_cast<const char*>(json.data()), json.size(), false).get(root);
  }
};

TfsJsonRequest::TfsJsonRequest(const TfsJsonLimits& limits) : impl_(std::make_unique<Impl>()) {
  impl_->limits = limits;
}

TfsJsonRequest::~TfsJsonRequest() = default;

Status TfsJsonRequest::Parse(std::span<const std::byte> body) {
  static_assert(ByteBuffer::kPadding >= simdjson::SIMDJSON_PADDING);
  if (body.empty()) return JsonError("JSON Parse error: The document is empty");
  impl_->body_bytes = body.size();
  simdjson::error_code error = impl_->Parse(body);
  if (error != simdjson::SUCCESS && error != simdjson::DEPTH_ERROR) {
    const std::optional<ByteBuffer> rewritten = RewriteForParser(body);
    if (rewritten) error = impl_->Parse(rewritten->span());
  }
  if (error != simdjson::SUCCESS) return ParseError(error, impl_->limits);
  if (!impl_->root.is_object()) return JsonFormatError(impl_->root, "Is not object");
  JsonElement name;
  if (impl_->root.at_key("signature_name").get(name) == simdjson::SUCCESS &&
      name.get(impl_->signature_name) != simdjson::SUCCESS) {
    return JsonFormatError(impl_->root,
                           "not formatted correctly. 'signature_name' key must be a string value.");
  }
  return OkStatus();
}

std::string_view TfsJsonRequest::signature_name() const { return impl_->signature_name; }

Status TfsJsonRequest::FillInputs(const model::Signature& signature, OwnedTensors* tensors,
                                  TfsFormat* format) const {
  if (signature.inputs.empty()) {
    return JsonError(fmt::format("Failed to get input map for signature: {}", signature.name));
  }
  const JsonElement& root = impl_->root;
  JsonElement instances, inputs;
  const bool has_instances = root.at_key("instances").get(instances) == simdjson::SUCCESS;
  const bool has_inputs = root.at_key("inputs").get(inputs) == simdjson::SUCCESS;
  if (has_instances && has_inputs) {
    return JsonFormatError(
        root,
        "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ");
  }
  if (has_instances) {
    simdjson::dom::array array;
    if (instances.get(array) != simdjson::SUCCESS) {
      return JsonFormatError(root, "Expecting 'instances' to be an list/array");
    }
    if (array.size() == 0) return JsonFormatError(root, "No values in 'instances' array");
    *format = TfsFormat::kRow;
    return RowReader(signature, impl_->body_bytes, tensors).Read(array);
  }
  if (has_inputs) {
    *format = TfsFormat::kColumnar;
    return ReadColumns(inputs, signature, tensors);
  }
  return JsonError("Missing 'inputs' or 'instances' key");
}

Status TfsJsonRequest::FillExamples(std::string_view input_name, OwnedTensors* tensors) const {
  return ReadExamples(impl_->root, input_name, tensors);
}

}  // namespace brim::api
