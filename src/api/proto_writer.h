// ProtoWriter: appends protobuf wire format to a ByteBuffer. Field numbers are the caller's
// business.
//
//   ProtoWriter w(&out);
//   w.Text(1, "name");
//   const auto mark = w.Begin(2);  // A nested message.
//   w.Uint(1, 7);
//   w.End(mark);
//
// Zero values and empty strings are skipped by Uint, Int, Bool, Text as proto3 does; the Always…
// forms write them. Source: https://protobuf.dev/programming-guides/encoding. Not for several
// threads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace brim::api {

class ProtoWriter {
 public:
  explicit ProtoWriter(ByteBuffer* out) : out_(*out) {}

  void Uint(std::uint32_t field, std::uint64_t value) {
    if (value != 0) AlwaysUint(field, value);
  }
  void AlwaysUint(std::uint32_t field, std::uint64_t value);
  // int32 and int64 fields (not sint): negative values take ten bytes.
  void Int(std::uint32_t field, std::int64_t value) {
    Uint(field, static_cast<std::uint64_t>(value));
  }
  void Bool(std::uint32_t field, bool value) { Uint(field, value ? 1 : 0); }
  void Text(std::uint32_t field, std::string_view value) {
    if (!value.empty()) AlwaysText(field, value);
  }
  void AlwaysText(std::uint32_t field, std::string_view value);
  void AlwaysDouble(std::uint32_t field, double value);
  void AlwaysFloat(std::uint32_t field, float value);
  // A packed repeated int64; nothing when empty.
  void PackedInts(std::uint32_t field, std::span<const std::int64_t> values);
  // Tag and length of a length-delimited field whose bytes the caller appends next.
  void LengthPrefix(std::uint32_t field, std::uint64_t bytes);

  // A nested message of any size: what is written between Begin and End.
  using Mark = std::size_t;
  Mark Begin(std::uint32_t field);
  void End(Mark mark);

  static std::size_t VarintBytes(std::uint64_t value);

 private:
  void Varint(std::uint64_t value);

  ByteBuffer& out_;
};

}  // namespace brim::api
