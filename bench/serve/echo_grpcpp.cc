// Comparator: grpc++'s callback API answering KServe's ModelInfer with its own input.
//
// Usage: echo_grpcpp PORT. The library's fastest way for unary calls, its own threads and defaults;
// only the message limit is lifted. Threads: grpc++'s.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <string>

#include "echo.grpc.pb.h"

namespace {

class Echo final : public inference::GRPCInferenceService::CallbackService {
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context,
                                       const inference::ModelInferRequest* request,
                                       inference::ModelInferResponse* response) override {
    response->set_model_name(request->model_name());
    response->set_id(request->id());
    for (const auto& input : request->inputs()) {
      auto* output = response->add_outputs();
      output->set_name("OUTPUT0");
      output->set_datatype(input.datatype());
      *output->mutable_shape() = input.shape();
    }
    // The request is ours and dies with the call: its bytes are taken, not copied.
    auto* taken = const_cast<inference::ModelInferRequest*>(request);
    for (std::string& bytes : *taken->mutable_raw_input_contents()) {
      response->add_raw_output_contents(std::move(bytes));
    }
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: echo_grpcpp PORT\n", stderr);
    return 2;
  }
  Echo service;
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddListeningPort(std::string("127.0.0.1:") + argv[1], grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::puts("ready");
  std::fflush(stdout);
  server->Wait();
  return 0;
}
