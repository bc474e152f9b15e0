#include "api/kserve_model_config.h"

#include <cstdint>

#include "api/kserve_describe.h"
#include "api/proto_writer.h"
#include "base/json.h"

namespace brim::api {
namespace {

constexpr std::uint32_t kKindCpu = 2;  // ModelInstanceGroup.Kind.KIND_CPU

// Without the batch dimension when the model has one.
model::Shape ConfigDims(const serving::Version& version, const model::TensorSpec& spec) {
  const bool batches = version.config().max_batch_size > 0;
  model::Shape dims = ShownShape(spec, batches);
  if (batches && spec.rank_known && dims.rank() > 0) dims.RemoveFirst();
  return dims;
}

void WriteTensors(JsonWriter& w, const serving::Version& version, bool inputs) {
  const model::Signature& signature = version.info().Default();
  w.Key(inputs ? "input" : "output").BeginArray();
  for (const model::TensorSpec& spec : inputs ? signature.inputs : signature.outputs) {
    w.BeginObject().Key("name").String(spec.name);
    w.Key("data_type").String(model::TritonConfigName(spec.dtype));
    if (inputs) w.Key("format").String("FORMAT_NONE");
    w.Key("dims").BeginArray();
    const model::Shape dims = ConfigDims(version, spec);
    for (const std::int64_t dim : dims.dims()) w.Int(dim);
    w.EndArray();
    if (!inputs) w.Key("label_filename").String("");
    w.Key("is_shape_tensor").Bool(false);
    if (inputs) w.Key("allow_ragged_batch").Bool(false).Key("optional").Bool(false);
    w.Key("is_non_linear_format_io").Bool(false).EndObject();
  }
  w.EndArray();
}

void WriteVersionPolicy(JsonWriter& w, const serving::VersionConfig& versions) {
  w.Key("version_policy").BeginObject();
  switch (versions.rule) {
    case serving::VersionRule::kLatest:
      w.Key("latest").BeginObject().Key("num_versions").Uint(versions.latest).EndObject();
      break;
    case serving::VersionRule::kAll:
      w.Key("all").BeginObject().EndObject();
      break;
    case serving::VersionRule::kSpecific:
      w.Key("specific").BeginObject().Key("versions").BeginArray();
      for (const std::int64_t number : versions.specific) w.Int(number);
      w.EndArray().EndObject();
      break;
  }
  w.EndObject();
}

void WriteBatching(JsonWriter& w, const serving::ModelConfig& config) {
  if (!config.batch.enabled) return;
  w.Key("dynamic_batching").BeginObject().Key("preferred_batch_size").BeginArray();
  for (const std::uint32_t rows : config.batch.preferred_rows) w.Uint(rows);
  w.EndArray().Key("max_queue_delay_microseconds").Int(config.batch.delay_max.count());
  w.Key("preserve_ordering").Bool(config.batch.preserve_order);
  w.Key("priority_levels").Int(0).Key("default_priority_level").Int(0);
  w.Key("default_queue_policy").BeginObject().Key("timeout_action").String("REJECT");
  w.Key("default_timeout_microseconds").Int(config.queue.timeout.count());
  w.Key("allow_timeout_override").Bool(config.queue.timeout_override);
  w.Key("max_queue_size").Uint(config.queue.requests_max).EndObject();
  w.Key("priority_queue_policy").BeginObject().EndObject().EndObject();
}

void WriteTensors(ProtoWriter& w, const serving::Version& version, bool inputs) {
  const model::Signature& signature = version.info().Default();
  for (const model::TensorSpec& spec : inputs ? signature.inputs : signature.outputs) {
    const auto mark = w.Begin(inputs ? 5 : 6);
    w.Text(1, spec.name);
    // model::DType has the numbers of Triton's DataType.
    w.Uint(2, static_cast<std::uint64_t>(spec.dtype));
    w.PackedInts(inputs ? 4 : 3, ConfigDims(version, spec).dims());
    w.End(mark);
  }
}

void WriteVersionPolicy(ProtoWriter& w, const serving::VersionConfig& versions) {
  const auto policy = w.Begin(3);
  switch (versions.rule) {
    case serving::VersionRule::kLatest: {
      const auto mark = w.Begin(1);
      w.Uint(1, versions.latest);
      w.End(mark);
      break;
    }
    case serving::VersionRule::kAll:
      w.End(w.Begin(2));
      break;
    case serving::VersionRule::kSpecific: {
      const auto mark = w.Begin(3);
      w.PackedInts(1, versions.specific);
      w.End(mark);
      break;
    }
  }
  w.End(policy);
}

void WriteBatching(ProtoWriter& w, const serving::ModelConfig& config) {
  if (!config.batch.enabled) return;
  const auto batching = w.Begin(11);
  const std::vector<std::int64_t> preferred(config.batch.preferred_rows.begin(),
                                            config.batch.preferred_rows.end());
  w.PackedInts(1, preferred);
  w.Uint(2, static_cast<std::uint64_t>(config.batch.delay_max.count()));
  w.Bool(3, config.batch.preserve_order);
  const auto queue = w.Begin(6);
  w.Uint(2, static_cast<std::uint64_t>(config.queue.timeout.count()));
  w.Bool(3, config.queue.timeout_override);
  w.Uint(4, config.queue.requests_max);
  w.End(queue);
  w.End(batching);
}

}  // namespace

std::string ModelConfigJson(const serving::Version& version) {
  const serving::ModelConfig& config = version.config();
  std::string text;
  JsonWriter w(&text);
  w.BeginObject().Key("name").String(version.model());
  w.Key("platform").String(version.info().platform);
  w.Key("backend").String(version.info().runtime).Key("runtime").String("");
  WriteVersionPolicy(w, config.versions);
  w.Key("max_batch_size").Int(config.max_batch_size);
  WriteTensors(w, version, true);
  WriteTensors(w, version, false);
  w.Key("batch_input").BeginArray().EndArray().Key("batch_output").BeginArray().EndArray();
  WriteBatching(w, config);
  w.Key("instance_group").BeginArray().BeginObject().Key("name").String(version.model());
  w.Key("kind").String("KIND_CPU").Key("count").Uint(version.copies());
  w.Key("gpus").BeginArray().EndArray().Key("secondary_devices").BeginArray().EndArray();
  w.Key("profile").BeginArray().EndArray().Key("passive").Bool(false);
  w.Key("host_policy").String("").EndObject().EndArray();
  w.Key("default_model_filename").String(config.default_filename);
  w.Key("cc_model_filenames").BeginObject().EndObject();
  w.Key("metric_tags").BeginObject().EndObject().Key("parameters").BeginObject();
  for (const auto& [key, value] : config.options) {
    w.Key(key).BeginObject().Key("string_value").String(value).EndObject();
  }
  w.EndObject().Key("model_warmup").BeginArray().EndArray().EndObject();
  return text;
}

ByteBuffer ModelConfigProto(const serving::Version& version) {
  const serving::ModelConfig& config = version.config();
  ByteBuffer out;
  ProtoWriter w(&out);
  const auto whole = w.Begin(1);
  w.Text(1, version.model());
  w.Text(2, version.info().platform);
  w.Text(17, version.info().runtime);
  WriteVersionPolicy(w, config.versions);
  w.Int(4, config.max_batch_size);
  WriteTensors(w, version, true);
  WriteTensors(w, version, false);
  WriteBatching(w, config);
  const auto group = w.Begin(7);
  w.Text(1, version.model());
  w.Uint(4, kKindCpu);
  w.Uint(2, version.copies());
  w.End(group);
  w.Text(8, config.default_filename);
  for (const auto& [key, value] : config.options) {
    const auto entry = w.Begin(14);
    w.Text(1, key);
    const auto parameter = w.Begin(2);
    w.Text(1, value);
    w.End(parameter);
    w.End(entry);
  }
  w.End(whole);
  return out;
}

}  // namespace brim::api
