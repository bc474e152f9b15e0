// Comparator: OpenVINO alone, called in a loop by as many threads as asked; no server.
//
// Closed loop (default): each caller owns one compiled copy and runs it over and over. Open loop
// (--rate): as many compiled copies as --models says; each caller draws Poisson arrivals and a
// model by Zipf popularity, and sleeps until the arrival is due, so that the caches see what a
// server's see. With --sockets each inference's bytes come from and go to a peer over loopback TCP
// (bare_copy.h). Copies have num_streams(0), so that an inference runs on its caller; f32. The
// model keeps its dynamic shape unless --static. --unfused leaves out the CPU device's generated
// kernels, as Brim does where they may be wrong. --read infers nothing: it reads as many bytes as
// the model's weights have, in place of each inference (bare_weights.cc). Prints one JSON line:
// infer/s, CPU-us per inference of the process (without loading and the peer), of infer() or the
// reading alone, of the peer, and more.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bare_copy.h"

namespace brim::bench {
namespace {

constexpr char kUsage[] =
    "usage: bare_openvino --model FILE --shape 1,150 [--callers N] [--seconds S] [--static]\n"
    "                     [--unfused] [--read] [--rate R [--models N] [--zipf 1.1] [--seed 1]]\n"
    "                     [--sockets N]\n";

struct Options {
  std::string model;
  ov::Shape shape;
  int callers = 1;
  double seconds = 3;
  bool is_static = false;
  bool unfused = false;
  bool read = false;
  double rate = 0;  // Inferences a second of all callers; 0: closed loop.
  int models = 1;
  double zipf = 1.1;
  unsigned seed = 1;
  int sockets = 0;  // Connections of all callers; 0: no sockets.
};

bool ParseValue(std::string_view word, char* value, Options* options) {
  if (word == "--model") {
    options->model = value;
  } else if (word == "--callers") {
    options->callers = std::atoi(value);
  } else if (word == "--seconds") {
    options->seconds = std::atof(value);
  } else if (word == "--rate") {
    options->rate = std::atof(value);
  } else if (word == "--models") {
    options->models = std::atoi(value);
  } else if (word == "--zipf") {
    options->zipf = std::atof(value);
  } else if (word == "--seed") {
    options->seed = static_cast<unsigned>(std::atoi(value));
  } else if (word == "--sockets") {
    options->sockets = std::atoi(value);
  } else if (word == "--shape") {
    for (char* at = value; *at != '\0';) {
      options->shape.push_back(std::strtoull(at, &at, 10));
      if (*at == ',') ++at;
    }
  } else {
    return false;
  }
  return true;
}

bool Parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--static") {
      options->is_static = true;
    } else if (word == "--unfused") {
      options->unfused = true;
    } else if (word == "--read") {
      options->read = true;
    } else if (++i == argc || !ParseValue(word, argv[i], options)) {
      return false;
    }
  }
  return !options->model.empty() && !options->shape.empty() && options->callers > 0 &&
         options->models > 0;
}

void Run(Copy* copy) {
  if (copy->weights.empty()) {
    copy->request.infer();
  } else {
    ReadWeights(*copy);
  }
}

void Closed(Copy* copy, const std::atomic<bool>& stop, Caller* caller) {
  while (!stop.load(std::memory_order_relaxed)) {
    const double begin = Seconds(CLOCK_MONOTONIC);
    Run(copy);
    caller->latency_us.push_back(static_cast<float>(1e6 * (Seconds(CLOCK_MONOTONIC) - begin)));
  }
  caller->infer_cpu_s = Seconds(CLOCK_THREAD_CPUTIME_ID);
}

