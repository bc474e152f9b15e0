#include "api/json_parser.h"

#include <utility>

#include "api/json_parser_inside.h"

namespace brim::api {

JsonParserPool::JsonParserPool() = default;
JsonParserPool::~JsonParserPool() = default;

JsonParserPool::Lease::Lease(JsonParserPool& pool) : pool_(pool) {
  {
    MutexLock lock(pool_.mutex_);
    if (!pool_.idle_.empty()) {
      parser_ = std::move(pool_.idle_.back());
      pool_.idle_.pop_back();
    }
  }
  if (parser_ == nullptr) parser_ = std::make_unique<JsonParser>();
}

JsonParserPool::Lease::~Lease() {
  if (parser_->parser.capacity() > kKeptBytesMax) return;
  MutexLock lock(pool_.mutex_);
  if (pool_.idle_.size() < kIdleMax) pool_.idle_.push_back(std::move(parser_));
}

}  // namespace brim::api
