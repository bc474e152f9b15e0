#include "api/kserve_settings.h"

#include <fmt/format.h>

#include "api/proto_writer.h"
#include "base/json.h"

namespace brim::api {
namespace {

constexpr std::string_view kTraceLevel = "trace_level";
constexpr std::string_view kOff = "OFF";  // Nothing is traced.

// Reasons are string literals elsewhere; a worded status keeps its reason by code.
const char* ControlReason(Code code) {
  switch (code) {
    case Code::kNotFound:
      return "model_unknown";
    case Code::kInvalidArgument:
      return "load_request_invalid";
    case Code::kUnavailable:
      return "repository_unavailable";
    default:
      return "load_failed";
  }
}

}  // namespace

std::string LogSettingsJson(const Services& services) {
  std::string text;
  JsonWriter w(&text);
  w.BeginObject().Key("log_file").String("");
  w.Key("log_info").Bool(services.logger.Enabled(LogLevel::kInfo));
  w.Key("log_warning").Bool(services.logger.Enabled(LogLevel::kWarn));
  w.Key("log_error").Bool(services.logger.Enabled(LogLevel::kError));
  w.Key("log_verbose_level").Int(services.logger.Enabled(LogLevel::kDebug) ? 1 : 0);
  w.Key("log_format").String("ISO8601").EndObject();
  return text;
}

ByteBuffer LogSettingsProto(const Services& services) {
  ByteBuffer out;
  ProtoWriter w(&out);
  // LogSettingsResponse.settings: map<string, {bool 1 | uint32 2 | string 3}>.
  const auto entry = [&w](std::string_view key, auto write_value) {
    const auto mark = w.Begin(1);
    w.Text(1, key);
    const auto value = w.Begin(2);
    write_value();
    w.End(value);
    w.End(mark);
  };
  const auto flag = [&](std::string_view key, LogLevel level) {
    entry(key, [&] { w.AlwaysUint(1, services.logger.Enabled(level) ? 1 : 0); });
  };
  entry("log_file", [&] { w.AlwaysText(3, ""); });
  flag("log_info", LogLevel::kInfo);
  flag("log_warning", LogLevel::kWarn);
  flag("log_error", LogLevel::kError);
  entry("log_verbose_level",
        [&] { w.AlwaysUint(2, services.logger.Enabled(LogLevel::kDebug) ? 1 : 0); });
  entry("log_format", [&] { w.AlwaysText(3, "ISO8601"); });
  return out;
}

std::string TraceSettingsJson() {
  std::string text;
  JsonWriter(&text).BeginObject().Key(kTraceLevel).BeginArray().String(kOff).EndArray().EndObject();
  return text;
}

ByteBuffer TraceSettingsProto() {
  ByteBuffer out;
  ProtoWriter w(&out);
  const auto entry = w.Begin(1);
  w.Text(1, kTraceLevel);
  const auto value = w.Begin(2);
  w.Text(1, kOff);
  w.End(value);
  w.End(entry);
  return out;
}

Status SettingsReadOnly() {
  return Status(Code::kUnimplemented, "settings_read_only",
                "log and trace settings can be read but not changed here: restart the server with "
                "other flags");
}

Status WordedControl(const Status& status, std::string_view model, bool load) {
  const std::string prefix =
      fmt::format("failed to {} '{}'", load ? "load" : "unload", model.substr(0, 256));
  std::string_view why = status.message();
  if (why.starts_with(prefix + ": ")) why.remove_prefix(prefix.size() + 2);
  return Status(status.code(), ControlReason(status.code()), fmt::format("{}, {}", prefix, why));
}

}  // namespace brim::api
