// TensorFlow Serving's REST API: POST /v1/models/M[/versions/N|/labels/L]:predict|classify|regress,
// GET for a model's status and, with /metadata, its signatures. Paths are matched without regard to
// case, as there.
//
// Everything below /v1/ is this protocol's but /v1/brim/; a path that it does not have is 400
// "Malformed request", as TensorFlow Serving answers. Source: tensorflow_serving/g3doc/api_rest.md,
// model_servers/http_rest_api_*.cc. Threads: Handle on loop threads, several at once; it holds only
// references.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "api/protocol.h"
#include "api/tfs_proto.h"
#include "base/status.h"

namespace brim::api {

// What a path means. Views into it.
struct TfsRestPath {
  TfsModelSpec spec;
  std::string_view verb;  // "predict", "classify", "regress" as written; empty without one.
  bool metadata = false;
};

// Null: no path of this API. kInvalidArgument through `status`: a version that is no 64-bit number.
std::optional<TfsRestPath> ParseTfsRestPath(std::string_view path, Status* status);

class TfsRest final : public HttpProtocol {
 public:
  explicit TfsRest(const Services& services) : services_(services) {}
  bool Handle(io::HttpCall& call) override;

 private:
  void Infer(io::HttpCall& call, const TfsRestPath& path);
  void DescribeVersions(io::HttpCall& call, const TfsModelSpec& spec);
  void DescribeSignatures(io::HttpCall& call, const TfsModelSpec& spec);

  const Services& services_;
};

}  // namespace brim::api
