// Memory nodes of graphs, and captures: what is promised to a graph is counted while it or its
// instantiation lives, and then for as long as the driver keeps it; nothing is put into a capture.
#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "vgpu/shim/shim_test_slice.h"

namespace brim::vgpu {
namespace {

class ShimGraphTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(CU(cuInit)(0), CUDA_SUCCESS);
    ASSERT_EQ(CU(cuDevicePrimaryCtxRetain)(&context_, 0), CUDA_SUCCESS);
    ASSERT_EQ(CU(cuCtxSetCurrent)(context_), CUDA_SUCCESS);
    ASSERT_EQ(CU(cuStreamCreate)(&stream_, 0), CUDA_SUCCESS);
    Holds(0, 0);
  }
  void TearDown() override {
    ASSERT_EQ(CU(cuStreamDestroy_v2)(stream_), CUDA_SUCCESS);
    ASSERT_EQ(CU(cuDeviceGraphMemTrim)(0), CUDA_SUCCESS);
    Holds(0, 0);
    CU(cuCtxSetCurrent)(nullptr);
    ASSERT_EQ(CU(cuDevicePrimaryCtxRelease_v2)(0), CUDA_SUCCESS);
  }
  // Above the context: what the ledger says, and the card.
  void Holds(std::uint64_t ledger, std::uint64_t card) {
    ASSERT_EQ(slice_.held(), kContextMiB * kMiB + ledger);
    ASSERT_EQ(TruthOf(getpid()), kContextMiB * kMiB + card);
  }
  CUresult AddNode(CUgraph graph, std::uint64_t bytes, int form = 0) {
    CUgraphNode node = nullptr;
    if (form == 0) {
      CUDA_MEM_ALLOC_NODE_PARAMS parameters{};
      parameters.poolProps.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
      parameters.bytesize = bytes;
      return CU(cuGraphAddMemAllocNode)(&node, graph, nullptr, 0, &parameters);
    }
    CUgraphNodeParams parameters{};
    parameters.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC;
    parameters.alloc.bytesize = bytes;
    return form == 1 ? CU(cuGraphAddNode)(&node, graph, nullptr, 0, &parameters)
                     : CU(cuGraphAddNode_v2)(&node, graph, nullptr, nullptr, 0, &parameters);
  }
  CUgraph Graph() {
    CUgraph graph = nullptr;
    EXPECT_EQ(CU(cuGraphCreate)(&graph, 0), CUDA_SUCCESS);
    return graph;
  }
  // One of the ways to instantiate.
  CUgraphExec Instantiate(CUgraph graph, int form) {
    CUgraphExec exec = nullptr;
    CUDA_GRAPH_INSTANTIATE_PARAMS parameters{};
    CUresult result = CUDA_ERROR_UNKNOWN;
    if (form == 0) result = CU(cuGraphInstantiate)(&exec, graph, nullptr, nullptr, 0);
    if (form == 1) result = CU(cuGraphInstantiate_v2)(&exec, graph, nullptr, nullptr, 0);
    if (form == 2) result = CU(cuGraphInstantiateWithFlags)(&exec, graph, 0);
    if (form == 3) result = CU(cuGraphInstantiateWithParams)(&exec, graph, &parameters);
    if (form == 4) result = CU(cuGraphInstantiateWithParams_ptsz)(&exec, graph, &parameters);
    EXPECT_EQ(result, CUDA_SUCCESS);
    return exec;
  }

  // As counted by this process's cell.
  std::uint64_t Launches() {
    std::uint64_t launches = 0;
    for (const Cell& cell : slice_.segment->cell) {
      if (cell.owner >> 32 == static_cast<std::uint64_t>(getpid())) launches += cell.launches;
    }
    return launches;
  }

  TestSlice& slice_ = OwnSlice();
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
};

TEST_F(ShimGraphTest, NodesAreCountedFromAddToTrimInAllOrders) {
  for (int form = 0; form < 5; ++form) {
    for (const bool graph_first : {false, true}) {
      const CUgraph graph = Graph();
      ASSERT_EQ(AddNode(graph, 3 * kMiB, form % 3), CUDA_SUCCESS);
      ASSERT_EQ(AddNode(graph, 1, (form + 1) % 3), CUDA_SUCCESS);
      Holds(6 * kMiB, 0);
      const CUgraphExec exec = Instantiate(graph, form);
      Holds(6 * kMiB, 0);
      CUgraphExec second = nullptr;
      EXPECT_EQ(CU(cuGraphInstantiateWithFlags)(&second, graph, 0), CUDA_ERROR_NOT_SUPPORTED);
      ASSERT_EQ(
          form % 2 == 0 ? CU(cuGraphLaunch)(exec, stream_) : CU(cuGraphLaunch_ptsz)(exec, stream_),
          CUDA_SUCCESS);
      ASSERT_EQ(CU(cuStreamSynchronize)(stream_), CUDA_SUCCESS);
      Holds(6 * kMiB, 6 * kMiB);
      if (graph_first) {
        ASSERT_EQ(CU(cuGraphDestroy)(graph), CUDA_SUCCESS);
      }
      Holds(6 * kMiB, 6 * kMiB);
      ASSERT_EQ(CU(cuGraphExecDestroy)(exec), CUDA_SUCCESS);
      Holds(6 * kMiB, 6 * kMiB);
      if (!graph_first) {
        ASSERT_EQ(CU(cuGraphDestroy)(graph), CUDA_SUCCESS);
      }
      Holds(6 * kMiB, 6 * kMiB);
      // What was left is used before more is taken.
      const CUgraph next = Graph();
      ASSERT_EQ(AddNode(next, 2 * kMiB), CUDA_SUCCESS);
      Holds(6 * kMiB, 6 * kMiB);
      ASSERT_EQ(CU(cuGraphDestroy)(next), CUDA_SUCCESS);
      // Without a current context the trim is seen all the same.
      ASSERT_EQ(CU(cuCtxSetCurrent)(nullptr), CUDA_SUCCESS);
      ASSERT_EQ(CU(cuDeviceGraphMemTrim)(0), CUDA_SUCCESS);
      ASSERT_EQ(CU(cuCtxSetCurrent)(context_), CUDA_SUCCESS);
      Holds(0, 0);
    }
  }
}

