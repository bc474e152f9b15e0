// HeaderBlock: the header fields of one HTTP/2 request, in one run of text.
//
// Threads: none of its own. A name seen twice keeps both values; Find and Get return the first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace brim::io {

class HeaderBlock {
 public:
  // Fields that every call asks for, found as they come.
  enum Known : std::uint8_t { kMethod, kPath, kContentType, kGrpcEncoding, kGrpcTimeout };
  static constexpr std::size_t kKnown = 5;

  void Clear();
  void Add(std::string_view name, std::string_view value);
  // Empty when absent. Names are lower case, as HTTP/2 demands; ":path" and its like are fields
  // too.
  std::string_view Find(std::string_view name) const;
  std::string_view Get(Known field) const {
    const std::uint32_t at = known_[field];
    return at == 0 ? std::string_view() : ValueOf(fields_[at - 1]);
  }
  // Memory that the block holds on to.
  std::size_t capacity() const { return text_room_ + fields_.capacity() * sizeof(Field); }

 private:
  struct Field {
    std::uint32_t name_at;
    std::uint32_t name_size;
    std::uint32_t value_size;  // The value follows the name.
  };
  std::string_view ValueOf(const Field& field) const {
    return text_.view().substr(field.name_at + field.name_size, field.value_size);
  }
  void Note(std::string_view name);

  ByteBuffer text_;
  std::size_t text_room_ = 0;  // What text_ has room for, at most.
  std::vector<Field> fields_;
  std::array<std::uint32_t, kKnown> known_{};  // Index in fields_, from 1.
};

}  // namespace brim::io
