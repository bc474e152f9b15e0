// What HTTP/1.1 and HTTP/2 do alike to a handler's reply. Pure; any thread.
#pragma once

#include <string_view>

#include "io/http_call.h"

namespace brim::io {

// RFC 9110, sections 8.6 and 15.3.5: these have neither content nor a length.
inline bool ForbidsBody(int status) { return status < 200 || status == 204 || status == 304; }

// Compresses the body in place, with the header fields that say so, where the client accepts it and
// it pays: text of some length that shrinks. On a loop only up to a size that does not hold up the
// other connections.
void EncodeReplyBody(HttpReply* reply, std::string_view accept_encoding, bool on_loop);

}  // namespace brim::io
