#include "runtimes/plugin/parts.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace brim::runtimes {

brim_code Fail(brim_error* error, brim_code code, std::string_view text) {
  if (error != nullptr) {
    const std::size_t count = std::min<std::size_t>(text.size(), BRIM_ERROR_TEXT_MAX - 1);
    std::memcpy(error->text, text.data(), count);
    error->text[count] = '\0';
  }
  return code;
}

namespace {

std::vector<brim_tensor> Rows(const std::vector<TensorDeclaration>& declarations) {
  std::vector<brim_tensor> rows;
  rows.reserve(declarations.size());
  for (const TensorDeclaration& d : declarations) {
    rows.push_back({d.name.c_str(), d.dtype, d.rank, d.dims.data(), nullptr, 0});
  }
  return rows;
}

}  // namespace

InfoTable::InfoTable(std::string platform, std::string precision, std::string device,
                     std::vector<SignatureDeclaration> signatures, bool instances_are_free,
                     std::string note)
    : platform_(std::move(platform)),
      precision_(std::move(precision)),
      device_(std::move(device)),
      note_(std::move(note)),
      declarations_(std::move(signatures)) {
  tensors_.reserve(2 * declarations_.size());
  for (const SignatureDeclaration& d : declarations_) {
    const auto& inputs = tensors_.emplace_back(Rows(d.inputs));
    const auto& outputs = tensors_.emplace_back(Rows(d.outputs));
    signatures_.push_back({d.name.c_str(), d.method_name.c_str(), inputs.data(),
                           static_cast<std::uint32_t>(inputs.size()), outputs.data(),
                           static_cast<std::uint32_t>(outputs.size())});
  }
  info_.platform = platform_.c_str();
  info_.precision = precision_.c_str();
  info_.device = device_.c_str();
  info_.signatures = signatures_.data();
  info_.signature_count = static_cast<std::uint32_t>(signatures_.size());
  info_.instances_are_free = instances_are_free ? 1 : 0;
  info_.note = note_.c_str();
}

std::uint32_t ElementBytes(std::int32_t dtype) {
  switch (dtype) {
    case BRIM_BOOL:
    case BRIM_UINT8:
    case BRIM_INT8:
      return 1;
    case BRIM_UINT16:
    case BRIM_INT16:
    case BRIM_FP16:
    case BRIM_BF16:
      return 2;
    case BRIM_UINT32:
    case BRIM_INT32:
    case BRIM_FP32:
      return 4;
    case BRIM_UINT64:
    case BRIM_INT64:
    case BRIM_FP64:
      return 8;
    default:
      return 0;
  }
}

std::uint64_t ElementCount(const std::int64_t* dims, std::int32_t rank) {
  std::uint64_t count = 1;
  for (std::int32_t i = 0; i < rank; ++i) count *= static_cast<std::uint64_t>(dims[i]);
  return count;
}

std::string ShapeText(const std::int64_t* dims, std::int32_t rank) {
  std::string text = "[";
  for (std::int32_t i = 0; i < rank; ++i) {
    if (i > 0) text += ',';
    text += std::to_string(dims[i]);
  }
  return text + "]";
}

bool StringReader::Next(std::string_view* element) {
  std::uint32_t length = 0;
  if (static_cast<std::size_t>(end_ - at_) < sizeof length) return false;
  std::memcpy(&length, at_, sizeof length);
  if (static_cast<std::size_t>(end_ - at_) - sizeof length < length) return false;
  *element = {reinterpret_cast<const char*>(at_ + sizeof length), length};
  at_ += sizeof length + length;
  return true;
}

void AppendString(std::string_view element, std::vector<std::byte>* out) {
  const auto length = static_cast<std::uint32_t>(element.size());
  const std::size_t start = out->size();
  out->resize(start + sizeof length + length);
  std::memcpy(out->data() + start, &length, sizeof length);
  if (length != 0) std::memcpy(out->data() + start + sizeof length, element.data(), length);
}

}  // namespace brim::runtimes
