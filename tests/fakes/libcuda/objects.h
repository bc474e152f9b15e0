// What the fake's handles point to, and what its functions share. Handles are addresses of these;
// a handle that is none of ours is an error, as far as it can be seen.
#pragma once

#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#define FAKE_API extern "C" __attribute__((visibility("default")))

namespace fake {

struct Context {
  int card = 0;
  bool primary = false;
  int retained = 0;
};

struct Module {
  Context* context = nullptr;
  bool charged = true;  // Until its context ends.
  std::vector<struct Function*> functions;
};

struct Function {
  std::string name;
  Module* module = nullptr;
  std::int64_t gpu_ns = 0;
};

struct Node {
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  std::int64_t gpu_ns = 0;
  std::uint64_t bytes = 0;
  CUdeviceptr at = 0;
};

struct Exec;
struct Graph {
  int card = 0;
  std::vector<Node*> nodes;
  bool has_memory = false;
  Exec* exec = nullptr;  // With memory nodes there is one at a time.
};

struct Exec {
  int card = 0;
  std::int64_t gpu_ns = 0;
  std::uint64_t bytes = 0;
  bool uploaded = false;  // Its memory is reserved.
  Graph* graph = nullptr;
};

struct Stream {
  std::uint64_t id = 0;
  Context* context = nullptr;
  Graph* capture = nullptr;  // Under way.
  std::uint64_t capture_id = 0;
};

struct Event {
  std::atomic<int> pending{0};
  std::atomic<int> card{0};
  std::atomic<std::uint64_t> number{0};  // Of its last record among the process's launches.
  std::atomic<std::int64_t> at{-1};
};

struct Pool {
  int card = 0;
  std::uint64_t reserved = 0;
  std::uint64_t used = 0;
  std::uint64_t high = 0;
  std::uint64_t threshold = 0;
  bool leaving = false;  // Destroyed while memory of it was in use.
};

// Memory behind a device address.
struct Block {
  std::uint64_t bytes = 0;    // As asked.
  std::uint64_t charged = 0;  // As taken from the card; 0: a pool's or a graph's.
  Context* context = nullptr;
  Pool* pool = nullptr;
  int card = 0;
  bool low = false;  // A 32-bit address of the old functions.
};

struct Physical {  // cuMemCreate
  std::uint64_t bytes = 0;
  int card = 0;
  int references = 1;
};

struct Array {
  std::uint64_t bytes = 0;
  Context* context = nullptr;
};

// All of this process, under one lock.
struct World {
  std::mutex mutex;
  bool initialised = false;
  std::map<CUdeviceptr, Block> blocks;
  std::map<CUdeviceptr, std::pair<Physical*, std::uint64_t>> mappings;
  std::map<CUdeviceptr, std::uint64_t> reservations;
  std::set<Context*> contexts;
  std::set<Physical*> physicals;
  std::set<Pool*> pools;
  std::set<Array*> arrays;
  std::set<Module*> modules;
  std::set<Graph*> graphs;
  std::map<std::uint64_t, Stream*> streams;
  std::vector<int> visible;  // Cards, by CUDA_VISIBLE_DEVICES.
  Context* primary[8] = {};
  Pool* pool[8] = {};
  Pool* default_pool[8] = {};
  std::uint64_t graph_reserved[8] = {};
  std::uint64_t graph_used[8] = {};  // Of launched instantiations.
  std::uint64_t next_capture = 1;
  std::uint64_t next_stream = 16;
};
World& TheWorld();

// The current context of this thread, or null.
Context* Current();
CUresult Ready();  // CUDA_ERROR_NOT_INITIALIZED before cuInit.
// The stream behind a handle: null and CU_STREAM_LEGACY are one, CU_STREAM_PER_THREAD another.
Stream* StreamOf(CUstream handle, bool per_thread);
// "name_20us", "name_3ms": what it says; else the setting.
std::int64_t GpuTimeOf(const std::string& name);
// A memory node is mapped in pages of 2 MiB.
inline std::uint64_t NodeBytes(std::uint64_t bytes) {
  constexpr std::uint64_t kPage = std::uint64_t{2} << 20;
  return (bytes + kPage - 1) / kPage * kPage;
}
std::uint64_t Rounded(std::uint64_t bytes, std::uint64_t step);
std::string UuidText(int card);  // "GPU-fa4e0000-0000-4000-8000-00000000000N"
void UuidBytes(int card, char bytes[16]);

}  // namespace fake
