#include "api/kserve_rest.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "api/kserve_describe.h"
#include "api/kserve_infer.h"
#include "api/kserve_json.h"
#include "api/kserve_model_config.h"
#include "api/kserve_rest_infer.h"
#include "api/kserve_settings.h"
#include "api/kserve_shared_memory.h"
#include "api/status_map.h"
#include "base/json.h"

namespace brim::api {
namespace {

constexpr std::size_t kSegmentsMax = 8;  // Of any path below /v2.

void ReplyJson(io::HttpCall& call, std::string_view json, int status = 200) {
  io::HttpReply reply;
  reply.status = status;
  reply.body.Append(json);
  call.Reply(std::move(reply));
}

// Answers 405 and says true when the verb is another.
bool Refused(io::HttpCall& call, std::string_view allowed) {
  // Load balancers ask for the head alone; io leaves the body out.
  if (call.method() == allowed || (allowed == "GET" && call.method() == "HEAD")) return false;
  call.Reply(MethodNotAllowed(allowed == "GET" ? "GET, HEAD" : allowed));
  return true;
}

// The path's pieces below /v2; false when it is not there, or has more pieces than any path of
// ours.
bool Split(std::string_view path, std::array<std::string_view, kSegmentsMax>* segments,
           std::size_t* count) {
  constexpr std::string_view kPrefix = "/v2";
  if (path.substr(0, kPrefix.size()) != kPrefix) return false;
  path.remove_prefix(kPrefix.size());
  *count = 0;
  while (!path.empty()) {
    if (path.front() != '/') return false;
    path.remove_prefix(1);
    if (path.empty()) return true;  // A closing slash.
    if (*count == kSegmentsMax) return false;
    const std::size_t end = std::min(path.find('/'), path.size());
    (*segments)[(*count)++] = path.substr(0, end);
    path.remove_prefix(end);
  }
  return true;
}

bool Is(std::span<const std::string_view> segments, std::initializer_list<std::string_view> text) {
  return std::equal(segments.begin(), segments.end(), text.begin(), text.end());
}

}  // namespace

bool KserveRest::Handle(io::HttpCall& call) {
  std::array<std::string_view, kSegmentsMax> storage;
  std::size_t count = 0;
  if (!Split(call.path(), &storage, &count)) return false;
  const Segments all(storage.data(), count);
  if (all.empty()) {
    if (!Refused(call, "GET")) ReplyJson(call, ServerMetadataJson(services_));
    return true;
  }
  const std::string_view head = all[0];
  const Segments rest = all.subspan(1);
  if (head == "models") return HandleModels(call, rest);
  if (head == "health") {
    if (!Is(rest, {"live"}) && !Is(rest, {"ready"})) return false;
    if (!Refused(call, "GET")) ServerHealth(call, rest[0] == "ready");
    return true;
  }
  if (head == "repository") return HandleRepository(call, rest);
  if (head == "logging" || head == "trace") return HandleSettings(call, all);
  if (head == "systemsharedmemory") return HandleSharedMemory(call, rest, false);
  if (head == "cudasharedmemory") return HandleSharedMemory(call, rest, true);
  return false;
}

bool KserveRest::HandleModels(io::HttpCall& call, Segments rest) {
  if (rest.empty()) {
    if (!Refused(call, "GET")) ModelNames(call);
    return true;
  }
  if (Is(rest, {"stats"})) return HandleModel(call, "", "", rest);
  const std::string_view model = rest[0];
  rest = rest.subspan(1);
  std::string_view version;
  if (rest.size() >= 2 && rest[0] == "versions") {
    version = rest[1];
    rest = rest.subspan(2);
  }
  return HandleModel(call, model, version, rest);
}

bool KserveRest::HandleModel(io::HttpCall& call, std::string_view model, std::string_view version,
                             Segments rest) {
  if (Is(rest, {"infer"})) {
    if (!Refused(call, "POST")) Infer(call, model, version);
    return true;
  }
  if (Is(rest, {"trace", "setting"})) return version.empty() && HandleSettings(call, rest);
  const std::string_view action = rest.size() == 1 ? rest[0] : std::string_view();
  if (rest.size() > 1 ||
      (rest.size() == 1 && action != "ready" && action != "config" && action != "stats")) {
    return false;
  }
  if (Refused(call, "GET")) return true;
  if (action == "ready") {
    ModelReady(call, model, version);
  } else if (action == "stats") {
    const auto rows = GatherStatistics(services_.repository, model, version);
    rows.ok() ? ReplyJson(call, StatisticsJson(*rows)) : call.Reply(ErrorReply(rows.status()));
  } else if (action == "config") {
    const auto found = FindVersion(services_.repository, model, version);
    found.ok() ? ReplyJson(call, ModelConfigJson(**found)) : call.Reply(ErrorReply(found.status()));
  } else {
    const auto metadata = GatherMetadata(services_.repository, model, version);
    metadata.ok() ? ReplyJson(call, ModelMetadataJson(*metadata))
                  : call.Reply(ErrorReply(metadata.status()));
  }
  return true;
}

void KserveRest::ServerHealth(io::HttpCall& call, bool ready_wanted) {
  const bool yes = !ready_wanted || services_.repository.Ready();
  ReplyJson(call, fmt::format("{{\"{}\":{}}}", ready_wanted ? "ready" : "live", yes),
            yes ? 200 : 503);
}

void KserveRest::ModelReady(io::HttpCall& call, std::string_view model, std::string_view version) {
  const auto found = FindVersion(services_.repository, model, version);
  if (!found.ok()) return call.Reply(ErrorReply(found.status()));
  std::string text;
  JsonWriter(&text).BeginObject().Key("name").String(model).Key("ready").Bool(true).EndObject();
  ReplyJson(call, text);
}

// KServe's own servers list their models so; Triton has no such path.
void KserveRest::ModelNames(io::HttpCall& call) {
  std::string text;
  JsonWriter w(&text);
  w.BeginObject().Key("models").BeginArray();
  for (const serving::ModelStatus& model : services_.repository.List()) w.String(model.name);
  w.EndArray().EndObject();
  ReplyJson(call, text);
}

void KserveRest::Infer(io::HttpCall& call, std::string_view model, std::string_view version) {
  auto owned = std::make_unique<RestInfer>(services_, call);
  RestInfer* const infer = owned.get();
  call.Attach(std::move(owned));
  infer->Start(parsers_, model, version);
}

bool KserveRest::HandleRepository(io::HttpCall& call, Segments rest) {
  // Triton's paths may name one of several repositories; here there is one, without a name.
  if (rest.size() >= 2 &&
      (Is(rest.subspan(1), {"index"}) || (rest.size() == 5 && rest[1] == "models"))) {
    call.Reply(ErrorReply(501, "'repository_name' specification is not supported"));
    return true;
  }
  if (Is(rest, {"index"})) {
    if (!Refused(call, "POST")) Index(call);
    return true;
  }
  if (rest.size() != 3 || rest[0] != "models" || (rest[2] != "load" && rest[2] != "unload")) {
    return false;
  }
  if (!Refused(call, "POST")) LoadOrUnload(call, rest[1], rest[2] == "load");
  return true;
}

void KserveRest::Index(io::HttpCall& call) {
  RepositoryJson request;
  JsonParserPool::Lease parser(parsers_);
  if (const Status status = ReadRepositoryJson(*parser, call.body(), LimitsOf(services_), &request);
      !status.ok()) {
    return call.Reply(ErrorReply(status));
  }
  ReplyJson(call, IndexJson(GatherIndex(services_.repository, request.ready)));
}

void KserveRest::LoadOrUnload(io::HttpCall& call, std::string_view model, bool load) {
  RepositoryJson request;
  {
    JsonParserPool::Lease parser(parsers_);
    if (const Status status =
            ReadRepositoryJson(*parser, call.body(), LimitsOf(services_), &request);
        !status.ok()) {
      return call.Reply(ErrorReply(WordedControl(status, model, load)));
    }
  }
  std::string name(model);
  const auto done = [&call, name, load](const Status& status) {
    if (!status.ok()) return call.Reply(ErrorReply(WordedControl(status, name, load)));
    ReplyJson(call, "{}");
  };
  if (!load) return services_.repository.Unload(std::move(name), done);
  services_.repository.Load(std::move(name), {std::move(request.config), std::move(request.files)},
                            done);
}

bool KserveRest::HandleSettings(io::HttpCall& call, Segments segments) {
  const bool logging = Is(segments, {"logging"});
  if (!logging && !Is(segments, {"trace", "setting"})) return false;
  if (call.method() == "GET") {
    ReplyJson(call, logging ? LogSettingsJson(services_) : TraceSettingsJson());
  } else if (call.method() == "POST") {
    call.Reply(ErrorReply(SettingsReadOnly()));
  } else {
    call.Reply(MethodNotAllowed("GET, POST"));
  }
  return true;
}

bool KserveRest::HandleSharedMemory(io::HttpCall& call, Segments rest, bool cuda) {
  std::string_view name;
  if (rest.size() == 3 && rest[0] == "region") {
    name = rest[1];
    rest = rest.subspan(2);
  }
  if (Is(rest, {"status"})) {
    if (Refused(call, "GET")) return true;
    if (cuda) return ReplyJson(call, "[]"), true;
    const auto listed = services_.shared_regions->List(name);
    listed.ok() ? ReplyJson(call, SharedRegionsJson(*listed))
                : call.Reply(ErrorReply(listed.status()));
    return true;
  }
  if (Is(rest, {"unregister"})) {
    if (Refused(call, "POST")) return true;
    if (!cuda) services_.shared_regions->Unregister(name);
    ReplyJson(call, "{}");
    return true;
  }
  if (!Is(rest, {"register"}) || name.empty()) return false;
  if (Refused(call, "POST")) return true;
  const Status status = cuda ? CudaSharedMemoryUnsupported() : RegisterRegion(call, name);
  status.ok() ? ReplyJson(call, "{}") : call.Reply(ErrorReply(status));
  return true;
}

Status KserveRest::RegisterRegion(io::HttpCall& call, std::string_view name) {
  SharedRegionInfo region;
  {
    JsonParserPool::Lease parser(parsers_);
    BRIM_RETURN_IF_ERROR(ReadRegisterJson(*parser, call.body(), &region));
  }
  region.name = name;
  return services_.shared_regions->Register(region);
}

}  // namespace brim::api
