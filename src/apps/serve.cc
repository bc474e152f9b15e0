#include "apps/serve.h"

#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

#include "api/admin.h"
#include "api/grpc_router.h"
#include "api/http_router.h"
#include "api/kserve_grpc.h"
#include "api/kserve_rest.h"
#include "api/tfs_grpc.h"
#include "api/tfs_rest.h"
#include "apps/serve_settings.h"
#include "apps/serve_table.h"
#include "apps/version.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "io/cpu_limits.h"
#include "io/server.h"
#include "runtimes/host.h"
#include "serving/engine.h"
#include "serving/repository.h"

namespace brim::apps {
namespace {

LogLevel LevelOf(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return name == "off" ? LogLevel::kOff : LogLevel::kInfo;
}

Result<serving::VersionConfig> ParseVersionPolicy(const std::string& text) {
  serving::VersionConfig config;
  if (text == "all") {
    config.rule = serving::VersionRule::kAll;
    return config;
  }
  const std::vector<std::string_view> parts = Split(text, ':');
  if (parts[0] == "latest" && parts.size() <= 2) {
    const auto count = parts.size() == 2 ? ParseUint64(parts[1]) : std::optional<std::uint64_t>(1);
    if (count && *count >= 1 && *count <= 1000) {
      config.latest = static_cast<std::uint32_t>(*count);
      return config;
    }
  }
  return Status(Code::kInvalidArgument, "setting_invalid",
                fmt::format("--version-policy must be all, latest or latest:N, not '{}'", text));
}

Result<serving::RepositoryOptions> MakeRepositoryOptions(const ServeSettings& s,
                                                         std::uint32_t workers) {
  serving::RepositoryOptions options;
  options.path = s.path;
  options.explicit_control = s.model_control == "explicit";
  options.load_at_start = s.load_model;
  options.poll = std::chrono::milliseconds(s.model_control == "poll" ? s.poll_ms : 0);
  options.workers = workers;
  serving::ConfigDefaults& defaults = options.defaults;
  defaults.runtime = s.runtime;
  defaults.precision = s.precision;
  defaults.device = s.device;
  defaults.owner = s.owner;
  defaults.batch.enabled = s.batch_rows_max > 1;
  defaults.batch.rows_max = s.batch_rows_max;
  defaults.batch.delay_max = std::chrono::microseconds(s.batch_delay_us);
  defaults.queue.requests_max = s.queue_requests_max;
  defaults.queue.timeout = std::chrono::microseconds(s.queue_timeout_us);
  BRIM_ASSIGN_OR_RETURN(defaults.versions, ParseVersionPolicy(s.version_policy));
  return options;
}

Result<io::ServerOptions> MakeServerOptions(const ServeSettings& s, std::uint32_t loops) {
  io::ServerOptions options;
  options.listen.push_back({s.host, static_cast<std::uint16_t>(s.port)});
  for (const std::string& address : s.listen) {
    const std::size_t colon = address.rfind(':');
    const auto port =
        colon == std::string::npos ? std::nullopt : ParseUint64(address.substr(colon + 1));
    if (!port || *port > 65535) {
      return Status(Code::kInvalidArgument, "setting_invalid",
                    fmt::format("--listen takes host:port, not '{}'", address));
    }
    options.listen.push_back({address.substr(0, colon), static_cast<std::uint16_t>(*port)});
  }
  options.loops = loops;
  options.connections_max = s.connections_max;
  options.body_bytes_max = s.body_bytes_max;
  options.in_flight_bytes_max = s.in_flight_bytes_max;
  options.streams_max = s.streams_max;
  options.idle_timeout = std::chrono::seconds(s.idle_timeout_s);
  options.read_timeout = std::chrono::seconds(s.read_timeout_s);
  options.tls_certificate = s.tls_certificate;
  options.tls_key = s.tls_key;
  return options;
}

runtimes::HostOptions MakeHostOptions(const ServeSettings& s, std::uint32_t workers,
                                      std::uint32_t loops) {
  runtimes::HostOptions options;
  options.plugin_dirs = {s.plugin_dir.empty() ? DefaultPluginDir() : s.plugin_dir};
  if (!s.tensorflow_dir.empty()) options.library_dirs["tensorflow"] = s.tensorflow_dir;
  options.worker_threads = workers + loops;
  return options;
}

// Bodies of up to 32 MiB stay with malloc between requests: given back to the kernel each time,
// their page faults triple the cost of a 600 KB request. 32 MiB is the most that glibc accepts.
void KeepLargeBodies() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 128 << 20);
}

// SIGTERM and SIGINT are taken by WaitForSignal alone; every thread made later inherits the mask.
sigset_t BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

// Everything that lives while the server runs, in order of construction; destroyed in reverse.
struct ServerParts {
  ServerParts(const ServeSettings& s, std::uint32_t workers_in, std::uint32_t loops_in)
      : workers(workers_in),
        loops(loops_in),
        logger(STDERR_FILENO, LevelOf(s.log_level),
               s.log_format == "json" ? LogFormat::kJson : LogFormat::kText, clock),
        access_log(STDERR_FILENO, s.access_log ? LogLevel::kInfo : LogLevel::kOff,
                   s.log_format == "json" ? LogFormat::kJson : LogFormat::kText, clock),
        host(MakeHostOptions(s, workers_in, loops_in)) {}

