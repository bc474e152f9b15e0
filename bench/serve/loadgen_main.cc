// loadgen: loads a KServe v2 server on this machine and prints one JSON line; --help says how.
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "loadgen.h"

namespace brim::bench {
namespace {

constexpr char kHelp[] = R"(usage: loadgen --port P --model NAME --input NAME --dims 1,150 [options]
  --protocol http|grpc   HTTP/1.1 with the binary tensor extension (default), or gRPC
  --connections N        default 1
  --streams M            gRPC: concurrent calls of each connection, default 1
  --rate R               open loop: Poisson arrivals, R a second; without it closed loop
  --models N             load NAME_000 to NAME_(N-1), popularity Zipf (--zipf S, default 1.1)
  --seconds S            measured, default 3, after --warmup S, default 0.5
  --answer-bytes B       an answer's body has at least this many bytes; all must be of one size
  --shared-output NAME   gRPC, a call per connection: the input and this output lie in shared memory
  --shared-bytes B       and so many bytes has the output
  --pid PID              also print this process's CPU time per answer
  --seed N, --nice N     of the arrivals (default 1); of this process
  --dump FILE            write the gRPC frame for other load generators and stop
Exit code 1: the server could not be loaded or an answer was wrong; "first_error" says why.
)";

bool ParseNumber(std::string_view word, const char* value, LoadOptions* options) {
  const double number = std::atof(value);
  const auto count = static_cast<std::size_t>(std::max(0.0, number));
  if (word == "--port")
    options->port = static_cast<std::uint16_t>(count);
  else if (word == "--connections")
    options->connections = std::max<std::size_t>(1, count);
  else if (word == "--streams")
    options->streams = std::max<std::size_t>(1, count);
  else if (word == "--rate")
    options->rate = number;
  else if (word == "--models")
    options->models = count;
  else if (word == "--zipf")
    options->zipf = number;
  else if (word == "--seconds")
    options->seconds = number;
  else if (word == "--warmup")
    options->warmup = number;
  else if (word == "--answer-bytes")
    options->answer_bytes = count;
  else if (word == "--shared-bytes")
    options->request.shared_output_bytes = count;
  else if (word == "--pid")
    options->pid = static_cast<int>(number);
  else if (word == "--seed")
    options->seed = count;
  else if (word == "--nice")
    options->nice = static_cast<int>(number);
  else
    return false;
  return true;
}

bool Parse(int argc, char** argv, LoadOptions* options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view word = argv[i];
    char* value = argv[i + 1];
    if (word == "--protocol") {
      options->grpc = std::string_view(value) == "grpc";
    } else if (word == "--model") {
      options->request.model = value;
    } else if (word == "--input") {
      options->request.input = value;
    } else if (word == "--shared-output") {
      options->request.shared_output = value;
    } else if (word == "--dump") {
      options->dump = value;
    } else if (word == "--dims") {
      for (char* at = value; *at != '\0';) {
        options->request.dims.push_back(std::strtoll(at, &at, 10));
        if (*at != '\0' && *at++ != ',') return false;
      }
    } else if (!ParseNumber(word, value, options)) {
      return false;
    }
  }
  const bool is_shared = !options->request.shared_output.empty();
  if (is_shared && (!options->grpc || options->streams != 1 || options->models != 0 ||
                    options->request.shared_output_bytes == 0)) {
    return false;
  }
  return argc % 2 == 1 && !options->request.model.empty() && !options->request.dims.empty() &&
         (options->port > 0 || !options->dump.empty());
}

double Quantile(std::vector<float>* values, double part) {
  if (values->empty()) return 0;
  const auto at =
      values->begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values->size() - 1));
  std::nth_element(values->begin(), at, values->end());
  return static_cast<double>(*at);
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e ? ' ' : c;
  }
  return out + "\"";
}

void Print(LoadReport* r) {
  std::printf("{\"rate\": %.1f, \"answers\": %llu, \"errors\": %llu, \"answer_bytes\": %zu",
              r->wall_s > 0 ? static_cast<double>(r->answers) / r->wall_s : 0,
              static_cast<unsigned long long>(r->answers),
              static_cast<unsigned long long>(r->errors), r->answer_bytes);
  if (r->cpu_us) std::printf(", \"cpu_us\": %.3f", *r->cpu_us);
  std::printf(", \"client_cpu_us\": %.3f", r->own_cpu_us);
  for (const auto& [name, part] :
       {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.0}}) {
    std::printf(", \"%s_us\": %.1f", name, Quantile(&r->latency_us, part));
  }
  std::printf(", \"slow_50ms\": %lld, \"lag_p99_us\": %.1f, \"first_error\": %s}\n",
              static_cast<long long>(std::count_if(r->latency_us.begin(), r->latency_us.end(),
                                                   [](float us) { return us > 50000; })),
              Quantile(&r->lag_us, 0.99), Quoted(r->first_error).c_str());
}

int Main(int argc, char** argv) {
  LoadOptions options;
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (!Parse(argc, argv, &options)) {
    std::fputs(kHelp, stderr);
    return 2;
  }
  if (!options.dump.empty()) {
    std::ofstream(options.dump, std::ios::binary) << GrpcFrame(options.request);
    return 0;
  }
  prctl(PR_SET_TIMERSLACK, 1);  // Arrivals to the microsecond; 50 us is the default.
  if (options.nice != 0) setpriority(PRIO_PROCESS, 0, options.nice);
  Generator generator(options);
  const bool ran = generator.Run();
  Print(&generator.report());
  return ran && generator.report().errors == 0 ? 0 : 1;
}

}  // namespace
}  // namespace brim::bench

int main(int argc, char** argv) { return brim::bench::Main(argc, argv); }
