#include "base/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
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

bool MayBlock(int fd) {
  struct stat about {};
  return fstat(fd, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
}

}  // namespace

Logger::Logger(int fd, LogLevel level, LogFormat format, const Clock& clock)
    : fd_(fd), level_(level), format_(format), clock_(clock), may_block_(MayBlock(fd)) {}

void Logger::Write(LogLevel level, std::string_view event,
                   std::initializer_list<LogField> fields) const {
  if (!Enabled(level)) return;
  if (const std::uint64_t dropped = dropped_.exchange(0, std::memory_order_relaxed); dropped > 0) {
    if (!Put(Line(LogLevel::kWarn, "log_dropped", {{"lines", std::to_string(dropped)}}))) {
      dropped_.fetch_add(dropped + 1, std::memory_order_relaxed);
      return;
    }
  }
  if (!Put(Line(level, event, fields))) dropped_.fetch_add(1, std::memory_order_relaxed);
}

bool Logger::Put(std::string_view line) const {
  if (may_block_) {
    // The descriptor's own O_NONBLOCK is shared with other processes, so each write says it.
    iovec part{const_cast<char*>(line.data()), line.size()};
    if (pwritev2(fd_, &part, 1, -1, RWF_NOWAIT) >= 0) return true;
    if (errno == EAGAIN) return false;
    if (send(fd_, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    if (errno == EAGAIN) return false;
  }
  // A line that cannot be written for another reason has nowhere else to go.
  [[maybe_unused]] const ssize_t written = ::write(fd_, line.data(), line.size());
  return true;
}

std::string Logger::Line(LogLevel level, std::string_view event,
                         std::initializer_list<LogField> fields) const {
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
  return line;
}

}  // namespace brim