void Open(const Options& options, unsigned number, const Copies& copies,
          const std::atomic<bool>& stop, Caller* caller) {
  std::mt19937_64 random(options.seed * 1000 + number);
  std::vector<double> share;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    share.push_back((share.empty() ? 0 : share.back()) +
                    1 / std::pow(static_cast<double>(i + 1), options.zipf));
  }
  std::exponential_distribution<double> gap(options.rate / options.callers);
  std::uniform_real_distribution<double> point(0, share.back());
  for (double due = Seconds(CLOCK_MONOTONIC) + gap(random); !stop.load(); due += gap(random)) {
    if (const double wait = due - Seconds(CLOCK_MONOTONIC); wait > 0) {
      timespec until{static_cast<time_t>(due), 0};
      until.tv_nsec = static_cast<long>(1e9 * (due - static_cast<double>(until.tv_sec)));
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
    }
    const auto at = static_cast<std::size_t>(
        std::lower_bound(share.begin(), share.end(), point(random)) - share.begin());
    Copy& copy = *copies[std::min(at, copies.size() - 1)];
    {
      const std::lock_guard lock(copy.mutex);
      const double cpu = Seconds(CLOCK_THREAD_CPUTIME_ID);
      Run(&copy);
      caller->infer_cpu_s += Seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    }
    caller->latency_us.push_back(static_cast<float>(1e6 * (Seconds(CLOCK_MONOTONIC) - due)));
  }
}

double Quantile(std::vector<float>* values, double part) {
  if (values->empty()) return 0;
  const auto at =
      values->begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values->size() - 1));
  std::nth_element(values->begin(), at, values->end());
  return static_cast<double>(*at);
}

double ResidentMb() {
  unsigned long total = 0;
  unsigned long resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
  std::fclose(file);
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

void Measure(const Options& options, const Copies& copies) {
  std::atomic<bool> stop{false};
  std::vector<Caller> callers(static_cast<std::size_t>(options.callers));
  for (Caller& caller : callers) caller.latency_us.reserve(1 << 20);
  std::vector<std::jthread> threads;
  const double cpu = Seconds(CLOCK_PROCESS_CPUTIME_ID);
  const double start = Seconds(CLOCK_MONOTONIC);
  for (unsigned i = 0; i < callers.size(); ++i) {
    threads.emplace_back([&, i] {
      if (options.rate > 0) {
        Open(options, i, copies, stop, &callers[i]);
      } else if (options.sockets > 0) {
        OverSockets(copies[i].get(), std::max(1, options.sockets / options.callers), stop,
                    &callers[i]);
      } else {
        Closed(copies[i].get(), stop, &callers[i]);
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
  stop = true;
  threads.clear();
  const double wall = Seconds(CLOCK_MONOTONIC) - start;
  const double cpu_used = Seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  std::vector<float> all;
  double infer_cpu = 0;
  double peer_cpu = 0;
  for (const Caller& caller : callers) {
    all.insert(all.end(), caller.latency_us.begin(), caller.latency_us.end());
    infer_cpu += caller.infer_cpu_s;
    peer_cpu += caller.peer_cpu_s;
  }
  const double count = std::max(1.0, static_cast<double>(all.size()));
  std::printf(
      "{\"rate\": %.2f, \"cpu_us\": %.3f, \"infer_cpu_us\": %.3f, \"client_cpu_us\": %.3f, "
      "\"p50_us\": %.1f, \"p99_us\": %.1f, \"answers\": %zu, \"rss_mb\": %.1f}\n",
      count / wall, 1e6 * (cpu_used - peer_cpu) / count, 1e6 * infer_cpu / count,
      1e6 * peer_cpu / count, Quantile(&all, 0.5), Quantile(&all, 0.99), all.size(), ResidentMb());
}

}  // namespace
}  // namespace brim::bench

int main(int argc, char** argv) {
  brim::bench::Options options;
  if (!brim::bench::Parse(argc, argv, &options)) {
    std::fputs(brim::bench::kUsage, stderr);
    return 2;
  }
  try {
    const int count = options.rate > 0 ? options.models : options.callers;
    brim::bench::Measure(
        options, options.read ? brim::bench::MakeReaders(options.model, count)
                              : brim::bench::MakeCopies(options.model, options.shape, count,
                                                        options.is_static, options.unfused));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bare_openvino: %s\n", error.what());
    return 1;
  }
  return 0;
}
