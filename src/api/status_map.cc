#include "api/status_map.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/json.h"

namespace brim::api {

int HttpStatusOf(Code code) {
  switch (code) {
    case Code::kOk:
      return 200;
    case Code::kInvalidArgument:
    case Code::kFailedPrecondition:
    case Code::kOutOfRange:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
    case Code::kAborted:
      return 409;
    case Code::kResourceExhausted:
      return 429;
    case Code::kCancelled:
      return 499;
    case Code::kUnimplemented:
      return 501;
    case Code::kUnavailable:
      return 503;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kUnknown:
    case Code::kInternal:
    case Code::kDataLoss:
      break;
  }
  return 500;
}

std::string RetryAfterSeconds(Duration delay) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(delay).count();
  return std::to_string(std::max<std::int64_t>(seconds, 1));
}

io::HttpReply ErrorReply(int http_status, std::string_view message) {
  std::string text;
  JsonWriter(&text).BeginObject().Key("error").String(message).EndObject();
  io::HttpReply reply;
  reply.status = http_status;
  reply.body.Append(text);
  return reply;
}

io::HttpReply ErrorReply(const Status& status, Duration retry_delay) {
  io::HttpReply reply = ErrorReply(HttpStatusOf(status.code()), status.message());
  if (retry_delay > Duration::zero()) {
    reply.headers.emplace_back("retry-after", RetryAfterSeconds(retry_delay));
  }
  return reply;
}

io::HttpReply MethodNotAllowed(std::string_view allow) {
  io::HttpReply reply = ErrorReply(405, "Method Not Allowed");
  reply.headers.emplace_back("allow", allow);
  return reply;
}

}  // namespace brim::api
