// Status: why an operation failed, for a caller (code), a machine (reason) and a person (message).
//
// The codes are the 16 canonical gRPC codes (https://grpc.io/docs/guides/status-codes): a code says
// what the caller should do. The reason is a stable lower-case word for metrics and tests; it must
// be a string literal. The message says what to do, and gains context on the way up.
//
//   return Status(Code::kNotFound, "model_unknown", fmt::format("model '{}' is not known", name));
//   BRIM_RETURN_IF_ERROR(Load(path).WithContext("loading model 'a'"));
//
// Threads: a value; copy it freely.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace brim {

enum class Code : std::uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// The canonical spelling, e.g. "INVALID_ARGUMENT". Static storage.
std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // Ok.
  // REQUIRES: code is not kOk; reason is a string literal, lower case with underscores.
  Status(Code code, const char* reason, std::string message);

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return ok() ? Code::kOk : rep_->code; }
  std::string_view reason() const { return ok() ? std::string_view() : rep_->reason; }
  const std::string& message() const;

  // "INVALID_ARGUMENT (shape_mismatch): input 'x' ..." or "OK".
  std::string ToString() const;
  // Prefixes the message with "context: ". An ok status stays ok.
  Status WithContext(std::string_view context) const;

 private:
  struct Rep {
    Code code;
    const char* reason;
    std::string message;
  };
  std::shared_ptr<const Rep> rep_;  // Immutable; null means ok, so success costs nothing.
};

inline Status OkStatus() { return Status(); }

#define BRIM_STATUS_CONCAT_(a, b) a##b
#define BRIM_STATUS_CONCAT(a, b) BRIM_STATUS_CONCAT_(a, b)
#define BRIM_RETURN_IF_ERROR(expr)               \
  do {                                           \
    ::brim::Status brim_status_ = (expr);        \
    if (!brim_status_.ok()) return brim_status_; \
  } while (false)
// BRIM_ASSIGN_OR_RETURN(auto x, F()) where F returns Result<T>.
#define BRIM_ASSIGN_OR_RETURN(lhs, expr) \
  BRIM_ASSIGN_OR_RETURN_(BRIM_STATUS_CONCAT(brim_result_, __LINE__), lhs, expr)
#define BRIM_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) return tmp.status();          \
  lhs = std::move(tmp).value()

}  // namespace brim
