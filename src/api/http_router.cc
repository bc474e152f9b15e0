#include "api/http_router.h"

#include <fmt/format.h>

#include "api/status_map.h"

namespace brim::api {

void HttpRouter::OnRequest(io::HttpCall& call) {
  for (HttpProtocol* protocol : protocols_) {
    if (protocol->Handle(call)) return;
  }
  constexpr std::size_t kShown = 200;  // Of a path that may be up to the header limit long.
  call.Reply(
      ErrorReply(404, fmt::format("Not Found: no API at '{}'", call.path().substr(0, kShown))));
}

}  // namespace brim::api
