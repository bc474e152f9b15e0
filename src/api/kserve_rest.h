// KserveRest: KServe v2 over HTTP, with Triton's extensions but for tracing, log settings and
// CUDA's shared memory.
//
// Paths (all under /v2): health/{live,ready}; models; models/stats; models/M[/versions/V] with
// /ready, /config, /stats, /infer; repository/index; repository/models/M/{load,unload}; logging and
// [models/M/]trace/setting to read only; {system,cuda}sharedmemory[/region/R]/{status,register,
// unregister}. Sources: Open Inference Protocol inference_rest.md; Triton
// docs/protocol/*.md, src/http_server.cc. Threads: Handle on loops, several at once; answers come
// from workers and the loader as well. Its only state is a pool of JSON parsers.
#pragma once

#include <span>
#include <string_view>

#include "api/json_parser.h"
#include "api/protocol.h"

namespace brim::api {

class KserveRest final : public HttpProtocol {
 public:
  explicit KserveRest(const Services& services) : services_(services) {}

  bool Handle(io::HttpCall& call) override;

 private:
  using Segments = std::span<const std::string_view>;

  bool HandleModels(io::HttpCall& call, Segments rest);
  bool HandleModel(io::HttpCall& call, std::string_view model, std::string_view version,
                   Segments rest);
  bool HandleRepository(io::HttpCall& call, Segments rest);
  bool HandleSettings(io::HttpCall& call, Segments rest);
  bool HandleSharedMemory(io::HttpCall& call, Segments rest, bool cuda);
  Status RegisterRegion(io::HttpCall& call, std::string_view name);

  void ServerHealth(io::HttpCall& call, bool ready_wanted);
  void ModelReady(io::HttpCall& call, std::string_view model, std::string_view version);
  void ModelNames(io::HttpCall& call);
  void Infer(io::HttpCall& call, std::string_view model, std::string_view version);
  void Index(io::HttpCall& call);
  void LoadOrUnload(io::HttpCall& call, std::string_view model, bool load);

  const Services& services_;
  JsonParserPool parsers_;
};

}  // namespace brim::api
