// The showing half of status_page.h. Nothing on the page is fetched from elsewhere, and every name
// is escaped.
#include "api/status_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>

#include "base/json.h"
#include "base/text.h"

namespace brim::api {
namespace {

constexpr std::size_t kRowsMax = 1000;  // Of the page; the JSON has all.

constexpr std::string_view kStyle =
    "body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 "
    "1em;color:#1b1f24;"
    "background:#fff}"
    "h1{font-size:1.5em;margin:0}p{margin:.4em "
    "0}table{border-collapse:collapse;width:100%;margin:1em 0}"
    "th,td{text-align:left;padding:.3em .7em;border-bottom:1px solid #d8dee4;vertical-align:top}"
    "th{font-weight:600;background:#f6f8fa}td.n,th.n{text-align:right;font-variant-numeric:tabular-"
    "nums}"
    ".ok{color:#116329}.bad{color:#a40e26}.dim{color:#59636e}.why{max-width:40em;overflow-wrap:"
    "anywhere}"
    "pre{background:#f6f8fa;padding:.7em 1em;overflow-x:auto}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,pre{background:#"
    "161b22}"
    "th,td{border-color:#30363d}.ok{color:#4ac26b}.bad{color:#ff8182}.dim{color:#9198a1}a{color:#"
    "4493f8}}";

std::string Escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string HumanSeconds(double seconds) {
  if (seconds <= 0) return "–";
  if (seconds < 1e-3) return fmt::format("{:.0f} µs", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
  return fmt::format("{:.3g} s", seconds);
}

std::string HumanUptime(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::max(seconds, 0.0));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {} h", whole / 86400, whole % 86400 / 3600);
}

std::string HumanRate(double rate) {
  return rate < 10 ? fmt::format("{:.2f}", rate) : fmt::format("{:.0f}", rate);
}

std::string Joined(std::initializer_list<std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    if (word.empty()) continue;
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

void AppendRow(const StatusRow& row, std::string* out) {
  const auto to = std::back_inserter(*out);
  const bool good = row.state == "AVAILABLE";
  const bool bad = row.state == "FAILED";
  fmt::format_to(to, "<tr><td>{}</td><td>{}</td><td class=\"why\"><span class=\"{}\">{}</span>",
                 Escaped(row.model), Escaped(row.version),
                 good  ? "ok"
                 : bad ? "bad"
                       : "dim",
                 Escaped(row.state));
  if (!row.reason.empty()) fmt::format_to(to, "<br>{}", Escaped(row.reason));
  fmt::format_to(to, "</td><td>{}</td>", Escaped(row.owner));
  if (!row.serves) {
    out->append("<td></td><td></td><td></td><td></td><td></td><td></td><td></td><td></td></tr>\n");
    return;
  }
  fmt::format_to(to, "<td>{}</td>", Escaped(Joined({row.runtime, row.precision, row.device})));
  fmt::format_to(to, "<td class=\"n\" title=\"over {:.0f} s{}\">{}{}</td>", row.window_seconds,
                 row.since_start ? ", since the server started" : "", HumanRate(row.rate),
                 row.since_start ? "*" : "");
  fmt::format_to(to, "<td class=\"n\">{}</td><td class=\"n\">{}</td>",
                 HumanSeconds(row.p50_seconds), HumanSeconds(row.p99_seconds));
  fmt::format_to(to, "<td class=\"n\">{}</td>",
                 row.memory_bytes == 0 ? "–" : HumanBytes(row.memory_bytes));
  fmt::format_to(to, "<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                 row.copies, row.pending, row.failures);
}

// Inside single quotes of a shell nothing is special but the quote itself.
std::string ShellQuoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out.push_back(c);
    }
  }
  return out + "'";
}

void AppendLines(const StatusView& view, std::string_view base, std::string* out) {
  out->append("<h2>What to type next</h2>\n<pre>");
  if (view.example_model.empty()) {
    out->append(Escaped(fmt::format("curl {}/v1/brim/status     # why no model serves\n", base)));
  } else {
    const std::string name = UrlPathPart(view.example_model);
    const std::string v1 = fmt::format("{}/v1/models/{}", base, name);
    const std::string v2 = fmt::format("{}/v2/models/{}", base, name);
    out->append(
        Escaped(fmt::format("curl {}     # inputs and outputs\n", ShellQuoted(v1 + "/metadata"))));
    if (!view.example_request.empty()) {
      out->append(Escaped(fmt::format("curl -d {} {}\n", ShellQuoted(view.example_request),
                                      ShellQuoted(v1 + ":predict"))));
    }
    out->append(Escaped(fmt::format("curl {}     # the same by KServe v2\n", ShellQuoted(v2))));
  }
  out->append(Escaped(fmt::format("curl {}/metrics\n", base)));
  out->append("</pre>\n");
}

}  // namespace

