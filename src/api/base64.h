// Base64 (RFC 4648, section 4), as JSON carries bytes. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace brim::api {

// Appends the decoded bytes. Blanks and line ends are skipped and padding may be missing, as the
// clients' libraries allow; anything else that is not of the alphabet gives false, and `out` then
// holds a part.
bool DecodeBase64(std::string_view text, ByteBuffer* out);

std::string EncodeBase64(std::string_view bytes);

}  // namespace brim::api
