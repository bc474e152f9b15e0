// The shim's tests run as a program of a slice: this starts itself again with the environment that
// `brim node run` makes, over the fake driver, and there runs the tests. With "--preload" before
// all other arguments it is the environment of `--inject preload`.
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vgpu/shim/shim_test_slice.h"

namespace {

int Outside(bool preload, char** arguments) {
  const std::string folder = brim::vgpu::TemporaryFolder();
  const std::string slice = folder + "/slice";
  const std::string state = folder + "/state";
  brim::vgpu::MakeSlice(slice, 1024);
  const pid_t pid = fork();
  if (pid == 0) {
    setenv("BRIM_SLICE", slice.c_str(), 1);
    setenv("BRIM_SHIM_TEST_FOLDER", folder.c_str(), 1);
    setenv("LD_LIBRARY_PATH", preload ? BRIM_FAKE_FOLDER : BRIM_SHIM_FOLDER, 1);
    if (preload) setenv("LD_PRELOAD", BRIM_SHIM_FOLDER "/libbrim_preload.so", 1);
    setenv("BRIM_REAL_LIBCUDA", BRIM_FAKE_FOLDER "/libcuda.so.1", 1);
    setenv("BRIM_REAL_LIBNVIDIA_ML", BRIM_FAKE_FOLDER "/libnvidia-ml.so.1", 1);
    setenv("FAKE_CUDA_STATE", state.c_str(), 1);
    setenv("FAKE_CUDA_CONTEXT_MIB", "64", 1);
    setenv("FAKE_CUDA_MODULE_MIB", "2", 1);
    setenv("FAKE_CUDA_POOL_STEP_MIB", "32", 1);
    execv(brim::vgpu::Self().c_str(), arguments);
    _exit(73);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  brim::vgpu::RemoveFolder(folder);
  if (WIFSIGNALED(status)) printf("ended by signal %d\n", WTERMSIG(status));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (getenv("BRIM_SHIM_TEST_FOLDER") == nullptr) {
    const bool preload = count > 1 && strcmp(arguments[1], "--preload") == 0;
    if (preload) memmove(arguments + 1, arguments + 2, sizeof(char*) * (count - 1));
    return Outside(preload, arguments);
  }
  if (count == 3 && strcmp(arguments[1], "--tenant") == 0)
    return brim::vgpu::RunTenant(arguments[2]);
  if (count == 3 && strcmp(arguments[1], "--route") == 0) return brim::vgpu::RunRoute(arguments[2]);
  testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
