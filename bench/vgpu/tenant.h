// What the parts of tenant share: the driver's functions by name, a kernel of a stated time, a
// clock. Single-threaded but for
// the window of `loop`.
#pragma once

#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include <cstdint>
#include <map>
#include <string>

namespace tenant {

std::int64_t Now();  // Nanoseconds of CLOCK_MONOTONIC.
void SleepUntil(std::int64_t at);
// Prints {"failed": what, "code": code} and ends the process.
[[noreturn]] void Fail(const char* what, int code);
inline void Check(const char* what, int code) {
  if (code != 0) Fail(what, code);
}

// "--name value" pairs.
class Options {
 public:
  Options(int count, char** words);
  std::string Text(const char* name, const char* otherwise) const;
  double Number(const char* name, double otherwise) const;

 private:
  std::map<std::string, std::string> values_;
};

void* Function(const char* name);
// The driver's function with its type: BRIM_CALL(cuInit)(0).
#define BRIM_CALL(name) (reinterpret_cast<decltype(&::name)>(::tenant::Function(#name)))

// CUDA started, the primary context of device 0 current.
struct Card {
  Card();
  CUdevice device = 0;
  CUcontext context = nullptr;
};

// Takes its time on the card, whatever else the card does meanwhile.
class Kernel {
 public:
  explicit Kernel(std::int64_t nanoseconds);
  void Launch(CUstream stream);

 private:
  std::uint64_t nanoseconds_;
  CUfunction function_ = nullptr;
};

// Each does its part and returns the exit code.
int Loop(const Options& options);
int Hooks(const Options& options);
int Start(const Options& options);
int Memory(const Options& options);
int Hold(const Options& options);
int Churn(const Options& options);

}  // namespace tenant