std::string StatusHtml(const StatusView& view, std::string_view base, bool refresh) {
  std::string out;
  const auto to = std::back_inserter(out);
  fmt::format_to(
      to, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\n",
      Escaped(view.server_name));
  if (refresh) out += "<meta http-equiv=\"refresh\" content=\"5\">\n";
  fmt::format_to(
      to, "<meta name=\"viewport\" content=\"width=device-width\"><style>{}</style></head><body>\n",
      kStyle);
  fmt::format_to(to, "<h1>{} {}</h1>\n", Escaped(view.server_name), Escaped(view.server_version));
  fmt::format_to(
      to,
      "<p><span class=\"{}\">{}</span> · up {} · {} workers, {} threads · {} resident · {:.1f} s "
      "of CPU · "
      "<a href=\"/metrics\">metrics</a> · <a href=\"/v1/brim/status\">status as JSON</a> · "
      "<a href=\"/{}\">{}</a></p>\n",
      view.ready ? "ok" : "bad", view.ready ? "ready" : "still loading",
      HumanUptime(view.uptime_seconds), view.workers, view.process.threads,
      HumanBytes(view.process.resident_bytes), view.process.cpu_seconds,
      refresh ? "?refresh=0" : "", refresh ? "stop refreshing" : "refresh every 5 s");
  out +=
      "<table><tr><th>model</th><th>version</th><th>state</th><th>owner</th><th>runtime</th><th "
      "class=\"n\">req/s</th>"
      "<th class=\"n\">p50</th><th class=\"n\">p99</th><th class=\"n\">memory</th><th "
      "class=\"n\">copies</th>"
      "<th class=\"n\">pending</th><th class=\"n\">failed</th></tr>\n";
  bool since_start = false;
  double window = 0;
  for (std::size_t i = 0; i < view.rows.size() && i < kRowsMax; ++i) {
    AppendRow(view.rows[i], &out);
    since_start |= view.rows[i].serves && view.rows[i].since_start;
    if (!view.rows[i].since_start) window = std::max(window, view.rows[i].window_seconds);
  }
  out += "</table>\n";
  if (view.rows.empty()) out += "<p>No models were found.</p>\n";
  if (view.rows.size() > kRowsMax) {
    fmt::format_to(to, "<p>{} more are in <a href=\"/v1/brim/status\">/v1/brim/status</a>.</p>\n",
                   view.rows.size() - kRowsMax);
  }
  if (window > 0)
    fmt::format_to(to, "<p class=\"dim\">Rates and latencies are of the last {:.0f} s.</p>\n",
                   window);
  if (since_start) {
    fmt::format_to(to, "<p class=\"dim\">* since the server started, {:.0f} s ago.</p>\n",
                   view.uptime_seconds);
  }
  out +=
      "<p class=\"dim\">Latency is from a request's arrival to its answer. Memory is what the "
      "process grew by at load."
      "</p>\n";
  AppendLines(view, base, &out);
  out += "</body></html>\n";
  return out;
}

std::string StatusJson(const StatusView& view) {
  std::string out;
  JsonWriter w(&out);
  w.BeginObject();
  w.Key("name").String(view.server_name).Key("version").String(view.server_version);
  w.Key("ready").Bool(view.ready).Key("uptime_seconds").Double(view.uptime_seconds);
  w.Key("workers").Uint(view.workers).Key("threads").Uint(view.process.threads);
  w.Key("resident_bytes")
      .Uint(view.process.resident_bytes)
      .Key("cpu_seconds")
      .Double(view.process.cpu_seconds);
  w.Key("models").BeginArray();
  for (const StatusRow& row : view.rows) {
    w.BeginObject().Key("model").String(row.model).Key("version").String(row.version);
    w.Key("state")
        .String(row.state)
        .Key("reason")
        .String(row.reason)
        .Key("owner")
        .String(row.owner);
    if (row.serves) {
      w.Key("runtime").String(row.runtime).Key("precision").String(row.precision);
      w.Key("device").String(row.device).Key("platform").String(row.platform);
      w.Key("requests_per_second")
          .Double(row.rate)
          .Key("window_seconds")
          .Double(row.window_seconds);
      w.Key("window_is_since_start").Bool(row.since_start);
      w.Key("p50_seconds").Double(row.p50_seconds).Key("p99_seconds").Double(row.p99_seconds);
      w.Key("requests").Uint(row.requests).Key("failures").Uint(row.failures);
      w.Key("cpu_seconds").Double(row.cpu_seconds).Key("memory_bytes").Uint(row.memory_bytes);
      w.Key("copies").Uint(row.copies).Key("pending").Int(row.pending);
    }
    w.EndObject();
  }
  w.EndArray().EndObject();
  out.push_back('\n');
  return out;
}

}  // namespace brim::api
