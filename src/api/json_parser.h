// JsonParser: simdjson's on-demand parser with its buffers; JsonParserPool: parsers that keep them
// between requests.
//
// Threads: the pool from any; a parser from its lease's holder. Include json_parser_inside.h to
// parse with one.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/mutex.h"

namespace brim::api {

class JsonParser;

// At most kIdleMax idle parsers are kept, none whose buffers served a text longer than
// kKeptBytesMax.
class JsonParserPool {
 public:
  static constexpr std::size_t kIdleMax = 16;
  static constexpr std::size_t kKeptBytesMax = 4u << 20;

  JsonParserPool();
  ~JsonParserPool();
  JsonParserPool(const JsonParserPool&) = delete;
  JsonParserPool& operator=(const JsonParserPool&) = delete;

  // A parser for the time of one parse; it goes back when the lease ends.
  class Lease {
   public:
    explicit Lease(JsonParserPool& pool);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    JsonParser& operator*() { return *parser_; }

   private:
    JsonParserPool& pool_;
    std::unique_ptr<JsonParser> parser_;
  };

 private:
  Mutex mutex_;
  std::vector<std::unique_ptr<JsonParser>> idle_ BRIM_GUARDED_BY(mutex_);
};

}  // namespace brim::api
