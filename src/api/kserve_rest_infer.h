// RestInfer: one POST …/infer, hung on its call until the reply is out.
//
// Threads: Start on the call's loop; OnDone wherever the engine calls it.
#pragma once

#include <string_view>

#include "api/json_parser.h"
#include "api/kserve_infer.h"
#include "io/http_call.h"

namespace brim::api {

class RestInfer final : public KserveInfer, public io::CallState {
 public:
  RestInfer(const Services& services, io::HttpCall& call) : KserveInfer(services), call_(call) {}

  // Parses the body and hands the request to the engine, or replies with what is wrong.
  // `model` and `version_text` are views of the call's path.
  void Start(JsonParserPool& parsers, std::string_view model, std::string_view version_text);

  void OnDone(const Status& status, std::span<const model::TensorView> values) override;

 private:
  Status Parse(JsonParserPool& parsers);
  // Replies; *this may be gone afterwards.
  void Finish(const Status& status, io::HttpReply reply);
  void Fail(const Status& status);

  io::HttpCall& call_;
  std::string_view model_;
};

}  // namespace brim::api
