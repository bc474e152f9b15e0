// Every way of starting work on the card.
#include "vgpu/shim/launches.h"

namespace brim::vgpu {
namespace {

template <typename Function>
Launch Kernel(Function function, unsigned x, unsigned y, unsigned z, unsigned block_x,
              unsigned block_y, unsigned block_z, unsigned shared, CUstream stream,
              bool per_thread) {
  Launch launch;
  launch.function = reinterpret_cast<std::uint64_t>(function);
  launch.blocks = std::uint64_t{x} * y * z;
  launch.block_threads = block_x * block_y * block_z;
  launch.shared_bytes = shared;
  launch.stream = stream;
  launch.per_thread = per_thread;
  return launch;
}

Launch Kernel(const CUlaunchConfig* config, CUfunction function, bool per_thread) {
  if (config == nullptr) return {};
  return Kernel(function, config->gridDimX, config->gridDimY, config->gridDimZ, config->blockDimX,
                config->blockDimY, config->blockDimZ, config->sharedMemBytes, config->hStream,
                per_thread);
}

Launch Graph(CUgraphExec graph, CUstream stream, bool per_thread) {
  Launch launch;
  launch.function = reinterpret_cast<std::uint64_t>(graph);
  launch.stream = stream;
  launch.per_thread = per_thread;
  return launch;
}

// By the driver's function; `last` is what it takes behind the stream.
template <typename Real, typename... Last>
CUresult Run(Real real, bool per_thread, CUfunction f, unsigned x, unsigned y, unsigned z,
             unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared, CUstream stream,
             Last... last) {
  return ThisLaunches().Run(
      Kernel(f, x, y, z, block_x, block_y, block_z, shared, stream, per_thread),
      [&] { return real(f, x, y, z, block_x, block_y, block_z, shared, stream, last...); });
}

// The launches of CUDA 3 and before: the block's shape was set on the function.
Launch Old(CUfunction function, int width, int height, CUstream stream) {
  return Kernel(function, static_cast<unsigned>(width), static_cast<unsigned>(height), 1, 1, 1, 1,
                0, stream, false);
}

}  // namespace

CUresult Hook_cuLaunch(CUfunction function) {
  return ThisLaunches().Run(Old(function, 1, 1, nullptr),
                            [&] { return BRIM_REAL(cuLaunch)(function); });
}
CUresult Hook_cuLaunchGrid(CUfunction function, int width, int height) {
  return ThisLaunches().Run(Old(function, width, height, nullptr),
                            [&] { return BRIM_REAL(cuLaunchGrid)(function, width, height); });
}
CUresult Hook_cuLaunchGridAsync(CUfunction function, int width, int height, CUstream stream) {
  return ThisLaunches().Run(Old(function, width, height, stream), [&] {
    return BRIM_REAL(cuLaunchGridAsync)(function, width, height, stream);
  });
}

CUresult Hook_cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
                             unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared,
                             CUstream stream, void** parameters, void** extra) {
  return Run(BRIM_REAL(cuLaunchKernel), false, f, gx, gy, gz, bx, by, bz, shared, stream,
             parameters, extra);
}
CUresult Hook_cuLaunchKernel_ptsz(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
                                  unsigned int bx, unsigned int by, unsigned int bz,
                                  unsigned int shared, CUstream stream, void** parameters,
                                  void** extra) {
  return Run(BRIM_REAL(cuLaunchKernel_ptsz), true, f, gx, gy, gz, bx, by, bz, shared, stream,
             parameters, extra);
}
CUresult Hook_cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction f, void** parameters,
                               void** extra) {
  return ThisLaunches().Run(Kernel(config, f, false), [&] {
    return BRIM_REAL(cuLaunchKernelEx)(config, f, parameters, extra);
  });
}
CUresult Hook_cuLaunchKernelEx_ptsz(const CUlaunchConfig* config, CUfunction f, void** parameters,
                                    void** extra) {
  return ThisLaunches().Run(Kernel(config, f, true), [&] {
    return BRIM_REAL(cuLaunchKernelEx_ptsz)(config, f, parameters, extra);
  });
}
CUresult Hook_cuLaunchCooperativeKernel(CUfunction f, unsigned int gx, unsigned int gy,
                                        unsigned int gz, unsigned int bx, unsigned int by,
                                        unsigned int bz, unsigned int shared, CUstream stream,
                                        void** parameters) {
  return Run(BRIM_REAL(cuLaunchCooperativeKernel), false, f, gx, gy, gz, bx, by, bz, shared, stream,
             parameters);
}
CUresult Hook_cuLaunchCooperativeKernel_ptsz(CUfunction f, unsigned int gx, unsigned int gy,
                                             unsigned int gz, unsigned int bx, unsigned int by,
                                             unsigned int bz, unsigned int shared, CUstream stream,
                                             void** parameters) {
  return Run(BRIM_REAL(cuLaunchCooperativeKernel_ptsz), true, f, gx, gy, gz, bx, by, bz, shared,
             stream, parameters);
}
// A slice is on one card: the first of the launches is that card's.
CUresult Hook_cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS* launches, unsigned int count,
                                                   unsigned int flags) {
  const auto call = [&] {
    return BRIM_REAL(cuLaunchCooperativeKernelMultiDevice)(launches, count, flags);
  };
  if (launches == nullptr || count == 0) return call();
  const CUDA_LAUNCH_PARAMS& first = launches[0];
  return ThisLaunches().Run(
      Kernel(first.function, first.gridDimX, first.gridDimY, first.gridDimZ, first.blockDimX,
             first.blockDimY, first.blockDimZ, first.sharedMemBytes, first.hStream, false),
      call);
}

CUresult Hook_cuGraphLaunch(CUgraphExec graph, CUstream stream) {
  return ThisLaunches().Run(Graph(graph, stream, false),
                            [&] { return BRIM_REAL(cuGraphLaunch)(graph, stream); });
}
CUresult Hook_cuGraphLaunch_ptsz(CUgraphExec graph, CUstream stream) {
  return ThisLaunches().Run(Graph(graph, stream, true),
                            [&] { return BRIM_REAL(cuGraphLaunch_ptsz)(graph, stream); });
}

}  // namespace brim::vgpu
