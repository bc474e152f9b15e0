// Comparator: OpenVINO alone, called in a loop by as many threads as asked; no server.
//
// Each caller owns one compiled copy with num_streams(0), so that an inference runs on its caller;
// f32. The model keeps its dynamic shape unless --static. Prints one JSON line: infer/s, CPU-us per
// inference of the whole process (loading not counted), p50 and p99.
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <openvino/openvino.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr char kUsage[] =
    "usage: bare_openvino --model FILE --shape 1,150 [--callers N] [--seconds S] [--static]\n";

struct Options {
  std::string model;
  ov::Shape shape;
  int callers = 1;
  double seconds = 3;
  bool is_static = false;
};

bool Parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--static") {
      options->is_static = true;
      continue;
    }
    if (++i == argc) return false;
    if (word == "--model") {
      options->model = argv[i];
    } else if (word == "--callers") {
      options->callers = std::atoi(argv[i]);
    } else if (word == "--seconds") {
      options->seconds = std::atof(argv[i]);
    } else if (word == "--shape") {
      for (char* at = argv[i]; *at != '\0';) {
        options->shape.push_back(std::strtoull(at, &at, 10));
        if (*at == ',') ++at;
      }
    } else {
      return false;
    }
  }
  return !options->model.empty() && !options->shape.empty() && options->callers > 0;
}

double Seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Caller {
  ov::CompiledModel compiled;
  ov::InferRequest request;
  std::vector<float> input;
  std::vector<float> latency_us;  // Of the measured runs.

  void Run(const ov::Shape& shape) {
    request.set_input_tensor(ov::Tensor(ov::element::f32, shape, input.data()));
    request.infer();
  }
};

double Quantile(std::vector<float>* values, double part) {
  if (values->empty()) return 0;
  const auto at =
      values->begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values->size() - 1));
  std::nth_element(values->begin(), at, values->end());
  return static_cast<double>(*at);
}

void Measure(const Options& options, std::vector<Caller>* callers) {
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  const double cpu = Seconds(CLOCK_PROCESS_CPUTIME_ID);
  const double start = Seconds(CLOCK_MONOTONIC);
  for (Caller& caller : *callers) {
    threads.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        const double begin = Seconds(CLOCK_MONOTONIC);
        caller.Run(options.shape);
        caller.latency_us.push_back(static_cast<float>(1e6 * (Seconds(CLOCK_MONOTONIC) - begin)));
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
  stop = true;
  threads.clear();
  const double wall = Seconds(CLOCK_MONOTONIC) - start;
  const double cpu_used = Seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  std::vector<float> all;
  for (const Caller& caller : *callers) {
    all.insert(all.end(), caller.latency_us.begin(), caller.latency_us.end());
  }
  const double count = std::max(1.0, static_cast<double>(all.size()));
  std::printf(
      "{\"rate\": %.2f, \"cpu_us\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"answers\": %zu}\n",
      count / wall, 1e6 * cpu_used / count, Quantile(&all, 0.5), Quantile(&all, 0.99), all.size());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, &options)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  try {
    ov::Core core;
    const std::shared_ptr<ov::Model> model = core.read_model(options.model);
    if (options.is_static) model->reshape(ov::PartialShape(options.shape));
    std::vector<Caller> callers(static_cast<std::size_t>(options.callers));
    for (Caller& caller : callers) {
      caller.compiled = core.compile_model(model, "CPU", ov::num_streams(0),
                                           ov::hint::inference_precision(ov::element::f32));
      caller.request = caller.compiled.create_infer_request();
      caller.input.assign(ov::shape_size(options.shape), 0.5f);
      caller.latency_us.reserve(1 << 20);
      for (int i = 0; i < 3; ++i) caller.Run(options.shape);
    }
    Measure(options, &callers);
  } catch (const ov::Exception& error) {
    std::fprintf(stderr, "bare_openvino: %s\n", error.what());
    return 1;
  }
  return 0;
}
