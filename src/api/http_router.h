// HttpRouter: hands each HTTP request to the first protocol that knows its path; 404 {"error"}
// otherwise.
//
// The wrong verb on a known path is the protocol's to refuse (405). Threads: loop threads, several
// at once; it holds only its list of protocols.
#pragma once

#include <vector>

#include "api/protocol.h"
#include "io/http_call.h"

namespace brim::api {

class HttpRouter final : public io::HttpHandler {
 public:
  // The protocols are asked in this order and outlive the router.
  explicit HttpRouter(std::vector<HttpProtocol*> protocols) : protocols_(std::move(protocols)) {}

  void OnRequest(io::HttpCall& call) override;

 private:
  const std::vector<HttpProtocol*> protocols_;
};

}  // namespace brim::api