  Status Start(const ServeSettings& s) {
    BRIM_ASSIGN_OR_RETURN(serving::RepositoryOptions repository_options,
                          MakeRepositoryOptions(s, workers));
    BRIM_ASSIGN_OR_RETURN(io::ServerOptions server_options, MakeServerOptions(s, loops));
    repository =
        std::make_unique<serving::Repository>(std::move(repository_options), host, clock, logger);
    serving::EngineOptions engine_options;
    engine_options.workers = workers;
    engine_options.run_here_max = std::chrono::microseconds(s.run_here_us_max);
    engine = std::make_unique<serving::Engine>(engine_options, clock, logger);
    services = std::make_unique<api::Services>(api::Services{
        *engine, *repository, clock, logger, access_log, s.server_name, VersionNumber()});
    services->json_depth_max = s.json_depth_max;
    services->shared_regions =
        std::make_shared<api::SharedRegions>(s.shared_memory, s.in_flight_bytes_max);
    services->io_loops = loops;
    services->tls = !s.tls_key.empty();
    protocols = std::make_unique<Protocols>(*services);
    server = std::make_unique<io::Server>(std::move(server_options), clock, logger,
                                          io::ServerHandlers{&protocols->http, &protocols->grpc});
    services->server = server.get();
    BRIM_RETURN_IF_ERROR(repository->Start());
    engine->Start();
    return server->Start();
  }

  // True when every request was answered. Else something still runs, and these parts cannot be
  // destroyed before it ends.
  bool Stop(std::chrono::seconds patience) {
    if (!server->Drain(patience)) return false;
    engine->Drain(clock.Now());
    server.reset();
    return true;
  }

  struct Protocols {
    explicit Protocols(const api::Services& services)
        : kserve_rest(services),
          tfs_rest(services),
          admin(services),
          kserve_grpc(services),
          tfs_grpc(services),
          http({&kserve_rest, &tfs_rest, &admin}),
          grpc(services, {&kserve_grpc, &tfs_grpc},
               {"inference.GRPCInferenceService", std::string(api::TfsGrpc::kPredictionService),
                std::string(api::TfsGrpc::kModelService)}) {}
    api::KserveRest kserve_rest;
    api::TfsRest tfs_rest;
    api::Admin admin;
    api::KserveGrpc kserve_grpc;
    api::TfsGrpc tfs_grpc;
    api::HttpRouter http;
    api::GrpcRouter grpc;
  };

  const std::uint32_t workers;
  const std::uint32_t loops;
  SystemClock clock;
  Logger logger;
  Logger access_log;
  runtimes::Host host;
  std::unique_ptr<serving::Repository> repository;
  std::unique_ptr<serving::Engine> engine;
  std::unique_ptr<api::Services> services;
  std::unique_ptr<Protocols> protocols;
  std::unique_ptr<io::Server> server;
};

// Calls `each_second` until a stop signal comes; returns that signal.
template <typename EachSecond>
int WaitForSignal(const sigset_t& set, EachSecond each_second) {
  for (;;) {
    const timespec second{1, 0};
    const int signal_number = sigtimedwait(&set, nullptr, &second);
    if (signal_number == SIGTERM || signal_number == SIGINT) return signal_number;
    each_second();
  }
}

}  // namespace

int Serve(const std::vector<std::string>& arguments) {
  const ParsedServe parsed = ParseServe(arguments);
  if (!parsed.run) {
    std::fputs(parsed.text.c_str(), parsed.exit_code == 0 ? stdout : stderr);
    return parsed.exit_code;
  }
  const ServeSettings& s = parsed.settings;
  KeepLargeBodies();
  const sigset_t stop_signals = BlockSignals();
  const std::uint32_t cores = io::ReadCpuLimits("").Threads();
  const std::uint32_t workers = s.workers > 0 ? s.workers : cores;
  ServerParts parts(s, workers, s.loops > 0 ? s.loops : workers);
  const Status started = parts.Start(s);
  if (!started.ok()) {
    std::fprintf(stderr, "brim serve: %s\n", started.message().c_str());
    return started.code() == Code::kInvalidArgument ? 2 : 1;
  }
  parts.repository->WaitForFirstScan([&](const serving::ModelStatus& model) {
    if (!s.json) std::fputs(ProgressLine(model).c_str(), stderr);
  });
  const StartReport report{s.host, parts.server->ports(), workers, parts.loops, !s.tls_key.empty()};
  std::fputs((s.json ? StartJson(*parts.repository, report) : StartTable(*parts.repository, report))
                 .c_str(),
             stdout);
  std::fflush(stdout);

  const int signal_number = WaitForSignal(stop_signals, [&] { parts.repository->TuneCopies(); });
  parts.logger.Info("draining", {{"signal", signal_number == SIGTERM ? "SIGTERM" : "SIGINT"}});
  const bool answered = parts.Stop(std::chrono::seconds(s.drain_timeout_s));
  parts.logger.Info("stopped", {{"all_answered", answered ? "yes" : "no"}});
  // The time to wait for what still runs is over.
  if (!answered) _exit(3);
  return 0;
}

}  // namespace brim::apps
