// ServingTable: what every other thread sees of the repository: which versions serve, and why
// others do not.
//
// The loader publishes one model at a time; readers take a handle under one of 64 locks, held for a
// hash lookup and a reference count. A replaced handle is dropped outside the lock.
// Threads: any.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "serving/repository.h"
#include "serving/version.h"

namespace brim::serving {

struct ServedModel {
  ModelStatus status;
  std::vector<VersionHandle> versions;  // Highest first.
  std::map<std::string, std::int64_t> labels;
  bool held_back = false;  // Not loaded, or unloaded, on request.
};

class ServingTable {
 public:
  void Publish(ServedModel model);
  void Remove(const std::string& name);
  void Clear();

  Result<VersionHandle> Find(const ModelRef& ref) const;
  std::vector<ModelStatus> List() const;  // By name.
  Result<ModelStatus> Describe(std::string_view name) const;
  std::vector<VersionHandle> Serving() const;  // By name, highest first.

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const {
      return std::hash<std::string_view>()(name);
    }
  };
  struct alignas(64) Shard {  // A cache line of its own.
    mutable Mutex mutex;
    std::unordered_map<std::string, ServedModel, Hash, std::equal_to<>> models
        BRIM_GUARDED_BY(mutex);
  };
  static constexpr std::size_t kShards = 64;

  Shard& ShardOf(std::string_view name) { return shards_[Hash()(name) % kShards]; }
  const Shard& ShardOf(std::string_view name) const { return shards_[Hash()(name) % kShards]; }

  std::array<Shard, kShards> shards_;
};

}  // namespace brim::serving
