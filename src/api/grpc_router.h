// GrpcRouter: hands each gRPC call to the protocol that knows its method, and answers
// grpc.health.v1.Health itself.
//
// Health: "" and every service name given to the constructor are SERVING once the repository is
// ready; Check of another name is NOT_FOUND. Watch sends the status of the moment and ends: clients
// ask again, which the health protocol allows
// (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). Threads: loop threads, several
// at once; it holds only references.
#pragma once

#include <string>
#include <vector>

#include "api/protocol.h"
#include "io/grpc_call.h"

namespace brim::api {

class GrpcRouter final : public io::GrpcHandler {
 public:
  // The protocols are asked in this order and outlive the router; `service_names` are what Health
  // knows.
  GrpcRouter(const Services& services, std::vector<GrpcProtocol*> protocols,
             std::vector<std::string> service_names);

  Kind Lookup(std::string_view method) const override;
  void OnUnary(io::GrpcCall& call) override;
  void OnStreamStart(io::GrpcCall& call) override;
  void OnStreamMessage(io::GrpcCall& call) override;
  void OnStreamHalfClose(io::GrpcCall& call) override;
  void OnStreamCancel(io::GrpcCall& call) override;

 private:
  GrpcProtocol* Find(std::string_view method) const;
  // 1 SERVING, 2 NOT_SERVING, 3 SERVICE_UNKNOWN (grpc/health/v1/health.proto).
  Status ServingStatus(std::span<const std::byte> message, int* serving) const;
  void Check(io::GrpcCall& call);
  void Watch(io::GrpcCall& call);

  const Services& services_;
  const std::vector<GrpcProtocol*> protocols_;
  const std::vector<std::string> service_names_;
};

}  // namespace brim::api
