// HeaderBlock; see http2_headers.h.
#include "io/http2_headers.h"

namespace brim::io {

void HeaderBlock::Clear() {
  text_.clear();
  fields_.clear();
}

void HeaderBlock::Add(std::string_view name, std::string_view value) {
  fields_.push_back({static_cast<std::uint32_t>(text_.size()),
                     static_cast<std::uint32_t>(name.size()),
                     static_cast<std::uint32_t>(value.size())});
  text_.append(name);
  text_.append(value);
}

std::string_view HeaderBlock::Find(std::string_view name) const {
  const std::string_view text = text_;
  for (const Field& field : fields_) {
    if (field.name_size == name.size() && text.substr(field.name_at, field.name_size) == name) {
      return text.substr(field.name_at + field.name_size, field.value_size);
    }
  }
  return {};
}

}  // namespace brim::io