TEST_F(ShimGraphTest, WhatIsNeverLaunchedGoesWithItsGraph) {
  const CUgraph graph = Graph();
  ASSERT_EQ(AddNode(graph, 10 * kMiB), CUDA_SUCCESS);
  EXPECT_EQ(AddNode(graph, 1024 * kMiB), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(AddNode(graph, ~std::uint64_t{0}), CUDA_ERROR_OUT_OF_MEMORY);
  Holds(10 * kMiB, 0);
  ASSERT_EQ(CU(cuGraphDestroy)(graph), CUDA_SUCCESS);
  Holds(0, 0);
}

TEST_F(ShimGraphTest, TwoCapturesAtOnceEachGetTheirOwn) {
  CUstream other = nullptr;
  ASSERT_EQ(CU(cuStreamCreate)(&other, 0), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamBeginCapture_v2)(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamBeginCapture_v2_ptsz)(other, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  CUdeviceptr at = 0;
  ASSERT_EQ(CU(cuMemAllocAsync)(&at, 2 * kMiB, stream_), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemAllocAsync_ptsz)(&at, 8 * kMiB, other), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuMemAllocAsync)(&at, 2 * kMiB, stream_), CUDA_SUCCESS);
  Holds(12 * kMiB, 0);
  // Ends that end nothing.
  CUgraph none = nullptr;
  EXPECT_NE(CU(cuStreamEndCapture)(nullptr, &none), CUDA_SUCCESS);
  EXPECT_NE(CU(cuStreamBeginCapture_v2)(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  CUgraph graphs[2] = {};
  ASSERT_EQ(CU(cuStreamEndCapture)(stream_, &graphs[0]), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamEndCapture_ptsz)(other, &graphs[1]), CUDA_SUCCESS);
  Holds(12 * kMiB, 0);
  ASSERT_EQ(CU(cuGraphDestroy)(graphs[0]), CUDA_SUCCESS);
  Holds(8 * kMiB, 0);
  const CUgraphExec exec = Instantiate(graphs[1], 2);
  ASSERT_EQ(CU(cuGraphDestroy)(graphs[1]), CUDA_SUCCESS);
  Holds(8 * kMiB, 0);
  ASSERT_EQ(CU(cuGraphExecDestroy)(exec), CUDA_SUCCESS);
  Holds(0, 0);
  ASSERT_EQ(CU(cuStreamDestroy_v2)(other), CUDA_SUCCESS);
}

TEST_F(ShimGraphTest, ACaptureIntoAGraphAddsToIt) {
  const CUgraph graph = Graph();
  ASSERT_EQ(AddNode(graph, 2 * kMiB), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamBeginCaptureToGraph)(stream_, graph, nullptr, nullptr, 0,
                                            CU_STREAM_CAPTURE_MODE_GLOBAL),
            CUDA_SUCCESS);
  CUdeviceptr at = 0;
  ASSERT_EQ(CU(cuMemAllocAsync)(&at, 4 * kMiB, stream_), CUDA_SUCCESS);
  CUgraph same = nullptr;
  ASSERT_EQ(CU(cuStreamEndCapture)(stream_, &same), CUDA_SUCCESS);
  EXPECT_EQ(same, graph);
  Holds(6 * kMiB, 0);
  ASSERT_EQ(CU(cuGraphDestroy)(graph), CUDA_SUCCESS);
  Holds(0, 0);
}

TEST_F(ShimGraphTest, NothingIsInsertedIntoACapture) {
  CUmodule module = nullptr;
  CUfunction kernel = nullptr;
  ASSERT_EQ(CU(cuModuleLoadData)(&module, "x"), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuModuleGetFunction)(&kernel, module, "spin_1us"), CUDA_SUCCESS);
  const std::uint64_t launches_before = Launches();
  ASSERT_EQ(CU(cuStreamBeginCapture_v2)(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  CUgraph none = nullptr;
  EXPECT_NE(CU(cuStreamEndCapture)(nullptr, &none), CUDA_SUCCESS);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(CU(cuLaunchKernel)(kernel, 1, 1, 1, 1, 1, 1, 0, stream_, nullptr, nullptr),
              CUDA_SUCCESS);
  }
  CUgraph graph = nullptr;
  ASSERT_EQ(CU(cuStreamEndCapture)(stream_, &graph), CUDA_SUCCESS);
  std::size_t nodes = 0;
  ASSERT_EQ(CU(cuGraphGetNodes)(graph, nullptr, &nodes), CUDA_SUCCESS);
  EXPECT_EQ(nodes, 10u);
  EXPECT_EQ(Launches(), launches_before);
  const CUgraphExec exec = Instantiate(graph, 2);
  ASSERT_EQ(CU(cuGraphLaunch)(exec, stream_), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuStreamSynchronize)(stream_), CUDA_SUCCESS);
  EXPECT_EQ(Launches(), launches_before + 1);
  ASSERT_EQ(CU(cuGraphExecDestroy)(exec), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuGraphDestroy)(graph), CUDA_SUCCESS);
  ASSERT_EQ(CU(cuModuleUnload)(module), CUDA_SUCCESS);
}

}  // namespace
}  // namespace brim::vgpu
