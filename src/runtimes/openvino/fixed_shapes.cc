#include "runtimes/openvino/fixed_shapes.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>

namespace brim::runtimes {
namespace {

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// What comes before the next `by`, taken off `rest`.
std::string_view Next(std::string_view* rest, char by) {
  const std::size_t at = rest->find(by);
  const std::string_view part = rest->substr(0, at);
  *rest = at == rest->npos ? std::string_view() : rest->substr(at + 1);
  return Trimmed(part);
}

bool ReadDims(std::string_view text, std::vector<std::int64_t>* dims) {
  while (!text.empty()) {
    const std::string_view word = Next(&text, 'x');
    std::int64_t dim = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), dim);
    if (error != std::errc() || end != word.data() + word.size() || dim < 1) return false;
    dims->push_back(dim);
  }
  return !dims->empty();
}

bool ReadOne(std::string_view text, const std::vector<std::string>& names, FixedShape* shape,
             std::string* why) {
  shape->text = text;
  std::vector<std::vector<std::int64_t>> by_port(names.size());
  while (!text.empty()) {
    const std::string_view part = Next(&text, ',');
    // A name may hold colons itself, as TensorFlow's do.
    const std::size_t colon = part.rfind(':');
    const bool named = colon != part.npos;
    const auto name = named ? std::find(names.begin(), names.end(), Trimmed(part.substr(0, colon)))
                            : (names.size() == 1 ? names.begin() : names.end());
    if (name == names.end()) {
      std::string known;
      for (const std::string& each : names) known += (known.empty() ? "" : ", ") + each;
      *why = "'" + std::string(part) +
             "' does not begin with an input's name and a colon; inputs: " + known;
      return false;
    }
    std::vector<std::int64_t>& dims = by_port[static_cast<std::size_t>(name - names.begin())];
    if (!dims.empty() || !ReadDims(named ? part.substr(colon + 1) : part, &dims)) {
      *why = "'" + std::string(part) + "' is not one shape like 1x3x48x320, all dimensions above 0";
      return false;
    }
  }
  for (std::size_t port = 0; port < names.size(); ++port) {
    if (by_port[port].empty()) {
      *why = "'" + shape->text + "' leaves out input '" + names[port] + "'";
      return false;
    }
    shape->key.push_back(static_cast<std::int64_t>(by_port[port].size()));
    shape->key.insert(shape->key.end(), by_port[port].begin(), by_port[port].end());
    shape->shapes[port] =
        ov::PartialShape(std::vector<ov::Dimension>(by_port[port].begin(), by_port[port].end()));
  }
  return true;
}

ov::Tensor TestInput(const ov::element::Type& type, const ov::Shape& shape) {
  ov::Tensor tensor(type, shape);
  std::memset(tensor.data(), 0, tensor.get_byte_size());
  if (type != ov::element::f32) return tensor;
  auto* values = static_cast<float*>(tensor.data());
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < tensor.get_size(); ++i) {
    state = state * 1664525u + 1013904223u;  // Numerical Recipes' generator.
    values[i] = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
  }
  return tensor;
}

// The largest difference between two answers over the largest value of the first; 1 when their
// shapes, or values of another type than f32, differ.
double Difference(const ov::Tensor& expected, const ov::Tensor& answer) {
  if (expected.get_shape() != answer.get_shape()) return 1;
  if (expected.get_element_type() != ov::element::f32) {
    return std::memcmp(expected.data(), answer.data(), expected.get_byte_size()) == 0 ? 0 : 1;
  }
  const auto* a = static_cast<const float*>(expected.data());
  const auto* b = static_cast<const float*>(answer.data());
  double largest = 0;
  double difference = 0;
  for (std::size_t i = 0; i < expected.get_size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    const double off = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(off <= 1e30)) return 1;  // One of them is no number.
    largest = std::max(largest, std::fabs(static_cast<double>(a[i])));
    difference = std::max(difference, off);
  }
  return largest > 0 ? difference / largest : difference;
}

}  // namespace

bool ReadFixedShapes(const std::string& text, const std::vector<std::string>& names,
                     std::vector<FixedShape>* shapes, std::string* why) {
  std::string_view rest = text;
  while (!rest.empty()) {
    if (shapes->size() == kFixedShapesMax) {
      *why = "at most " + std::to_string(kFixedShapesMax) + " shapes";
      return false;
    }
    FixedShape shape;
    if (!ReadOne(Next(&rest, ';'), names, &shape, why)) return false;
    const bool twice = std::any_of(shapes->begin(), shapes->end(),
                                   [&](const FixedShape& other) { return other.key == shape.key; });
    if (!twice) shapes->push_back(std::move(shape));
  }
  return true;
}

bool AnswersAlike(ov::CompiledModel& all, ov::CompiledModel& fixed, const FixedShape& shape,
                  double tolerance, std::string* why) {
  ov::InferRequest usual = all.create_infer_request();
  ov::InferRequest special = fixed.create_infer_request();
  for (const auto& [port, wanted] : shape.shapes) {
    const ov::Tensor input = TestInput(all.input(port).get_element_type(), wanted.to_shape());
    usual.set_input_tensor(port, input);
    special.set_input_tensor(port, input);
  }
  usual.infer();
  special.infer();
  for (std::size_t i = 0; i < all.outputs().size(); ++i) {
    const double off = Difference(usual.get_output_tensor(i), special.get_output_tensor(i));
    if (off <= tolerance) continue;
    *why = "its answers are off by " + std::to_string(off) + " of the largest value";
    return false;
  }
  return true;
}

}  // namespace brim::runtimes
