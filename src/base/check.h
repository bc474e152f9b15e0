// BRIM_CHECK: aborts with file, line and expression when a programmer's assumption is false.
//
// For start-up and invariants only. On the data path a violated assumption fails that one request
// with Code::kInternal instead.
#pragma once

namespace brim {

[[noreturn]] void CheckFailed(const char* file, int line, const char* expression);

#define BRIM_CHECK(expression) \
  (static_cast<bool>(expression) ? void(0) : ::brim::CheckFailed(__FILE__, __LINE__, #expression))

}  // namespace brim
