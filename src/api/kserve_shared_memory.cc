#include "api/kserve_shared_memory.h"

#include <fmt/format.h>

#include <protozero/pbf_reader.hpp>
#include <utility>

#include "api/json_parser_inside.h"
#include "api/kserve_json_data.h"
#include "api/proto_writer.h"
#include "base/json.h"

namespace brim::api {
namespace {

namespace od = simdjson::ondemand;

Status ReadRegisterField(od::field& field, SharedRegionInfo* region) {
  const std::string_view key = field.escaped_key();
  if (key == "key") {
    std::string_view text;
    if (const auto error = field.value().get_string().get(text)) return JsonError(error, "'key'");
    region->key = text;
    return OkStatus();
  }
  if (key != "offset" && key != "byte_size") return OkStatus();
  std::uint64_t* const number = key == "offset" ? &region->offset : &region->bytes;
  const auto error = field.value().get_uint64().get(*number);
  return error ? JsonError(error, key) : OkStatus();
}

}  // namespace

Status ReadRegisterJson(JsonParser& parser, std::span<const std::byte> body,
                        SharedRegionInfo* region) {
  return ReadWholeObject(parser, body,
                         [&](od::field& field) { return ReadRegisterField(field, region); });
}

std::string SharedRegionsJson(const std::vector<SharedRegionInfo>& regions) {
  std::string text;
  JsonWriter w(&text);
  w.BeginArray();
  for (const SharedRegionInfo& region : regions) {
    w.BeginObject().Key("name").String(region.name).Key("key").String(region.key);
    w.Key("offset").Uint(region.offset).Key("byte_size").Uint(region.bytes).EndObject();
  }
  w.EndArray();
  return text;
}

Status ReadRegisterProto(std::span<const std::byte> bytes, SharedRegionInfo* region) {
  using protozero::tag_and_type;
  constexpr auto kVarint = protozero::pbf_wire_type::varint;
  constexpr auto kDelimited = protozero::pbf_wire_type::length_delimited;
  try {
    protozero::pbf_reader reader(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case tag_and_type(1, kDelimited):
          region->name = reader.get_string();
          break;
        case tag_and_type(2, kDelimited):
          region->key = reader.get_string();
          break;
        case tag_and_type(3, kVarint):
          region->offset = reader.get_uint64();
          break;
        case tag_and_type(4, kVarint):
          region->bytes = reader.get_uint64();
          break;
        default:
          reader.skip();
      }
    }
  } catch (const protozero::exception& e) {
    return Status(Code::kInvalidArgument, "protobuf_malformed",
                  fmt::format("request is malformed: {}", e.what()));
  }
  return OkStatus();
}

ByteBuffer SharedRegionsProto(const std::vector<SharedRegionInfo>& regions) {
  ByteBuffer out;
  ProtoWriter w(&out);
  for (const SharedRegionInfo& region : regions) {
    const auto entry = w.Begin(1);  // Of map<string, RegionStatus>.
    w.Text(1, region.name);
    const auto status = w.Begin(2);
    w.Text(1, region.name);
    w.Text(2, region.key);
    w.Uint(3, region.offset);
    w.Uint(4, region.bytes);
    w.End(status);
    w.End(entry);
  }
  return out;
}

Status CudaSharedMemoryUnsupported() {
  return Status(Code::kUnimplemented, "cuda_shared_memory",
                "CUDA shared memory is not supported: use system shared memory, or send tensors in "
                "the request");
}

}  // namespace brim::api
