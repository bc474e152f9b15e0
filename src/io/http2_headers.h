// HeaderBlock: the header fields of one HTTP/2 request, in one run of text.
//
// Threads: none of its own. A name seen twice keeps both values; Find returns the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brim::io {

class HeaderBlock {
 public:
  void Clear();
  void Add(std::string_view name, std::string_view value);
  // Empty when absent. Names are lower case, as HTTP/2 demands; ":path" and its like are fields
  // too.
  std::string_view Find(std::string_view name) const;
  // Memory that the block holds on to.
  std::size_t capacity() const { return text_.capacity() + fields_.capacity() * sizeof(Field); }

 private:
  struct Field {
    std::uint32_t name_at;
    std::uint32_t name_size;
    std::uint32_t value_size;  // The value follows the name.
  };
  std::string text_;
  std::vector<Field> fields_;
};

}  // namespace brim::io
