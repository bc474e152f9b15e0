// Status codes as each transport and protocol shows them.
//
// gRPC sends the canonical code itself (io::GrpcCall::Finish). Over HTTP both protocols use one
// table, which is TensorFlow Serving's (tensorflow_serving/model_servers/http_rest_api_util.cc and
// absl's mapping) and agrees with Triton's for the codes that Triton has (INTERNAL 500, NOT_FOUND
// 404, UNAVAILABLE 503, UNSUPPORTED 501, others 400). Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/status.h"
#include "io/http_call.h"

namespace brim::api {

int HttpStatusOf(Code code);

// Whole seconds for a Retry-After header (RFC 9110, section 10.2.3), rounded up, at least 1.
// REQUIRES: delay > 0.
std::string RetryAfterSeconds(Duration delay);

// {"error": message} with HttpStatusOf(status.code()); Retry-After when retry_delay > 0. REQUIRES:
// !status.ok().
io::HttpReply ErrorReply(const Status& status, Duration retry_delay = Duration::zero());
io::HttpReply ErrorReply(int http_status, std::string_view message);

// 405 with an Allow header, e.g. allow = "GET".
io::HttpReply MethodNotAllowed(std::string_view allow);

}  // namespace brim::api
