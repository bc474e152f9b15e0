// What every plugin needs on its side of runtimes/runtime.h: errors, the table that answers info(),
// strings.
//
// Compiled into each plugin; the host never links it. Threads: values; InfoTable is immutable once
// made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtimes/runtime.h"

namespace brim::runtimes {

// The canonical codes that plugins answer with (base/status.h has them all).
inline constexpr brim_code kOk = 0;
inline constexpr brim_code kInvalidArgument = 3;
inline constexpr brim_code kNotFound = 5;
inline constexpr brim_code kResourceExhausted = 8;
inline constexpr brim_code kFailedPrecondition = 9;
inline constexpr brim_code kUnimplemented = 12;
inline constexpr brim_code kInternal = 13;

// Writes text (cut at BRIM_ERROR_TEXT_MAX) and returns code, so that `return Fail(...)` reads well.
brim_code Fail(brim_error* error, brim_code code, std::string_view text);

struct TensorDeclaration {
  std::string name;
  std::int32_t dtype = BRIM_INVALID;
  std::int32_t rank = 0;  // -1: unknown; then dims is empty.
  std::vector<std::int64_t> dims;
};

struct SignatureDeclaration {
  std::string name = "serving_default";
  std::string method_name;
  std::vector<TensorDeclaration> inputs;
  std::vector<TensorDeclaration> outputs;
};

// Owns what a brim_model_info points at.
class InfoTable {
 public:
  InfoTable(std::string platform, std::string precision, std::string device,
            std::vector<SignatureDeclaration> signatures, bool instances_are_free,
            std::string note = {});
  InfoTable(const InfoTable&) = delete;
  InfoTable& operator=(const InfoTable&) = delete;

  const brim_model_info& info() const { return info_; }
  const std::vector<SignatureDeclaration>& signatures() const { return declarations_; }

 private:
  const std::string platform_, precision_, device_, note_;
  const std::vector<SignatureDeclaration> declarations_;
  std::vector<std::vector<brim_tensor>> tensors_;  // Inputs and outputs of each signature in turn.
  std::vector<brim_signature> signatures_;
  brim_model_info info_{};
};

// Bytes of one element; 0 for BRIM_BYTES and BRIM_INVALID.
std::uint32_t ElementBytes(std::int32_t dtype);
// Product of the dimensions; 1 for rank 0. REQUIRES: none is negative and the tensor's bytes are
// addressable.
std::uint64_t ElementCount(const std::int64_t* dims, std::int32_t rank);
std::string ShapeText(const std::int64_t* dims, std::int32_t rank);  // "[1,3,48,320]"

// Reads the elements of an encoded string tensor in order.
class StringReader {
 public:
  StringReader(const void* data, std::uint64_t bytes)
      : at_(static_cast<const std::byte*>(data)), end_(at_ + bytes) {}
  bool Next(std::string_view* element);  // False at the end or when a length runs past it.

 private:
  const std::byte* at_;
  const std::byte* end_;
};

// Appends one element in that encoding. REQUIRES: shorter than 4 GiB.
void AppendString(std::string_view element, std::vector<std::byte>* out);

}  // namespace brim::runtimes
