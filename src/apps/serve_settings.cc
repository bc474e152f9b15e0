#include "apps/serve_settings.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iterator>
#include <type_traits>

namespace brim::apps {
namespace {

constexpr const char* kDescription =
    "Serves every model it finds in PATH over TensorFlow Serving's and KServe v2's protocols, REST "
    "and gRPC, on one\n"
    "port.\n\n"
    "PATH may hold any mix of these, told apart by looking:\n"
    "  name/1/saved_model.pb               TensorFlow Serving's layout\n"
    "  name/config.pbtxt, name/1/model.*   Triton's layout (.onnx .xml .tflite .pdmodel .pb, "
    "model.savedmodel/)\n"
    "  name.onnx                           plain model files\n"
    "or be one model file, or one model's directory. A brim.json beside a model sets its owner, "
    "runtime, precision\n"
    "and batching (docs/reference/brim_json.md).";

constexpr const char* kExamples =
    "Examples:\n"
    "  brim serve models/\n"
    "  brim serve model.onnx --port 9000 --precision bf16\n"
    "  brim serve models/ --model-control explicit --load-model ocr --batch-max 8 --access-log\n"
    "Then:\n"
    "  curl localhost:8000/v2/models/NAME          what it takes and gives\n"
    "  curl localhost:8000/metrics                 what it used\n"
    "  open http://localhost:8000/                 a page for people\n";

template <typename T>
void AddSetting(CLI::App* app, T* field, const char* flag, const char* unit, const char* group,
                const char* help) {
  CLI::Option* option = nullptr;
  if constexpr (std::is_same_v<T, bool>) {
    option = app->add_flag(flag, *field, help);
  } else {
    option = app->add_option(flag, *field, help);
    option->type_name(unit)->capture_default_str();
    if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      option->take_all()->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
  }
  option->group(group);
}

std::string CheckChoices(const ServeSettings& s) {
  const auto one_of = [](const std::string& value, std::initializer_list<const char*> choices) {
    for (const char* choice : choices) {
      if (value == choice) return true;
    }
    return false;
  };
  if (!one_of(s.model_control, {"poll", "none", "explicit"})) {
    return "--model-control must be poll, none or explicit, not '" + s.model_control + "'";
  }
  if (!one_of(s.log_level, {"debug", "info", "warn", "error", "off"})) {
    return "--log-level must be debug, info, warn, error or off, not '" + s.log_level + "'";
  }
  if (!one_of(s.log_format, {"text", "json"})) {
    return "--log-format must be text or json, not '" + s.log_format + "'";
  }
  if (!s.shared_memory.empty() && s.shared_memory.front() != '/') {
    return fmt::format("--shared-memory must begin with '/', as the keys do, not '{}'",
                       s.shared_memory);
  }
  if (s.port > 65535) return fmt::format("--port must be 0 to 65535, not {}", s.port);
  if (s.workers > 1024 || s.loops > 1024) return "--workers and --loops must be at most 1024";
  if (s.tls_certificate.empty() != s.tls_key.empty()) {
    return "--tls-certificate and --tls-key go together: give both";
  }
  for (const auto& [flag, value] : std::initializer_list<std::pair<const char*, std::uint64_t>>{
           {"--connections-max", s.connections_max},
           {"--streams-max", s.streams_max},
           {"--body-bytes-max", s.body_bytes_max},
           {"--in-flight-bytes-max", s.in_flight_bytes_max},
           {"--json-depth-max", s.json_depth_max},
           {"--idle-timeout", s.idle_timeout_s},
           {"--read-timeout", s.read_timeout_s},
           {"--queue-max", s.queue_requests_max}}) {
    if (value == 0) return fmt::format("{} must be at least 1", flag);
  }
  if (s.batch_rows_max > 65536) return "--batch-max must be at most 65536";
  if (s.batch_rows_max == 0) return "--batch-max must be at least 1 (1 means no batching)";
  if (s.model_control != "explicit" && !s.load_model.empty()) {
    return "--load-model needs --model-control explicit";
  }
  if (s.poll_ms == 0)
    return "--poll-interval must be at least 1; to stop polling use --model-control none";
  return "";
}

}  // namespace

ParsedServe ParseServe(const std::vector<std::string>& arguments) {
  ParsedServe parsed;
  ServeSettings& s = parsed.settings;
  CLI::App app(kDescription, "brim serve");
  app.footer(kExamples);
  app.get_formatter()->column_width(44);
  app.add_option("PATH", s.path, "Directory of models, one model's directory, or one model file.")
      ->required()
      ->type_name("");
#define BRIM_SETTING(field, type, default, flag, unit, group, help) \
  AddSetting(&app, &s.field, flag, unit, group, help);
#include "apps/serve_settings.inc"
#undef BRIM_SETTING
  // CLI11 takes arguments in reverse order.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    parsed.text = app.help();
    return parsed;
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = 2;
    parsed.text =
        fmt::format("brim serve: {}\nType `brim serve --help` for what it takes.\n", error.what());
    return parsed;
  }
  const std::string wrong = CheckChoices(s);
  if (!wrong.empty()) {
    parsed.exit_code = 2;
    parsed.text =
        fmt::format("brim serve: {}.\nType `brim serve --help` for what it takes.\n", wrong);
    return parsed;
  }
  parsed.run = true;
  return parsed;
}

std::string ServeReference() {
  std::string page =
      "# Settings of `brim serve`\n\nMade from `src/apps/serve_settings.inc` by `make golden`; do "
      "not edit.\n";
  std::string_view group;
  const auto row = [&](std::string_view row_group, std::string_view flag, std::string_view unit,
                       std::string_view fallback, std::string_view help) {
    if (row_group != group) {
      group = row_group;
      fmt::format_to(std::back_inserter(page),
                     "\n## {}\n\n| flag | unit | default | meaning |\n|---|---|---|---|\n", group);
    }
    std::string escaped;
    for (const char c : unit) {
      if (c == '|') escaped.push_back('\\');
      escaped.push_back(c);
    }
    fmt::format_to(std::back_inserter(page), "| `{}` | {} | {} | {} |\n", flag, escaped, fallback,
                   help);
  };
  const ServeSettings defaults;
  const auto show = [](const auto& value) -> std::string {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      return "none";
    } else if constexpr (std::is_same_v<T, bool>) {
      return value ? "on" : "off";
    } else if constexpr (std::is_same_v<T, std::string>) {
      return value.empty() ? "none" : value;
    } else {
      return fmt::format("{}", value);
    }
  };
#define BRIM_SETTING(field, type, default, flag, unit, group_name, help) \
  row(group_name, flag, unit, show(defaults.field), help);
#include "apps/serve_settings.inc"
#undef BRIM_SETTING
  return page;
}

}  // namespace brim::apps
