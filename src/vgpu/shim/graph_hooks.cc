// Graphs: memory nodes are charged to the graph they are in while it, or what was instantiated from
// it, lives; and the limits of a capture, in which the limiter keeps still.
#include "vgpu/shim/charge.h"
#include "vgpu/shim/launches.h"
#include "vgpu/shim/pools.h"

namespace brim::vgpu {
namespace {

std::uint64_t KeyOf(void* handle) { return reinterpret_cast<std::uint64_t>(handle); }

// A node of `asked` bytes is about to be added to the graph. A graph has one entry for all its
// nodes.
template <typename Call>
CUresult AddMemoryNode(CUgraph graph, std::uint64_t asked, Call call) {
  Process& process = ThisProcess();
  if (process.barred()) return CUDA_ERROR_OUT_OF_MEMORY;
  if (!process.attached()) return call();
  const std::uint64_t bytes = Pools::NodeBytes(asked);
  if (!ThisPools().Promise(bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = call();
  if (result != CUDA_SUCCESS) {
    ThisPools().Unpromise(bytes);
    return result;
  }
  Allocation node;
  node.key = KeyOf(graph);
  node.bytes = bytes;
  node.kind = Kind::kGraph;
  node.memory_class = MemoryClass::kGraph;
  process.allocations().Grow(node);
  return result;
}

// The same for a node of any type.
template <typename Call>
CUresult AddNode(CUgraph graph, const CUgraphNodeParams* parameters, Call call) {
  if (parameters == nullptr || parameters->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC) return call();
  return AddMemoryNode(graph, parameters->alloc.bytesize, call);
}

// Before the driver destroys what refers to it: afterwards its number may be another's.
Allocation Unrefer(std::uint64_t graph) {
  return ThisProcess().allocations().Refer(graph, Kind::kGraph, -1);
}

void GiveBack(const Allocation& left) {
  if (left.kind != Kind::kFree && left.references == 0) ThisPools().Unpromise(left.bytes);
}

template <typename Call>
CUresult Instantiate(CUgraphExec* exec, CUgraph graph, Call call) {
  const CUresult result = call();
  Process& process = ThisProcess();
  if (result != CUDA_SUCCESS || exec == nullptr || !process.attached()) return result;
  if (process.allocations().Refer(KeyOf(graph), Kind::kGraph, 1).kind == Kind::kFree) return result;
  Allocation made;
  made.key = KeyOf(*exec);
  made.context = KeyOf(graph);
  made.kind = Kind::kExec;
  process.allocations().Add(made);
  return result;
}

template <typename Call>
CUresult BeginCapture(Call call) {
  // Counted before: a launch on another thread must see it as soon as it is so.
  ThisLaunches().CaptureBegins();
  const CUresult result = call();
  if (result != CUDA_SUCCESS) ThisLaunches().CaptureEnds(0, nullptr);
  return result;
}

// One that fails may have ended the capture or not (it may be another thread's).
template <typename Call>
CUresult EndCapture(CUstream stream, bool per_thread, CUgraph* graph, Call call) {
  const std::uint64_t capture = ThisLaunches().CaptureOf(stream, per_thread);
  const CUresult result = call();
  if (capture == 0) return result;
  const bool made = result == CUDA_SUCCESS && graph != nullptr;
  if (!made && ThisLaunches().CaptureOf(stream, per_thread) == capture) return result;
  ThisLaunches().CaptureEnds(capture, made ? *graph : nullptr);
  return result;
}

}  // namespace

CUresult Hook_cuGraphAddMemAllocNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                                     size_t count, CUDA_MEM_ALLOC_NODE_PARAMS* parameters) {
  return AddMemoryNode(graph, parameters == nullptr ? 0 : parameters->bytesize, [&] {
    return BRIM_REAL(cuGraphAddMemAllocNode)(node, graph, after, count, parameters);
  });
}
CUresult Hook_cuGraphAddNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                             size_t count, CUgraphNodeParams* parameters) {
  return AddNode(graph, parameters,
                 [&] { return BRIM_REAL(cuGraphAddNode)(node, graph, after, count, parameters); });
}
CUresult Hook_cuGraphAddNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                                const CUgraphEdgeData* edges, size_t count,
                                CUgraphNodeParams* parameters) {
  return AddNode(graph, parameters, [&] {
    return BRIM_REAL(cuGraphAddNode_v2)(node, graph, after, edges, count, parameters);
  });
}
CUresult Hook_cuGraphAddNode_v3(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                                const CUgraphEdgeData* edges, size_t count,
                                CUgraphNodeParams* parameters) {
  return AddNode(graph, parameters, [&] {
    return BRIM_REAL(cuGraphAddNode_v3)(node, graph, after, edges, count, parameters);
  });
}

