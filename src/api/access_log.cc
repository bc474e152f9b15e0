#include "api/access_log.h"

#include <fmt/format.h>

#include <chrono>
#include <functional>

namespace brim::api {
namespace {

std::int64_t Micros(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// Unique enough to find one line: which peer, and when it was answered. When it arrived would not
// do: what one round of a loop reads has one time of arrival.
std::string MakeRequestId(const AccessRecord& record, Time now) {
  return fmt::format("{:08x}-{:x}", std::hash<std::string_view>()(record.peer) & 0xFFFFFFFFu,
                     now.time_since_epoch().count());
}

}  // namespace

std::string_view RequestIdOf(std::string_view header, std::string_view protocol_id) {
  return header.empty() ? protocol_id : header;
}

void LogAccess(const Services& services, const AccessRecord& record, const Status& status) {
  if (!AccessLogEnabled(services)) return;
  const serving::InferRequest* request = record.request;
  const serving::Version* version = request != nullptr ? request->version.get() : nullptr;
  const auto micros = [](std::uint64_t ns) { return std::to_string(ns / 1000); };
  const Time now = services.clock.Now();
  const std::string total = std::to_string(Micros(now - record.received));
  const std::string queue = micros(request != nullptr ? request->queue_ns : 0);
  const std::string infer = micros(request != nullptr ? request->infer_ns : 0);
  const std::string rows = std::to_string(request != nullptr ? request->batch_rows : 0);
  const std::string id =
      record.request_id.empty() ? MakeRequestId(record, now) : std::string(record.request_id);
  services.access_log.Info(
      "request",
      {{"id", id},
       {"protocol", record.protocol},
       {"peer", record.peer},
       {"model", version != nullptr ? std::string_view(version->model()) : record.model},
       {"version", version != nullptr ? version->number_text() : std::string_view()},
       {"owner", version != nullptr ? std::string_view(version->owner()) : std::string_view()},
       {"code", CodeName(status.code())},
       {"reason", status.reason()},
       {"total_us", total},
       {"queue_us", queue},
       {"infer_us", infer},
       {"batch_rows", rows},
       {"bytes_in", std::to_string(record.bytes_in)},
       {"bytes_out", std::to_string(record.bytes_out)}});
}

}  // namespace brim::api
