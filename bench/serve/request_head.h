// What the comparators on HTTP/1.1 read of a request's head.
#pragma once

#include <strings.h>

#include <cstdlib>
#include <string_view>

namespace brim::bench {

// The number after `name` (lower case, with colon) in a request head; 0 if it is not there.
inline std::size_t NumberAfter(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != head.npos; at = head.find("\r\n", at)) {
    at += 2;
    if (head.size() - at > name.size() &&
        strncasecmp(head.data() + at, name.data(), name.size()) == 0) {
      return std::strtoull(head.data() + at + name.size(), nullptr, 10);
    }
  }
  return 0;
}

}  // namespace brim::bench
