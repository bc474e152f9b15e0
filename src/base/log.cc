#include "base/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <iterator>

#include "base/json.h"

namespace brim {
namespace {

constexpr std::size_t kLineMax = 16384;

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      break;
  }
  return "off";
}

// A readable value: quoted only when it holds a space, quote or control character.
void AppendTextValue(std::string* out, std::string_view value) {
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '=') return AppendJsonString(out, value);
  }
  out->append(value);
}

}  // namespace

void Logger::Write(LogLevel level, std::string_view event,
                   std::initializer_list<LogField> fields) const {
  if (!Enabled(level)) return;
  const auto now = clock_.WallNow();
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() %
      1000000;
  const std::string stamp =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                  fmt::gmtime(std::chrono::system_clock::to_time_t(now)), micros);
  std::string line;
  if (format_ == LogFormat::kJson) {
    JsonWriter w(&line);
    w.BeginObject().Key("time").String(stamp).Key("level").String(LevelName(level));
    w.Key("event").String(event);
    for (const LogField& field : fields) w.Key(field.key).String(field.value);
    w.EndObject();
  } else {
    fmt::format_to(std::back_inserter(line), "{} {:<5} {}", stamp, LevelName(level), event);
    for (const LogField& field : fields) {
      line.push_back(' ');
      line.append(field.key).push_back('=');
      AppendTextValue(&line, field.value);
    }
  }
  if (line.size() > kLineMax) line.resize(kLineMax);
  line.push_back('\n');
  // A log line that cannot be written has nowhere else to go.
  [[maybe_unused]] const ssize_t written = ::write(fd_, line.data(), line.size());
}

}  // namespace brim
