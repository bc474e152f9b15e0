// Streams, events, launches, graphs, capture.
#include <algorithm>

#include "engine.h"
#include "objects.h"
#include "state.h"

namespace fake {
namespace {

CUresult Run(Stream* stream, std::int64_t gpu_ns) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (stream->capture != nullptr) {
    stream->capture->nodes.push_back(new Node{CU_GRAPH_NODE_TYPE_KERNEL, gpu_ns, 0, 0});
    return CUDA_SUCCESS;
  }
  return Enqueue(context->card, {stream->id, gpu_ns, nullptr}) != 0
             ? CUDA_SUCCESS
             : CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
}

CUresult Launch(CUfunction function, CUstream stream, bool per_thread) {
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  return Run(StreamOf(stream, per_thread), reinterpret_cast<Function*>(function)->gpu_ns);
}

// As the driver does after a wait: pools give back what they do not need.
void Settle() {
  const std::lock_guard lock(TheWorld().mutex);
  for (Pool* pool : TheWorld().pools) {
    const std::uint64_t keep =
        std::max(Rounded(pool->used, Shared().settings.pool_step), pool->threshold);
    if (keep >= pool->reserved) continue;
    Give(pool->card, pool->reserved - keep);
    pool->reserved = keep;
  }
}

CUresult Synchronize(Stream* stream) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (stream->capture != nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  WaitForStream(context->card, stream->id);
  Settle();
  return CUDA_SUCCESS;
}

CUresult Record(Event* event, Stream* stream) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (stream->capture != nullptr) {
    stream->capture->nodes.push_back(new Node{CU_GRAPH_NODE_TYPE_EVENT_RECORD, 0, 0, 0});
    return CUDA_SUCCESS;
  }
  event->pending += 1;
  event->card = context->card;
  event->number = Enqueue(context->card, {stream->id, 0, [event](std::int64_t at) {
                                            event->at = at;
                                            event->pending -= 1;
                                          }});
  if (event->number != 0) return CUDA_SUCCESS;
  event->pending -= 1;
  return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
}

CUresult Begin(Stream* stream, Graph* graph) {
  if (stream->id < 16) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;  // The default streams.
  if (stream->capture != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  const std::lock_guard lock(TheWorld().mutex);
  stream->capture = graph != nullptr ? graph : new Graph{stream->context->card};
  stream->capture_id = TheWorld().next_capture++;
  TheWorld().graphs.insert(stream->capture);
  return CUDA_SUCCESS;
}

CUresult Instantiate(CUgraphExec* out, Graph* graph) {
  if (graph->has_memory && graph->exec != nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  auto* const exec = new Exec{graph->card};
  if (graph->has_memory) {
    exec->graph = graph;
    graph->exec = exec;
  }
  for (const Node* node : graph->nodes) {
    exec->gpu_ns += node->gpu_ns;
    exec->bytes += node->bytes;
  }
  *out = reinterpret_cast<CUgraphExec>(exec);
  return CUDA_SUCCESS;
}

// The first launch takes what the graph's memory nodes need, from what earlier ones left or else
// from the card; what is left stays reserved until a trim.
CUresult LaunchGraph(Exec* exec, Stream* stream) {
  if (!exec->uploaded && exec->bytes > 0) {
    const std::lock_guard lock(TheWorld().mutex);
    std::uint64_t& reserved = TheWorld().graph_reserved[exec->card];
    std::uint64_t& used = TheWorld().graph_used[exec->card];
    const std::uint64_t more = used + exec->bytes > reserved ? used + exec->bytes - reserved : 0;
    if (!Take(exec->card, more)) return CUDA_ERROR_OUT_OF_MEMORY;
    reserved += more;
    used += exec->bytes;
    exec->uploaded = true;
  }
  return Run(stream, exec->gpu_ns);
}

CUresult AddMemory(CUgraphNode* out, Graph* graph, std::uint64_t bytes, CUdeviceptr* at) {
  static std::atomic<CUdeviceptr> next{std::uint64_t{1} << 46};
  *at = next.fetch_add(Rounded(bytes, std::uint64_t{2} << 20));
  graph->nodes.push_back(new Node{CU_GRAPH_NODE_TYPE_MEM_ALLOC, 0, NodeBytes(bytes), *at});
  graph->has_memory = true;
  *out = reinterpret_cast<CUgraphNode>(graph->nodes.back());
  return CUDA_SUCCESS;
}

}  // namespace

Stream* StreamOf(CUstream handle, bool per_thread) {
  static Stream legacy{1, nullptr, nullptr};
  static Stream own{2, nullptr, nullptr};
  if (handle == nullptr) return per_thread ? &own : &legacy;
  if (handle == CU_STREAM_LEGACY) return &legacy;
  if (handle == CU_STREAM_PER_THREAD) return &own;
  return reinterpret_cast<Stream*>(handle);
}

#define FAKE_BOTH(name, parameters, ...)                \
  FAKE_API CUresult name parameters {                   \
    [[maybe_unused]] constexpr bool per_thread = false; \
    __VA_ARGS__                                         \
  }                                                     \
  FAKE_API CUresult name##_ptsz parameters {            \
    [[maybe_unused]] constexpr bool per_thread = true;  \
    __VA_ARGS__                                         \
  }

