#include "api/kserve_rest_infer.h"

#include <fmt/format.h>

#include <utility>

#include "api/status_map.h"
#include "base/text.h"

namespace brim::api {
namespace {

constexpr std::string_view kHeaderLength = "inference-header-content-length";

}  // namespace

Status RestInfer::Parse(JsonParserPool& parsers) {
  const std::span<const std::byte> body = call_.body();
  std::size_t json_bytes = body.size();
  if (const std::string_view text = call_.Header(kHeaderLength); !text.empty()) {
    const auto stated = ParseUint64(text);
    if (!stated || *stated > body.size()) {
      return Status(
          Code::kInvalidArgument, "header_length",
          fmt::format("Inference-Header-Content-Length must be a number from 0 to {}, the "
                      "size of the body, got: {}",
                      body.size(), text.substr(0, 64)));
    }
    json_bytes = *stated;
    if (json_bytes == 0) return TakeRawBody(*version, body, &message);
  }
  JsonParserPool::Lease parser(parsers);
  return ReadInferJson(*parser, body, json_bytes, LimitsOf(services_), &message);
}

void RestInfer::Start(JsonParserPool& parsers, std::string_view model,
                      std::string_view version_text) {
  model_ = model;
  received = call_.received();
  // The model comes first: a body for a model that is not there need not be parsed.
  Result<serving::VersionHandle> found = FindVersion(services_.repository, model, version_text);
  if (!found.ok()) return Fail(found.status());
  version = *found;
  if (const Status status = Parse(parsers); !status.ok()) return Fail(status);
  if (const Status status = Prepare(
          std::move(*found), {call_.received(), Time::max(), &call_.cancelled(), call_.own_loop()});
      !status.ok()) {
    return Fail(status);
  }
  services_.engine.Infer(this);
}

void RestInfer::OnDone(const Status& status, std::span<const model::TensorView> values) {
  if (!status.ok()) return Fail(Worded(status));
  KserveAnswer answer;
  if (const Status made = MakeAnswer(values, &answer); !made.ok()) return Fail(made);
  io::HttpReply reply;
  std::size_t json_bytes = 0;
  if (const Status written = WriteInferJson(answer, &reply.body, &json_bytes); !written.ok()) {
    return Fail(written);
  }
  if (json_bytes != 0) {
    reply.content_type = "application/octet-stream";
    reply.headers.emplace_back(kHeaderLength, std::to_string(json_bytes));
  }
  Finish(OkStatus(), std::move(reply));
}

void RestInfer::Fail(const Status& status) { Finish(status, ErrorReply(status, retry_delay)); }

void RestInfer::Finish(const Status& status, io::HttpReply reply) {
  const std::string_view id = call_.Header("x-request-id");
  if (!id.empty()) reply.headers.emplace_back("x-request-id", id);
  if (AccessLogEnabled(services_)) {
    LogAccess(services_,
              {RequestIdOf(id, message.id), "kserve_rest", call_.peer(), model_, this,
               call_.received(), call_.body().size(), reply.body.size()},
              status);
  }
  call_.Reply(std::move(reply));
}

}  // namespace brim::api
