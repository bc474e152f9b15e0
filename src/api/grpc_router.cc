#include "api/grpc_router.h"

#include <fmt/format.h>

#include <algorithm>
#include <protozero/pbf_reader.hpp>
#include <utility>

#include "api/proto_writer.h"

namespace brim::api {
namespace {

constexpr std::string_view kCheck = "/grpc.health.v1.Health/Check";
constexpr std::string_view kWatch = "/grpc.health.v1.Health/Watch";
constexpr int kServing = 1;
constexpr int kNotServing = 2;
constexpr int kServiceUnknown = 3;

Status ReadServiceName(std::span<const std::byte> message, std::string_view* service) {
  try {
    protozero::pbf_reader reader(reinterpret_cast<const char*>(message.data()), message.size());
    while (reader.next()) {
      if (reader.tag_and_type() ==
          protozero::tag_and_type(1, protozero::pbf_wire_type::length_delimited)) {
        const protozero::data_view view = reader.get_view();
        *service = {view.data(), view.size()};
      } else {
        reader.skip();
      }
    }
  } catch (const protozero::exception& e) {
    return Status(Code::kInvalidArgument, "protobuf_malformed",
                  fmt::format("HealthCheckRequest is malformed: {}", e.what()));
  }
  return OkStatus();
}

ByteBuffer HealthResponse(int serving) {
  ByteBuffer out;
  ProtoWriter writer(&out);
  writer.Uint(1, static_cast<std::uint64_t>(serving));
  return out;
}

}  // namespace

GrpcRouter::GrpcRouter(const Services& services, std::vector<GrpcProtocol*> protocols,
                       std::vector<std::string> service_names)
    : services_(services),
      protocols_(std::move(protocols)),
      service_names_(std::move(service_names)) {}

GrpcProtocol* GrpcRouter::Find(std::string_view method) const {
  for (GrpcProtocol* protocol : protocols_) {
    if (protocol->Lookup(method) != Kind::kUnknown) return protocol;
  }
  return nullptr;
}

io::GrpcHandler::Kind GrpcRouter::Lookup(std::string_view method) const {
  for (const GrpcProtocol* protocol : protocols_) {
    if (const Kind kind = protocol->Lookup(method); kind != Kind::kUnknown) return kind;
  }
  if (method == kCheck) return Kind::kUnary;
  if (method == kWatch) return Kind::kStream;
  return Kind::kUnknown;
}

Status GrpcRouter::ServingStatus(std::span<const std::byte> message, int* serving) const {
  std::string_view service;
  BRIM_RETURN_IF_ERROR(ReadServiceName(message, &service));
  if (!service.empty() &&
      std::find(service_names_.begin(), service_names_.end(), service) == service_names_.end()) {
    *serving = kServiceUnknown;
  } else {
    *serving = services_.repository.Ready() ? kServing : kNotServing;
  }
  return OkStatus();
}

void GrpcRouter::Check(io::GrpcCall& call) {
  int serving = kServiceUnknown;
  Status status = ServingStatus(call.message(), &serving);
  if (status.ok() && serving == kServiceUnknown) {
    status = Status(Code::kNotFound, "service_unknown", "unknown service");
  }
  if (!status.ok()) return call.Finish(status);
  call.Reply(HealthResponse(serving));
}

void GrpcRouter::Watch(io::GrpcCall& call) {
  int serving = kServiceUnknown;
  if (const Status status = ServingStatus(call.message(), &serving); !status.ok()) {
    return call.Finish(status);
  }
  call.Write(HealthResponse(serving));
  call.Finish(OkStatus());
}

void GrpcRouter::OnUnary(io::GrpcCall& call) {
  if (GrpcProtocol* protocol = Find(call.method())) return protocol->OnUnary(call);
  Check(call);
}

void GrpcRouter::OnStreamStart(io::GrpcCall& call) {
  if (GrpcProtocol* protocol = Find(call.method())) protocol->OnStreamStart(call);
}

namespace {
// Hung on a Watch that was answered, so that what the client sends or ends later is not answered
// again.
class WatchAnswered final : public io::CallState {};
}  // namespace

void GrpcRouter::OnStreamMessage(io::GrpcCall& call) {
  if (GrpcProtocol* protocol = Find(call.method())) return protocol->OnStreamMessage(call);
  if (call.state() != nullptr) return;
  call.Attach(std::make_unique<WatchAnswered>());
  Watch(call);
}

void GrpcRouter::OnStreamHalfClose(io::GrpcCall& call) {
  if (GrpcProtocol* protocol = Find(call.method())) return protocol->OnStreamHalfClose(call);
  if (call.state() != nullptr) return;
  call.Finish(Status(Code::kInvalidArgument, "request_missing", "Watch takes one request"));
}

void GrpcRouter::OnStreamCancel(io::GrpcCall& call) {
  if (GrpcProtocol* protocol = Find(call.method())) return protocol->OnStreamCancel(call);
  if (call.state() != nullptr) return;
  call.Finish(Status(Code::kCancelled, "cancelled", "the client is gone"));
}

}  // namespace brim::api
