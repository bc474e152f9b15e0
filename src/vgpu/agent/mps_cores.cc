// See mps_cores.h.
#include "vgpu/agent/mps_cores.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>

#include "vgpu/agent/driver_library.h"

extern char** environ;

namespace brim::vgpu {
namespace {

constexpr const char* kControl = "nvidia-cuda-mps-control";
constexpr auto kPatience = std::chrono::seconds(3);

std::string PipeFolder() { return LibraryPath("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"); }

// Ends when the child closes its output or the time is over.
bool EndsInTime(int output) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd one{output, POLLIN, 0};
    const int ready = poll(&one, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    char text[4096];
    const ssize_t length = read(output, text, sizeof(text));
    if (length == 0 || (length < 0 && errno != EINTR)) return true;
  }
}

// The control program with a question that changes nothing; 0 when a daemon answered it, else its
// exit code, 127 when there is no such program, -1 when it took too long.
int AskDaemon() {
  constexpr char kQuestion[] = "get_server_list\n";
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0) return -1;
  if (pipe2(out, O_CLOEXEC) != 0) {
    close(in[0]);
    close(in[1]);
    return -1;
  }
  // Fits into the pipe, and both ends are open here: it neither blocks nor breaks.
  [[maybe_unused]] const ssize_t wrote = write(in[1], kQuestion, sizeof(kQuestion) - 1);
  close(in[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDERR_FILENO);
  char program[] = "nvidia-cuda-mps-control";
  char* argv[] = {program, nullptr};
  pid_t child = 0;
  const int spawned = posix_spawnp(&child, kControl, &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  int status = 0;
  bool in_time = false;
  if (spawned == 0) {
    in_time = EndsInTime(out[0]);
    // One that closed its output and stays is no answer either.
    const timespec moment{0, 10'000'000};
    int waited = 0;
    pid_t ended = 0;
    while (in_time && (ended = waitpid(child, &status, WNOHANG)) == 0 && ++waited < 100) {
      nanosleep(&moment, nullptr);
    }
    in_time = in_time && ended == child;
    if (ended != child) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
    }
  }
  close(out[0]);
  if (spawned != 0) return 127;
  return in_time && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

std::string MpsMemoryLimit(std::uint64_t bytes) { return fmt::format("0={}M", bytes >> 20); }

Offer MpsCores::Probe(const CardInfo&) {
  const int answer = AskDaemon();
  if (answer == 0) return {true, fmt::format("a control daemon answers in {}", PipeFolder())};
  if (answer == 127) {
    return {false, fmt::format("{} is not in PATH; the driver's package brings it", kControl)};
  }
  return {false, fmt::format("no control daemon answers in {}; `{} -d` starts one, and "
                             "CUDA_MPS_PIPE_DIRECTORY names its folder",
                             PipeFolder(), kControl)};
}

Status MpsCores::Enter(const SliceTarget& slice) {
  const Offer offer = Probe(slice.card);
  if (!offer.works) {
    return Status(
        Code::kFailedPrecondition, "backend_missing",
        fmt::format("slice '{}' has its cores by MPS: {}", slice.spec.name, offer.reason));
  }
  setenv("CUDA_MPS_PIPE_DIRECTORY", PipeFolder().c_str(), 1);
  setenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", std::to_string(slice.spec.cores).c_str(), 1);
  setenv("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", MpsMemoryLimit(slice.spec.memory_hard).c_str(), 1);
  return OkStatus();
}

}  // namespace brim::vgpu
