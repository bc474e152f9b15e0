// Logger: structured events, one JSON object or one readable line each.
//
//   logger.Info("model_loaded", {{"model", name}, {"ms", std::to_string(ms)}});
//
// Threads: any. One write(2) per line, so lines never interleave. A pipe or socket that nobody
// reads holds up nobody: lines that find no room are dropped and counted, and the next that is
// written says how many. A Logger is passed down by constructor; there is no global one.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace brim {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat : std::uint8_t { kText, kJson };

struct LogField {
  std::string_view key;
  std::string_view value;
};

class Logger {
 public:
  // fd stays the caller's. Lines longer than 16 KiB are cut.
  Logger(int fd, LogLevel level, LogFormat format, const Clock& clock);

  bool Enabled(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }
  void SetLevel(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

  void Debug(std::string_view event, std::initializer_list<LogField> fields) const {
    Write(LogLevel::kDebug, event, fields);
  }
  void Info(std::string_view event, std::initializer_list<LogField> fields) const {
    Write(LogLevel::kInfo, event, fields);
  }
  void Warn(std::string_view event, std::initializer_list<LogField> fields) const {
    Write(LogLevel::kWarn, event, fields);
  }
  void Error(std::string_view event, std::initializer_list<LogField> fields) const {
    Write(LogLevel::kError, event, fields);
  }
  void Write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const;

 private:
  std::string Line(LogLevel level, std::string_view event,
                   std::initializer_list<LogField> fields) const;
  bool Put(std::string_view line) const;  // False: there is no room.

  const int fd_;
  std::atomic<LogLevel> level_;
  const LogFormat format_;
  const Clock& clock_;
  const bool may_block_;  // A pipe or a socket.
  mutable std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace brim
