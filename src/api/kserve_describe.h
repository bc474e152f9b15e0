// What KServe v2 clients ask about the server and its models, as JSON and as protobuf: server and
// model metadata, the repository index, statistics.
//
// Each question is gathered once into a value and written twice. Threads: any; the repository is
// read as it is.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/protocol.h"
#include "base/bytes.h"
#include "base/result.h"
#include "model/signature.h"
#include "serving/repository.h"

namespace brim::api {

// What Brim really does of Triton's extensions; logging and trace settings can be read but not set,
// so are not listed.
std::vector<std::string_view> ServerExtensions(const Services& services);
std::string ServerMetadataJson(const Services& services);
ByteBuffer ServerMetadataProto(const Services& services);

struct ModelMetadata {
  serving::VersionHandle version;
  std::vector<std::string>
      versions;  // Those that serve, ascending; the one asked for when one was.
};
// Errors are FindVersion's.
Result<ModelMetadata> GatherMetadata(const serving::Repository& repository, std::string_view model,
                                     std::string_view version);
std::string ModelMetadataJson(const ModelMetadata& metadata);
ByteBuffer ModelMetadataProto(const ModelMetadata& metadata);

struct IndexRow {
  std::string name, version, state, reason;  // All but the name may be empty.
};
std::vector<IndexRow> GatherIndex(const serving::Repository& repository, bool ready_only);
std::string IndexJson(const std::vector<IndexRow>& rows);
ByteBuffer IndexProto(const std::vector<IndexRow>& rows);

struct DurationStat {
  std::uint64_t count = 0;
  std::uint64_t ns = 0;
};
struct BatchStat {
  std::uint64_t rows = 0;
  DurationStat input, infer, output;
};
struct StatisticsRow {
  std::string name, version;
  std::uint64_t last_inference_ms = 0, inferences = 0, executions = 0;
  // In Triton's order: success, fail, queue, compute_input, compute_infer, compute_output,
  // cache_hit, cache_miss.
  std::array<DurationStat, 8> durations;
  std::vector<BatchStat> batches;
  std::uint64_t memory_bytes = 0;
};
// An empty model means all. kNotFound or kInvalidArgument when a model or version was named that
// does not serve.
Result<std::vector<StatisticsRow>> GatherStatistics(const serving::Repository& repository,
                                                    std::string_view model,
                                                    std::string_view version);
std::string StatisticsJson(const std::vector<StatisticsRow>& rows);
ByteBuffer StatisticsProto(const std::vector<StatisticsRow>& rows);

// A tensor's shape as metadata shows it: -1 first when the model batches (max_batch_size > 0); [-1]
// when the rank is unknown.
model::Shape ShownShape(const model::TensorSpec& spec, bool batches);

}  // namespace brim::api
