// ServeSettings: every flag of `brim serve`, declared once in serve_settings.inc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace brim::apps {

struct ServeSettings {
  std::string path;
#define BRIM_SETTING(field, type, default, flag, unit, group, help) type field = default;
#include "apps/serve_settings.inc"
#undef BRIM_SETTING
};

// What the command line came to: run with settings, or print `text` and exit with `exit_code`.
struct ParsedServe {
  ServeSettings settings;
  bool run = false;
  int exit_code = 0;
  std::string text;  // --help's text, or the error.
};

// `arguments` without the program's and the subcommand's name.
ParsedServe ParseServe(const std::vector<std::string>& arguments);

// docs/reference/serve.md, made from the same rows.
std::string ServeReference();

}  // namespace brim::apps
