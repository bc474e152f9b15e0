#include "api/kserve_describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/kserve_infer.h"
#include "api/proto_writer.h"
#include "base/json.h"

namespace brim::api {
namespace {

constexpr std::array<std::string_view, 8> kDurationNames = {
    "success",       "fail",           "queue",     "compute_input",
    "compute_infer", "compute_output", "cache_hit", "cache_miss"};

void WriteShape(JsonWriter& w, const model::Shape& shape) {
  w.BeginArray();
  for (const std::int64_t dim : shape.dims()) w.Int(dim);
  w.EndArray();
}

void WriteDuration(JsonWriter& w, std::string_view key, const DurationStat& stat) {
  w.Key(key).BeginObject().Key("count").Uint(stat.count).Key("ns").Uint(stat.ns).EndObject();
}

void WriteDuration(ProtoWriter& w, std::uint32_t field, const DurationStat& stat) {
  const auto mark = w.Begin(field);
  w.Uint(1, stat.count);
  w.Uint(2, stat.ns);
  w.End(mark);
}

std::string_view StateName(serving::VersionState state) {
  switch (state) {
    case serving::VersionState::kStart:
    case serving::VersionState::kLoading:
      return "LOADING";
    case serving::VersionState::kAvailable:
      return "READY";
    case serving::VersionState::kUnloading:
      return "UNLOADING";
    case serving::VersionState::kEnd:
      break;
  }
  return "UNAVAILABLE";
}

std::string ReasonOf(const serving::VersionStatus& version) {
  if (!version.status.ok()) return version.status.message();
  return version.state == serving::VersionState::kEnd ? "unloaded" : "";
}

StatisticsRow RowOf(const serving::Version& version) {
  const serving::VersionStats& stats = version.stats();
  StatisticsRow row;
  row.name = version.model();
  row.version = version.number_text();
  row.last_inference_ms = static_cast<std::uint64_t>(
      std::max<std::int64_t>(stats.last_inference_ms.load(std::memory_order_relaxed), 0));
  row.inferences = stats.inferences.Get();
  row.executions = stats.executions.Get();
  const std::uint64_t success = stats.success.Get();
  std::uint64_t failures = 0;
  for (const serving::Counter& failure : stats.failure) failures += failure.Get();
  row.durations = {DurationStat{success, stats.request_ns.Get()},
                   DurationStat{failures, stats.failure_ns.Get()},
                   DurationStat{success, stats.queue_ns.Get()},
                   DurationStat{success, stats.input_ns.Get()},
                   DurationStat{success, stats.infer_ns.Get()},
                   DurationStat{success, stats.output_ns.Get()},
                   DurationStat{},
                   DurationStat{}};
  for (std::size_t rows = 1; rows < stats.batch.size(); ++rows) {
    const serving::BatchSizeStats& batch = stats.batch[rows];
    const std::uint64_t count = batch.executions.Get();
    if (count == 0) continue;
    row.batches.push_back({rows,
                           {count, batch.input_ns.Get()},
                           {count, batch.infer_ns.Get()},
                           {count, batch.output_ns.Get()}});
  }
  row.memory_bytes = version.info().memory_bytes;
  return row;
}

}  // namespace

std::vector<std::string_view> ServerExtensions(const Services& services) {
  std::vector<std::string_view> extensions = {
      "classification",  "model_repository",    "model_repository(unload_dependents)",
      "schedule_policy", "model_configuration", "binary_tensor_data",
      "parameters",      "statistics"};
  if (services.shared_regions->allowed()) extensions.push_back("system_shared_memory");
  return extensions;
}

std::string ServerMetadataJson(const Services& services) {
  std::string text;
  JsonWriter w(&text);
  w.BeginObject().Key("name").String(services.server_name);
  w.Key("version").String(services.server_version).Key("extensions").BeginArray();
  for (const std::string_view extension : ServerExtensions(services)) w.String(extension);
  w.EndArray().EndObject();
  return text;
}

ByteBuffer ServerMetadataProto(const Services& services) {
  ByteBuffer out;
  ProtoWriter w(&out);
  w.Text(1, services.server_name);
  w.Text(2, services.server_version);
  for (const std::string_view extension : ServerExtensions(services)) w.AlwaysText(3, extension);
  return out;
}

model::Shape ShownShape(const model::TensorSpec& spec, bool batches) {
  if (!spec.rank_known) return {model::kDynamic};
  model::Shape shape = spec.shape;
  if (batches && shape.rank() > 0) shape.Set(0, model::kDynamic);
  return shape;
}

Result<ModelMetadata> GatherMetadata(const serving::Repository& repository, std::string_view model,
                                     std::string_view version) {
  Result<serving::VersionHandle> found = FindVersion(repository, model, version);
  if (!found.ok()) return found.status();
  ModelMetadata metadata;
  metadata.version = *found;
  if (version.empty()) {
    if (const auto status = repository.Describe(model); status.ok()) {
      for (const serving::VersionStatus& each : status->versions) {
        if (each.state == serving::VersionState::kAvailable) {
          metadata.versions.insert(metadata.versions.begin(), std::to_string(each.number));
        }
      }
    }
  }
  // Also when it has just left: the version described is always among those listed.
  if (std::find(metadata.versions.begin(), metadata.versions.end(),
                metadata.version->number_text()) == metadata.versions.end()) {
    metadata.versions.push_back(metadata.version->number_text());
  }
  return metadata;
}

std::string ModelMetadataJson(const ModelMetadata& metadata) {
  const serving::Version& version = *metadata.version;
  const bool batches = version.config().max_batch_size > 0;
  std::string text;
  JsonWriter w(&text);
  w.BeginObject().Key("name").String(version.model()).Key("versions").BeginArray();
  for (const std::string& number : metadata.versions) w.String(number);
  w.EndArray().Key("platform").String(version.info().platform);
  const model::Signature& signature = version.info().Default();
  const auto tensors = [&](std::string_view key, const std::vector<model::TensorSpec>& specs) {
    w.Key(key).BeginArray();
    for (const model::TensorSpec& spec : specs) {
      w.BeginObject().Key("name").String(spec.name);
      w.Key("datatype").String(model::KServeName(spec.dtype)).Key("shape");
      WriteShape(w, ShownShape(spec, batches));
      w.EndObject();
    }
    w.EndArray();
  };
  tensors("inputs", signature.inputs);
  tensors("outputs", signature.outputs);
  w.EndObject();
  return text;
}

ByteBuffer ModelMetadataProto(const ModelMetadata& metadata) {
  const serving::Version& version = *metadata.version;
  const bool batches = version.config().max_batch_size > 0;
  ByteBuffer out;
  ProtoWriter w(&out);
  w.Text(1, version.model());
  for (const std::string& number : metadata.versions) w.AlwaysText(2, number);
  w.Text(3, version.info().platform);
  const model::Signature& signature = version.info().Default();
  const auto tensors = [&](std::uint32_t field, const std::vector<model::TensorSpec>& specs) {
    for (const model::TensorSpec& spec : specs) {
      const auto mark = w.Begin(field);
      w.Text(1, spec.name);
      w.Text(2, model::KServeName(spec.dtype));
      w.PackedInts(3, ShownShape(spec, batches).dims());
      w.End(mark);
    }
  };
  tensors(4, signature.inputs);
  tensors(5, signature.outputs);
  return out;
}

std::vector<IndexRow> GatherIndex(const serving::Repository& repository, bool ready_only) {
  std::vector<IndexRow> rows;
  for (const serving::ModelStatus& model : repository.List()) {
    // Versions come highest first; Triton lists them ascending.
    for (auto version = model.versions.rbegin(); version != model.versions.rend(); ++version) {
      if (ready_only && version->state != serving::VersionState::kAvailable) continue;
      std::string reason = ReasonOf(*version);
      // It serves as before: what was put beside it is refused.
      if (version->state == serving::VersionState::kAvailable && reason.empty()) {
        reason = model.status.message();
      }
      rows.push_back({model.name, std::to_string(version->number),
                      std::string(StateName(version->state)), std::move(reason)});
    }
    if (!model.versions.empty() || ready_only) continue;
    if (model.status.ok()) {
      rows.push_back({model.name, "", "", ""});  // It is there and was never loaded.
    } else {
      rows.push_back({model.name, "", "UNAVAILABLE", model.status.message()});
    }
  }
  return rows;
}

std::string IndexJson(const std::vector<IndexRow>& rows) {
  std::string text;
  JsonWriter w(&text);
  w.BeginArray();
  for (const IndexRow& row : rows) {
    w.BeginObject().Key("name").String(row.name);
    if (!row.version.empty()) w.Key("version").String(row.version);
    if (!row.state.empty()) w.Key("state").String(row.state);
    if (!row.reason.empty()) w.Key("reason").String(row.reason);
    w.EndObject();
  }
  w.EndArray();
  return text;
}

ByteBuffer IndexProto(const std::vector<IndexRow>& rows) {
  ByteBuffer out;
  ProtoWriter w(&out);
  for (const IndexRow& row : rows) {
    const auto mark = w.Begin(1);
    w.Text(1, row.name);
    w.Text(2, row.version);
    w.Text(3, row.state);
    w.Text(4, row.reason);
    w.End(mark);
  }
  return out;
}

Result<std::vector<StatisticsRow>> GatherStatistics(const serving::Repository& repository,
                                                    std::string_view model,
                                                    std::string_view version) {
  std::vector<StatisticsRow> rows;
  if (!model.empty() && !version.empty()) {
    auto found = FindVersion(repository, model, version);
    if (!found.ok()) return found.status();
    rows.push_back(RowOf(**found));
    return rows;
  }
  for (const serving::VersionHandle& each : repository.Serving()) {
    if (model.empty() || each->model() == model) rows.push_back(RowOf(*each));
  }
  if (rows.empty() && !model.empty()) {
    auto found = FindVersion(repository, model, "");
    if (!found.ok()) return found.status();
    rows.push_back(RowOf(**found));
  }
  return rows;
}

std::string StatisticsJson(const std::vector<StatisticsRow>& rows) {
  std::string text;
  JsonWriter w(&text);
  w.BeginObject().Key("model_stats").BeginArray();
  for (const StatisticsRow& row : rows) {
    w.BeginObject().Key("name").String(row.name).Key("version").String(row.version);
    w.Key("last_inference").Uint(row.last_inference_ms);
    w.Key("inference_count").Uint(row.inferences);
    w.Key("execution_count").Uint(row.executions);
    w.Key("inference_stats").BeginObject();
    for (std::size_t i = 0; i < kDurationNames.size(); ++i) {
      WriteDuration(w, kDurationNames[i], row.durations[i]);
    }
    w.EndObject().Key("response_stats").BeginObject().EndObject();
    w.Key("batch_stats").BeginArray();
    for (const BatchStat& batch : row.batches) {
      w.BeginObject().Key("batch_size").Uint(batch.rows);
      WriteDuration(w, "compute_input", batch.input);
      WriteDuration(w, "compute_infer", batch.infer);
      WriteDuration(w, "compute_output", batch.output);
      w.EndObject();
    }
    w.EndArray().Key("memory_usage").BeginArray();
    if (row.memory_bytes != 0) {
      w.BeginObject().Key("type").String("CPU").Key("id").Int(0);
      w.Key("byte_size").Uint(row.memory_bytes).EndObject();
    }
    w.EndArray().EndObject();
  }
  w.EndArray().EndObject();
  return text;
}

ByteBuffer StatisticsProto(const std::vector<StatisticsRow>& rows) {
  ByteBuffer out;
  ProtoWriter w(&out);
  for (const StatisticsRow& row : rows) {
    const auto model = w.Begin(1);
    w.Text(1, row.name);
    w.Text(2, row.version);
    w.Uint(3, row.last_inference_ms);
    w.Uint(4, row.inferences);
    w.Uint(5, row.executions);
    const auto stats = w.Begin(6);
    for (std::size_t i = 0; i < row.durations.size(); ++i) {
      WriteDuration(w, static_cast<std::uint32_t>(i + 1), row.durations[i]);
    }
    w.End(stats);
    for (const BatchStat& batch : row.batches) {
      const auto mark = w.Begin(7);
      w.Uint(1, batch.rows);
      WriteDuration(w, 2, batch.input);
      WriteDuration(w, 3, batch.infer);
      WriteDuration(w, 4, batch.output);
      w.End(mark);
    }
    if (row.memory_bytes != 0) {
      const auto mark = w.Begin(8);
      w.Text(1, "CPU");
      w.Uint(3, row.memory_bytes);
      w.End(mark);
    }
    w.End(model);
  }
  return out;
}

}  // namespace brim::api
