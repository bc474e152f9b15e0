// Http1Head: the head of one HTTP/1.1 request as collected piece by piece from the parser.
//
// All text lies in one string and header fields are offsets into it; a head that is used again
// allocates nothing. Written on the connection's loop, then read-only from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brim::io {

class Http1Head {
 public:
  static constexpr std::size_t kFieldsMax = 256;

  void Clear();

  void AppendTarget(std::string_view piece) { target_.append(piece); }
  void AppendName(std::string_view piece);  // Lower-cased.
  void AppendValue(std::string_view piece) { fields_text_.append(piece); }
  void EndName();
  void EndValue();  // Trims the value.

  std::size_t fields() const { return fields_.size(); }
  std::size_t target_size() const { return target_.size(); }
  // The first value of that name; `name` in lower case. Empty when absent.
  std::string_view Find(std::string_view name) const;
  std::size_t Count(std::string_view name) const;

  // Splits the request target into path and query and undoes the path's percent-encoding. Takes
  // the origin, absolute and asterisk forms (RFC 9112, section 3.2). Null when it is fine, else
  // what is wrong with it.
  const char* DecodeTarget();

  std::string method;
  const std::string& path() const { return path_; }
  std::string_view query() const { return std::string_view(target_).substr(query_); }

 private:
  struct Field {  // Offsets into fields_text_.
    std::uint32_t name;
    std::uint32_t name_end;
    std::uint32_t value_end;  // The value starts at name_end.
  };
  std::string_view Name(const Field& field) const {
    return std::string_view(fields_text_).substr(field.name, field.name_end - field.name);
  }

  std::string target_;
  std::string path_;
  std::string fields_text_;
  std::vector<Field> fields_;
  std::size_t query_ = 0;  // Where the query starts in target_.
  bool in_name_ = false;
};

}  // namespace brim::io
