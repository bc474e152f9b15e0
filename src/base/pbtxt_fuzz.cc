// Fuzzes ParsePbtxt and every conversion of what it read.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/pbtxt.h"

namespace {

void Touch(const brim::PbMessage& message) {
  for (const brim::PbField& field : message.fields) {
    (void)field.AsString().ok();
    (void)field.AsInt().ok();
    (void)field.AsBool().ok();
    (void)field.AsDouble().ok();
    (void)field.AsEnum().ok();
    if (field.message != nullptr) Touch(*field.message);
  }
  if (!message.fields.empty()) (void)message.Find(message.fields.front().name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = brim::ParsePbtxt(std::string_view(reinterpret_cast<const char*>(data), size));
  if (parsed.ok()) Touch(*parsed);
  return 0;
}
