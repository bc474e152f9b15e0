#include "load_request.h"

#include <cstring>
#include <string_view>

namespace brim::bench {
namespace {

void AddVarint(std::string* out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AddField(std::string* out, int number, std::string_view bytes) {
  AddVarint(out, static_cast<std::uint64_t>(number) << 3 | 2);
  AddVarint(out, bytes.size());
  out->append(bytes);
}

void AddNumber(std::string* out, int number, std::uint64_t value) {
  AddVarint(out, static_cast<std::uint64_t>(number) << 3);
  AddVarint(out, value);
}

// The three parameters of a tensor in shared memory, entries of map<string, InferParameter>.
void AddShared(std::string* out, int number, const std::string& region, std::uint64_t bytes,
               std::uint64_t offset) {
  const auto entry = [&](const char* key, const std::string& value) {
    std::string text;
    AddField(&text, 1, key);
    AddField(&text, 2, value);
    AddField(out, number, text);
  };
  std::string name, size, at;
  AddField(&name, 3, region);
  AddNumber(&size, 2, bytes);
  AddNumber(&at, 2, offset);
  entry("shared_memory_region", name);
  entry("shared_memory_byte_size", size);
  entry("shared_memory_offset", at);
}

}  // namespace

std::string TensorBytes(const RequestShape& shape) {
  std::size_t count = 1;
  for (const std::int64_t dim : shape.dims) count *= static_cast<std::size_t>(dim);
  std::string bytes(count * sizeof(float), '\0');
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;  // Numerical Recipes' generator.
    const float value = static_cast<float>(state >> 8) / 16777216.0f;
    std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof value);
  }
  return bytes;
}

std::string HttpRequest(const RequestShape& shape) {
  const std::string tensor = TensorBytes(shape);
  std::string dims;
  for (const std::int64_t dim : shape.dims) {
    dims += (dims.empty() ? "" : ",") + std::to_string(dim);
  }
  const std::string json =
      "{\"parameters\":{\"binary_data_output\":true},\"inputs\":[{\"name\":\"" + shape.input +
      "\",\"datatype\":\"FP32\",\"shape\":[" + dims +
      "],\"parameters\":{\"binary_data_size\":" + std::to_string(tensor.size()) + "}}]}";
  return "POST /v2/models/" + shape.model +
         "/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
         "Inference-Header-Content-Length: " +
         std::to_string(json.size()) +
         "\r\nContent-Length: " + std::to_string(json.size() + tensor.size()) + "\r\n\r\n" + json +
         tensor;
}

std::string GrpcFrame(const RequestShape& shape) {
  std::string dims;
  for (const std::int64_t dim : shape.dims) AddVarint(&dims, static_cast<std::uint64_t>(dim));
  std::string input;
  AddField(&input, 1, shape.input);
  AddField(&input, 2, "FP32");
  AddField(&input, 3, dims);
  const std::string tensor = TensorBytes(shape);
  std::string message;
  AddField(&message, 1, shape.model);
  if (shape.shared_region.empty()) {
    AddField(&message, 5, input);
    AddField(&message, 7, tensor);
  } else {
    AddShared(&input, 4, shape.shared_region, tensor.size(), 0);
    AddField(&message, 5, input);
    std::string output;
    AddField(&output, 1, shape.shared_output);
    AddShared(&output, 2, shape.shared_region, shape.shared_output_bytes,
              shape.shared_output_offset);
    AddField(&message, 6, output);
  }
  std::string frame(1, '\0');  // Not compressed.
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame.push_back(static_cast<char>(message.size() >> shift));
  }
  return frame + message;
}

}  // namespace brim::bench
