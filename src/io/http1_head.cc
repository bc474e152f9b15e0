// Http1Head's text keeping and target decoding; see http1_head.h.
#include "io/http1_head.h"

#include <algorithm>

#include "base/text.h"

namespace brim::io {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Offset of the path in an absolute-form target, past "scheme://authority".
std::size_t SkipAuthority(std::string_view target) {
  const std::size_t scheme_end = target.find("://");
  if (scheme_end == std::string_view::npos) return std::string_view::npos;
  return std::min(target.find_first_of("/?", scheme_end + 3), target.size());
}

}  // namespace

void Http1Head::Clear() {
  target_.clear();
  path_.clear();
  fields_text_.clear();
  fields_.clear();
  method.clear();
  query_ = 0;
  in_name_ = false;
}

void Http1Head::AppendName(std::string_view piece) {
  if (!in_name_) {
    in_name_ = true;
    fields_.push_back({static_cast<std::uint32_t>(fields_text_.size()), 0, 0});
  }
  for (const char c : piece) fields_text_.push_back(Lower(c));
}

void Http1Head::EndName() {
  in_name_ = false;
  if (!fields_.empty()) fields_.back().name_end = static_cast<std::uint32_t>(fields_text_.size());
}

void Http1Head::EndValue() {
  if (fields_.empty()) return;
  Field& field = fields_.back();
  while (fields_text_.size() > field.name_end &&
         (fields_text_.back() == ' ' || fields_text_.back() == '\t')) {
    fields_text_.pop_back();
  }
  field.value_end = static_cast<std::uint32_t>(fields_text_.size());
}

std::string_view Http1Head::Find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (Name(field) == name) {
      return std::string_view(fields_text_)
          .substr(field.name_end, field.value_end - field.name_end);
    }
  }
  return {};
}

std::size_t Http1Head::Count(std::string_view name) const {
  std::size_t count = 0;
  for (const Field& field : fields_) count += Name(field) == name;
  return count;
}

const char* Http1Head::DecodeTarget() {
  std::size_t begin = 0;
  if (!target_.starts_with('/') && target_ != "*") {
    begin = SkipAuthority(target_);
    if (begin == std::string_view::npos) return "the request target must start with '/'";
  }
  if (target_.find('#') != std::string::npos) return "the request target has a fragment (#...)";
  const std::size_t path_end = std::min(target_.find('?', begin), target_.size());
  query_ = std::min(path_end + 1, target_.size());
  path_.clear();
  for (std::size_t i = begin; i < path_end; ++i) {
    char c = target_[i];
    if (c == '%') {
      if (path_end - i < 3) return "the path ends within a percent-encoded character";
      const int first = HexDigit(target_[i + 1]);
      const int second = HexDigit(target_[i + 2]);
      if (first < 0 || second < 0) return "the path has a '%' without two hexadecimal digits";
      c = static_cast<char>(first * 16 + second);
      if (c == '\0') return "the path has a percent-encoded NUL";
      i += 2;
    }
    path_.push_back(c);
  }
  if (path_.empty()) path_.push_back('/');
  return nullptr;
}

}  // namespace brim::io
