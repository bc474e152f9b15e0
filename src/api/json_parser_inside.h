// What a JsonParser is; for .cc files that parse. simdjson.h is large, so headers stay with
// json_parser.h.
#pragma once

#include <simdjson.h>

#include "api/json_parser.h"

namespace brim::api {

class JsonParser {
 public:
  simdjson::ondemand::parser parser;
};

}  // namespace brim::api
