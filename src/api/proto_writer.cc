#include "api/proto_writer.h"

#include <bit>
#include <cstring>

namespace brim::api {
namespace {

constexpr std::uint32_t kVarint = 0;
constexpr std::uint32_t kFixed64 = 1;
constexpr std::uint32_t kDelimited = 2;
constexpr std::uint32_t kFixed32 = 5;
constexpr std::size_t kVarintMax = 10;

std::size_t EncodeVarint(std::uint64_t value, std::byte* at) {
  std::size_t n = 0;
  while (value >= 0x80) {
    at[n++] = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  at[n++] = static_cast<std::byte>(value);
  return n;
}

}  // namespace

std::size_t ProtoWriter::VarintBytes(std::uint64_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

void ProtoWriter::Varint(std::uint64_t value) {
  std::byte bytes[kVarintMax];
  out_.Append(std::span<const std::byte>(bytes, EncodeVarint(value, bytes)));
}

void ProtoWriter::AlwaysUint(std::uint32_t field, std::uint64_t value) {
  std::byte bytes[2 * kVarintMax];
  std::size_t n = EncodeVarint(field << 3 | kVarint, bytes);
  n += EncodeVarint(value, bytes + n);
  out_.Append(std::span<const std::byte>(bytes, n));
}

void ProtoWriter::LengthPrefix(std::uint32_t field, std::uint64_t bytes) {
  std::byte head[2 * kVarintMax];
  std::size_t n = EncodeVarint(field << 3 | kDelimited, head);
  n += EncodeVarint(bytes, head + n);
  out_.Append(std::span<const std::byte>(head, n));
}

void ProtoWriter::AlwaysText(std::uint32_t field, std::string_view value) {
  LengthPrefix(field, value.size());
  out_.Append(value);
}

void ProtoWriter::AlwaysDouble(std::uint32_t field, double value) {
  Varint(field << 3 | kFixed64);
  StoreLittle(out_.Extend(sizeof value), value);
}

void ProtoWriter::AlwaysFloat(std::uint32_t field, float value) {
  Varint(field << 3 | kFixed32);
  StoreLittle(out_.Extend(sizeof value), value);
}

void ProtoWriter::PackedInts(std::uint32_t field, std::span<const std::int64_t> values) {
  if (values.empty()) return;
  std::size_t bytes = 0;
  for (const std::int64_t value : values) bytes += VarintBytes(static_cast<std::uint64_t>(value));
  LengthPrefix(field, bytes);
  for (const std::int64_t value : values) Varint(static_cast<std::uint64_t>(value));
}

ProtoWriter::Mark ProtoWriter::Begin(std::uint32_t field) {
  Varint(field << 3 | kDelimited);
  out_.PushBack('\0');  // Room for a length below 128; End() makes more when it must.
  return out_.size();
}

void ProtoWriter::End(Mark mark) {
  const std::size_t length = out_.size() - mark;
  const std::size_t width = VarintBytes(length);
  if (width > 1) {
    out_.Extend(width - 1);
    std::memmove(out_.data() + mark + width - 1, out_.data() + mark, length);
  }
  EncodeVarint(length, out_.data() + mark - 1);
}

}  // namespace brim::api
