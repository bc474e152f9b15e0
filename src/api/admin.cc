// See admin.h.
#include "api/admin.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "api/metrics_page.h"
#include "api/process_stats.h"
#include "api/status_map.h"
#include "base/text.h"
#include "metrics/exposition.h"

namespace brim::api {
namespace {

constexpr std::string_view kIconSvg =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><path d=\"M3 2h10l-1.5 "
    "12h-7z\" fill=\"none\" "
    "stroke=\"#59636e\" stroke-width=\"1.5\"/><path d=\"M3.6 4h8.8l-1.2 9H4.8z\" "
    "fill=\"#2f81f7\"/></svg>\n";

enum class Page : std::uint8_t { kNone, kStatus, kStatusJson, kMetrics, kIcon };

Page PageOf(std::string_view path) {
  if (path == "/") return Page::kStatus;
  if (path == "/metrics" || path == "/monitoring/prometheus/metrics") return Page::kMetrics;
  if (path == "/v1/brim/status") return Page::kStatusJson;
  if (path == "/favicon.ico") return Page::kIcon;
  return Page::kNone;
}

// What the client called us by, when it could stand in a URL; the page shows it in lines to paste
// into a shell.
std::string HostOf(const io::HttpCall& call) {
  std::string_view host = call.Header("host");
  if (host.empty()) host = call.Header(":authority");
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
  const bool fine = !host.empty() && host.size() <= 256 &&
                    host.find_first_not_of(kAllowed) == std::string_view::npos;
  return fine ? std::string(host) : "localhost:8000";
}

bool WantsNoRefresh(std::string_view query) {
  for (const std::string_view pair : Split(query, '&')) {
    if (pair == "refresh=0") return true;
  }
  return false;
}

void Harden(io::HttpReply* reply) {
  reply->headers.emplace_back(
      "content-security-policy",
      "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; "
      "form-action 'none'; frame-ancestors 'none'");
  reply->headers.emplace_back("x-content-type-options", "nosniff");
  reply->headers.emplace_back("referrer-policy", "no-referrer");
  reply->headers.emplace_back("cache-control", "no-store");
}

}  // namespace

bool Admin::Handle(io::HttpCall& call) {
  const Page page = PageOf(call.path());
  if (page == Page::kNone) return false;
  if (call.method() != "GET" && call.method() != "HEAD") {
    call.Reply(MethodNotAllowed("GET, HEAD"));
    return true;
  }
  io::HttpReply reply;
  switch (page) {
    case Page::kStatus:
      reply.content_type = "text/html; charset=utf-8";
      reply.body.Append(StatusHtml(board_.Read(),
                                   (services_.tls ? "https://" : "http://") + HostOf(call),
                                   !WantsNoRefresh(call.query())));
      Harden(&reply);
      break;
    case Page::kStatusJson:
      reply.body.Append(StatusJson(board_.Read()));
      reply.headers.emplace_back("cache-control", "no-store");
      break;
    case Page::kMetrics:
      reply.content_type = metrics::kExpositionContentType;
      reply.body.Append(MetricsPage(services_, ReadProcessStats(services_.clock)));
      break;
    case Page::kIcon:
      reply.content_type = "image/svg+xml";
      reply.body.Append(kIconSvg);
      reply.headers.emplace_back("cache-control", "max-age=86400");
      break;
    case Page::kNone:
      break;
  }
  call.Reply(std::move(reply));
  return true;
}

}  // namespace brim::api
