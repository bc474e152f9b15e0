// Log and trace settings as Triton's extensions show them, read only.
//
// Pure but for the logger's level; any thread.
#pragma once

#include <string>
#include <string_view>

#include "api/protocol.h"
#include "base/bytes.h"
#include "base/status.h"

namespace brim::api {

std::string LogSettingsJson(const Services& services);
ByteBuffer LogSettingsProto(const Services& services);
std::string TraceSettingsJson();
ByteBuffer TraceSettingsProto();

Status SettingsReadOnly();  // kUnimplemented: how to set them instead.

// A repository's refusal in the words that clients look for: "failed to load 'x', …".
Status WordedControl(const Status& status, std::string_view model, bool load);

}  // namespace brim::api