FAKE_API CUresult cuStreamCreate(CUstream* stream, unsigned int) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const std::lock_guard lock(TheWorld().mutex);
  *stream = reinterpret_cast<CUstream>(new Stream{TheWorld().next_stream++, context, nullptr});
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned int flags, int) {
  return cuStreamCreate(stream, flags);
}
FAKE_API CUresult cuStreamDestroy_v2(CUstream handle) {
  Stream* const stream = StreamOf(handle, false);
  if (stream->id < 16) return CUDA_ERROR_INVALID_HANDLE;
  WaitForStream(stream->context->card, stream->id);
  delete stream;
  return CUDA_SUCCESS;
}
FAKE_BOTH(cuStreamSynchronize, (CUstream stream), return Synchronize(StreamOf(stream, per_thread));)
FAKE_BOTH(cuStreamQuery, (CUstream stream), {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  return StreamDone(context->card, StreamOf(stream, per_thread)->id) ? CUDA_SUCCESS
                                                                     : CUDA_ERROR_NOT_READY;
})
FAKE_BOTH(cuStreamWaitEvent, (CUstream, CUevent, unsigned int), return CUDA_SUCCESS;)
FAKE_BOTH(cuStreamGetFlags, (CUstream, unsigned int* flags), return * flags = 0, CUDA_SUCCESS;)
FAKE_BOTH(cuStreamGetPriority, (CUstream, int* priority), return * priority = 0, CUDA_SUCCESS;)
FAKE_BOTH(cuStreamGetCtx, (CUstream, CUcontext* context), {
  *context = reinterpret_cast<CUcontext>(Current());
  return CUDA_SUCCESS;
})
FAKE_BOTH(cuStreamIsCapturing, (CUstream stream, CUstreamCaptureStatus* status), {
  *status = StreamOf(stream, per_thread)->capture != nullptr ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                                                             : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
})
FAKE_BOTH(cuStreamGetCaptureInfo, (CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* id),
          {
            const Stream* const stream = StreamOf(handle, per_thread);
            *status = stream->capture != nullptr ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                                                 : CU_STREAM_CAPTURE_STATUS_NONE;
            if (id != nullptr) *id = stream->capture_id;
            return CUDA_SUCCESS;
          })
FAKE_BOTH(cuStreamBeginCapture, (CUstream stream),
          return Begin(StreamOf(stream, per_thread), nullptr);)
FAKE_BOTH(cuStreamBeginCapture_v2, (CUstream stream, CUstreamCaptureMode),
          return Begin(StreamOf(stream, per_thread), nullptr);)
FAKE_BOTH(cuStreamBeginCaptureToGraph,
          (CUstream stream, CUgraph graph, const CUgraphNode*, const CUgraphEdgeData*, size_t,
           CUstreamCaptureMode),
          return Begin(StreamOf(stream, per_thread), reinterpret_cast<Graph*>(graph));)
