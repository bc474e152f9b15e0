// The questions and orders of Triton's extension_shared_memory.md, as JSON and as protobuf.
//
// Field numbers: proto/kserve/grpc_predict_v2.proto. Of CUDA's shared memory there is none: its
// status is empty, unregistering succeeds, registering is UNIMPLEMENTED. Threads: any.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_parser.h"
#include "api/shared_regions.h"
#include "base/bytes.h"
#include "base/status.h"

namespace brim::api {

// The body of POST …/systemsharedmemory/region/NAME/register: {"key", "offset", "byte_size"}.
// offset may be left out.
Status ReadRegisterJson(JsonParser& parser, std::span<const std::byte> body,
                        SharedRegionInfo* region);
std::string SharedRegionsJson(const std::vector<SharedRegionInfo>& regions);

// SystemSharedMemoryRegisterRequest, SystemSharedMemoryStatusResponse.
Status ReadRegisterProto(std::span<const std::byte> bytes, SharedRegionInfo* region);
ByteBuffer SharedRegionsProto(const std::vector<SharedRegionInfo>& regions);

Status CudaSharedMemoryUnsupported();  // kUnimplemented.

}  // namespace brim::api
