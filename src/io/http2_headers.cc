// HeaderBlock; see http2_headers.h.
#include "io/http2_headers.h"

#include <cstring>

namespace brim::io {
namespace {

constexpr std::size_t kTextRoom = 512;  // What the headers of a usual call fit into,
constexpr std::size_t kFieldRoom = 16;  // and how many they are.

}  // namespace

void HeaderBlock::Clear() {
  text_.clear();
  fields_.clear();
  known_ = {};
}

void HeaderBlock::Add(std::string_view name, std::string_view value) {
  if (fields_.capacity() == 0) {
    fields_.reserve(kFieldRoom);
    text_.Reserve(kTextRoom);
    text_room_ = kTextRoom;
  }
  const auto at = static_cast<std::uint32_t>(text_.size());
  std::byte* const to = text_.Extend(name.size() + value.size());
  if (!name.empty()) std::memcpy(to, name.data(), name.size());
  if (!value.empty()) std::memcpy(to + name.size(), value.data(), value.size());
  if (text_.size() > text_room_) text_room_ = 2 * text_.size();  // As it grows.
  fields_.push_back({at, static_cast<std::uint32_t>(name.size()),
                     static_cast<std::uint32_t>(value.size())});
  Note(name);
}

void HeaderBlock::Note(std::string_view name) {
  Known known = kMethod;
  switch (name.size()) {  // Most names are none of these, and are told by their size.
    case 5:
      if (name != ":path") return;
      known = kPath;
      break;
    case 7:
      if (name != ":method") return;
      break;
    case 12:
      if (name == "content-type") {
        known = kContentType;
      } else if (name == "grpc-timeout") {
        known = kGrpcTimeout;
      } else {
        return;
      }
      break;
    case 13:
      if (name != "grpc-encoding") return;
      known = kGrpcEncoding;
      break;
    default:
      return;
  }
  if (known_[known] == 0) known_[known] = static_cast<std::uint32_t>(fields_.size());
}

std::string_view HeaderBlock::Find(std::string_view name) const {
  const std::string_view text = text_.view();
  for (const Field& field : fields_) {
    if (field.name_size == name.size() && text.substr(field.name_at, field.name_size) == name) {
      return ValueOf(field);
    }
  }
  return {};
}

}  // namespace brim::io