FAKE_BOTH(cuStreamEndCapture, (CUstream handle, CUgraph* graph), {
  Stream* const stream = StreamOf(handle, per_thread);
  if (stream->capture == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  *graph = reinterpret_cast<CUgraph>(stream->capture);
  stream->capture = nullptr;
  stream->capture_id = 0;
  return CUDA_SUCCESS;
})

FAKE_API CUresult cuEventCreate(CUevent* event, unsigned int) {
  if (Current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *event = reinterpret_cast<CUevent>(new Event);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuEventDestroy_v2(CUevent) {
  return CUDA_SUCCESS;
}  // Its record may be under way.
FAKE_BOTH(cuEventRecord, (CUevent event, CUstream stream),
          return Record(reinterpret_cast<Event*>(event), StreamOf(stream, per_thread));)
FAKE_API CUresult cuEventQuery(CUevent event) {
  const auto* const asked = reinterpret_cast<Event*>(event);
  if (asked->pending == 0) return CUDA_SUCCESS;
  return WorkDone(asked->card, asked->number) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
FAKE_API CUresult cuEventSynchronize(CUevent event) {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const auto* const asked = reinterpret_cast<Event*>(event);
  if (asked->pending > 0) WaitForWork(asked->card, asked->number);
  Settle();
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
  const auto* const from = reinterpret_cast<Event*>(begin);
  const auto* const to = reinterpret_cast<Event*>(end);
  if (from->at < 0 || to->at < 0) return CUDA_ERROR_INVALID_HANDLE;
  if (from->pending > 0 || to->pending > 0) return CUDA_ERROR_NOT_READY;
  *milliseconds = static_cast<float>(static_cast<double>(to->at - from->at) / 1e6);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent begin, CUevent end) {
  return cuEventElapsedTime(milliseconds, begin, end);
}

FAKE_BOTH(cuLaunchKernel,
          (CUfunction f, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int,
           unsigned int, unsigned int, CUstream stream, void**, void**),
          return Launch(f, stream, per_thread);)
FAKE_BOTH(cuLaunchKernelEx, (const CUlaunchConfig* config, CUfunction f, void**, void**),
          return config == nullptr ? CUDA_ERROR_INVALID_VALUE
                                   : Launch(f, config->hStream, per_thread);)
FAKE_BOTH(cuLaunchCooperativeKernel,
          (CUfunction f, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int,
           unsigned int, unsigned int, CUstream stream, void**),
          return Launch(f, stream, per_thread);)
FAKE_API CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS* launches,
                                                       unsigned int count, unsigned int) {
  for (unsigned i = 0; i < count; ++i) Launch(launches[i].function, launches[i].hStream, false);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuLaunch(CUfunction f) { return Launch(f, nullptr, false); }
FAKE_API CUresult cuLaunchGrid(CUfunction f, int, int) { return Launch(f, nullptr, false); }
FAKE_API CUresult cuLaunchGridAsync(CUfunction f, int, int, CUstream stream) {
  return Launch(f, stream, false);
}
FAKE_BOTH(cuLaunchHostFunc, (CUstream stream, CUhostFn function, void* data), {
  Context* const context = Current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const std::uint64_t number =
      Enqueue(context->card,
              {StreamOf(stream, per_thread)->id, 0, [=](std::int64_t) { function(data); }, true});
  return number != 0 ? CUDA_SUCCESS : CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
})

FAKE_API CUresult cuGraphCreate(CUgraph* graph, unsigned int) {
  Context* const context = Current();
  auto* const made = new Graph{context == nullptr ? 0 : context->card};
  const std::lock_guard lock(TheWorld().mutex);
  TheWorld().graphs.insert(made);
  *graph = reinterpret_cast<CUgraph>(made);
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuGraphDestroy(CUgraph graph) {
  auto* const gone = reinterpret_cast<Graph*>(graph);
  const std::lock_guard lock(TheWorld().mutex);
  if (TheWorld().graphs.erase(gone) == 0) return CUDA_ERROR_INVALID_VALUE;
  if (gone->exec != nullptr) gone->exec->graph = nullptr;
  for (Node* node : gone->nodes) delete node;
  delete gone;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuGraphAddEmptyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode*,
                                      size_t) {
  reinterpret_cast<Graph*>(graph)->nodes.push_back(new Node);
  *node = reinterpret_cast<CUgraphNode>(reinterpret_cast<Graph*>(graph)->nodes.back());
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuGraphAddKernelNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode*,
                                          size_t, const CUDA_KERNEL_NODE_PARAMS* parameters) {
  const std::int64_t gpu_ns = reinterpret_cast<Function*>(parameters->func)->gpu_ns;
  reinterpret_cast<Graph*>(graph)->nodes.push_back(
      new Node{CU_GRAPH_NODE_TYPE_KERNEL, gpu_ns, 0, 0});
  *node = reinterpret_cast<CUgraphNode>(reinterpret_cast<Graph*>(graph)->nodes.back());
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuGraphAddMemAllocNode(CUgraphNode* node, CUgraph graph, const CUgraphNode*,
                                         size_t, CUDA_MEM_ALLOC_NODE_PARAMS* parameters) {
  return AddMemory(node, reinterpret_cast<Graph*>(graph), parameters->bytesize, &parameters->dptr);
}
FAKE_API CUresult cuGraphAddNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode*,
                                    const CUgraphEdgeData*, size_t, CUgraphNodeParams* parameters) {
  if (parameters->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC) return CUDA_ERROR_NOT_SUPPORTED;
  return AddMemory(node, reinterpret_cast<Graph*>(graph), parameters->alloc.bytesize,
                   &parameters->alloc.dptr);
}
FAKE_API CUresult cuGraphAddNode_v3(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                                    const CUgraphEdgeData* edges, size_t count,
                                    CUgraphNodeParams* parameters) {
  return cuGraphAddNode_v2(node, graph, after, edges, count, parameters);
}
FAKE_API CUresult cuGraphAddNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                                 size_t count, CUgraphNodeParams* parameters) {
  return cuGraphAddNode_v2(node, graph, after, nullptr, count, parameters);
}
FAKE_API CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  const auto& all = reinterpret_cast<Graph*>(graph)->nodes;
  for (size_t i = 0; nodes != nullptr && i < std::min(*count, all.size()); ++i) {
    nodes[i] = reinterpret_cast<CUgraphNode>(all[i]);
  }
  *count = all.size();
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, CUgraphNode*, char*,
                                     size_t) {
  return Instantiate(exec, reinterpret_cast<Graph*>(graph));
}
FAKE_API CUresult cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode*, char*,
                                        size_t) {
  return Instantiate(exec, reinterpret_cast<Graph*>(graph));
}
FAKE_API CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph,
                                              unsigned long long) {
  return Instantiate(exec, reinterpret_cast<Graph*>(graph));
}
FAKE_BOTH(cuGraphInstantiateWithParams,
          (CUgraphExec * exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS*),
          return Instantiate(exec, reinterpret_cast<Graph*>(graph));)
FAKE_BOTH(cuGraphUpload, (CUgraphExec, CUstream), return CUDA_SUCCESS;)
FAKE_BOTH(cuGraphLaunch, (CUgraphExec exec, CUstream stream),
          return LaunchGraph(reinterpret_cast<Exec*>(exec), StreamOf(stream, per_thread));)
FAKE_API CUresult cuGraphExecDestroy(CUgraphExec handle) {
  auto* const exec = reinterpret_cast<Exec*>(handle);
  WaitForStream(exec->card, 0);
  const std::lock_guard lock(TheWorld().mutex);
  if (exec->graph != nullptr) exec->graph->exec = nullptr;
  // Its memory stays reserved until a trim.
  if (exec->uploaded) TheWorld().graph_used[exec->card] -= exec->bytes;
  delete exec;
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceGraphMemTrim(CUdevice device) {
  const int card = TheWorld().visible.at(static_cast<std::size_t>(device));
  WaitForStream(card, 0);
  const std::lock_guard lock(TheWorld().mutex);
  Give(card, TheWorld().graph_reserved[card] - TheWorld().graph_used[card]);
  TheWorld().graph_reserved[card] = TheWorld().graph_used[card];
  return CUDA_SUCCESS;
}
FAKE_API CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute which,
                                               void* value) {
  const std::lock_guard lock(TheWorld().mutex);
  const int card = TheWorld().visible.at(static_cast<std::size_t>(device));
  *static_cast<cuuint64_t*>(value) = which == CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT
                                         ? TheWorld().graph_reserved[card]
                                         : TheWorld().graph_used[card];
  return CUDA_SUCCESS;
}

}  // namespace fake