CUresult Hook_cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, CUgraphNode* error, char* log,
                                 size_t bytes) {
  return Instantiate(exec, graph,
                     [&] { return BRIM_REAL(cuGraphInstantiate)(exec, graph, error, log, bytes); });
}
CUresult Hook_cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode* error, char* log,
                                    size_t bytes) {
  return Instantiate(exec, graph, [&] {
    return BRIM_REAL(cuGraphInstantiate_v2)(exec, graph, error, log, bytes);
  });
}
CUresult Hook_cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph,
                                          unsigned long long flags) {
  return Instantiate(exec, graph,
                     [&] { return BRIM_REAL(cuGraphInstantiateWithFlags)(exec, graph, flags); });
}
CUresult Hook_cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  return Instantiate(exec, graph, [&] {
    return BRIM_REAL(cuGraphInstantiateWithParams)(exec, graph, parameters);
  });
}
CUresult Hook_cuGraphInstantiateWithParams_ptsz(CUgraphExec* exec, CUgraph graph,
                                                CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  return Instantiate(exec, graph, [&] {
    return BRIM_REAL(cuGraphInstantiateWithParams_ptsz)(exec, graph, parameters);
  });
}

CUresult Hook_cuGraphExecDestroy(CUgraphExec exec) {
  return Free(
      KeyOf(exec), Kind::kExec, [&] { return BRIM_REAL(cuGraphExecDestroy)(exec); }, [] {},
      [](const Allocation& made) { GiveBack(Unrefer(made.context)); });
}
CUresult Hook_cuGraphDestroy(CUgraph graph) {
  if (!ThisProcess().attached()) return BRIM_REAL(cuGraphDestroy)(graph);
  const Allocation left = Unrefer(KeyOf(graph));
  const CUresult result = BRIM_REAL(cuGraphDestroy)(graph);
  GiveBack(left);
  return result;
}
CUresult Hook_cuDeviceGraphMemTrim(CUdevice device) {
  const CUresult result = BRIM_REAL(cuDeviceGraphMemTrim)(device);
  ThisPools().SettleGraphs();
  return result;
}

CUresult Hook_cuStreamBeginCapture(CUstream stream) {
  return BeginCapture([&] { return BRIM_REAL(cuStreamBeginCapture)(stream); });
}
CUresult Hook_cuStreamBeginCapture_ptsz(CUstream stream) {
  return BeginCapture([&] { return BRIM_REAL(cuStreamBeginCapture_ptsz)(stream); });
}
CUresult Hook_cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  return BeginCapture([&] { return BRIM_REAL(cuStreamBeginCapture_v2)(stream, mode); });
}
CUresult Hook_cuStreamBeginCapture_v2_ptsz(CUstream stream, CUstreamCaptureMode mode) {
  return BeginCapture([&] { return BRIM_REAL(cuStreamBeginCapture_v2_ptsz)(stream, mode); });
}
CUresult Hook_cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode* after,
                                          const CUgraphEdgeData* edges, size_t count,
                                          CUstreamCaptureMode mode) {
  return BeginCapture([&] {
    return BRIM_REAL(cuStreamBeginCaptureToGraph)(stream, graph, after, edges, count, mode);
  });
}
CUresult Hook_cuStreamBeginCaptureToGraph_ptsz(CUstream stream, CUgraph graph,
                                               const CUgraphNode* after,
                                               const CUgraphEdgeData* edges, size_t count,
                                               CUstreamCaptureMode mode) {
  return BeginCapture([&] {
    return BRIM_REAL(cuStreamBeginCaptureToGraph_ptsz)(stream, graph, after, edges, count, mode);
  });
}
CUresult Hook_cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  return EndCapture(stream, false, graph,
                    [&] { return BRIM_REAL(cuStreamEndCapture)(stream, graph); });
}
CUresult Hook_cuStreamEndCapture_ptsz(CUstream stream, CUgraph* graph) {
  return EndCapture(stream, true, graph,
                    [&] { return BRIM_REAL(cuStreamEndCapture_ptsz)(stream, graph); });
}

}  // namespace brim::vgpu
