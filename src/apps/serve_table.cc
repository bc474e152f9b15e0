#include "apps/serve_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/json.h"
#include "base/text.h"

namespace brim::apps {
namespace {

constexpr std::size_t kTensorsShown = 3;
constexpr std::size_t kColumns = 8;
using Cells = std::array<std::string, kColumns>;

std::string Tensors(const std::vector<model::TensorSpec>& specs) {
  std::string text;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (i == kTensorsShown) return text + fmt::format(" +{}", specs.size() - i);
    if (i > 0) text.push_back(' ');
    fmt::format_to(std::back_inserter(text), "{}:{}{}", specs[i].name,
                   model::KServeName(specs[i].dtype),
                   specs[i].rank_known ? specs[i].shape.ToString() : "[?]");
  }
  return text;
}

Cells RowOf(const serving::Version& version) {
  const model::ModelInfo& info = version.info();
  const model::Signature& signature = info.Default();
  return {version.model(),
          version.number_text(),
          info.runtime,
          info.precision,
          Tensors(signature.inputs),
          Tensors(signature.outputs),
          HumanBytes(info.memory_bytes),
          fmt::format("{:.0f} ms", version.load_seconds() * 1000)};
}

// Columns as wide as their widest cell; the last is not padded.
std::string Lay(const std::vector<Cells>& rows) {
  std::array<std::size_t, kColumns> widths{};
  for (const Cells& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Cells& row : rows) {
    text += "  ";
    for (std::size_t i = 0; i + 1 < kColumns; ++i) {
      fmt::format_to(std::back_inserter(text), "{:<{}}  ", row[i], widths[i]);
    }
    text += row[kColumns - 1];
    text.push_back('\n');
  }
  return text;
}

std::string Url(const StartReport& report) {
  const bool any = report.host == "0.0.0.0" || report.host == "::" || report.host.empty();
  const bool bare_v6 = report.host.find(':') != std::string::npos && report.host.front() != '[';
  return fmt::format("{}://{}:{}", report.tls ? "https" : "http",
                     any       ? "localhost"
                     : bare_v6 ? "[" + report.host + "]"
                               : report.host,
                     report.ports.front());
}

std::string ZeroOf(model::DType dtype) {
  if (dtype == model::DType::kBytes) return "\"text\"";
  return dtype == model::DType::kBool ? "false" : "0";
}

// A request with zeros for the smallest model, small enough to paste; empty when there is none.
std::string CurlLine(const std::vector<serving::VersionHandle>& versions, const std::string& url) {
  static constexpr std::uint64_t kElementsShown = 16;
  for (const serving::VersionHandle& version : versions) {
    const model::Signature& signature = version->info().Default();
    std::string inputs;
    bool fits = !signature.inputs.empty();
    for (const model::TensorSpec& spec : signature.inputs) {
      model::Shape shape = spec.shape;
      if (shape.rank() > 0 && shape[0] < 0) shape.Set(0, 1);
      // Another dynamic dimension may have bounds that only the model knows: a guess could fail.
      const auto elements = shape.Elements();
      if (!spec.rank_known || !elements || *elements > kElementsShown) {
        fits = false;
        break;
      }
      // A name that JSON or the shell would have to quote is not one to paste.
      fits = fits && spec.name.find_first_of("\"'\\") == std::string::npos;
      if (!inputs.empty()) inputs += ",";
      std::string data;
      for (std::uint64_t i = 0; i < *elements; ++i) data += (i > 0 ? "," : "") + ZeroOf(spec.dtype);
      fmt::format_to(std::back_inserter(inputs),
                     R"({{"name":"{}","shape":{},"datatype":"{}","data":[{}]}})", spec.name,
                     shape.ToString(), model::KServeName(spec.dtype), data);
    }
    if (fits) {
      return fmt::format("curl -s {}/v2/models/{}/infer -d '{{\"inputs\":[{}]}}'", url,
                         UrlPathPart(version->model()), inputs);
    }
  }
  if (versions.empty()) return "";
  return fmt::format("curl -s {}/v2/models/{}", url, UrlPathPart(versions.front()->model()));
}

std::string Failures(const serving::Repository& repository) {
  std::string text;
  for (const serving::ModelStatus& model : repository.List()) {
    if (!model.status.ok()) {
      fmt::format_to(std::back_inserter(text), "  {}: {}\n", model.name, model.status.message());
    }
    for (const serving::VersionStatus& version : model.versions) {
      if (version.status.ok()) continue;
      fmt::format_to(std::back_inserter(text), "  {} version {}: {}\n", model.name, version.number,
                     version.status.message());
    }
  }
  return text;
}

}  // namespace

std::string ProgressLine(const serving::ModelStatus& model) {
  std::string why = model.status.ok() ? "" : model.status.message();
  std::string ready;
  for (const serving::VersionStatus& version : model.versions) {
    if (version.state == serving::VersionState::kAvailable) {
      ready += fmt::format("{}{}", ready.empty() ? "" : ", ", version.number);
    } else if (!version.status.ok()) {
      why = version.status.message();
    }
  }
  if (!ready.empty()) return fmt::format("  {} version {} ready\n", model.name, ready);
  return fmt::format("  {} failed: {}\n", model.name, why.empty() ? "no version serves" : why);
}

std::string StartTable(const serving::Repository& repository, const StartReport& report) {
  const std::vector<serving::VersionHandle> versions = repository.Serving();
  const std::string url = Url(report);
  std::string text = "\n";
  if (versions.empty()) {
    text += "No model serves yet.\n";
  } else {
    std::vector<Cells> rows = {
        {"MODEL", "VERSION", "RUNTIME", "PRECISION", "INPUTS", "OUTPUTS", "MEMORY", "LOAD"}};
    for (const serving::VersionHandle& version : versions) rows.push_back(RowOf(*version));
    text += Lay(rows);
  }
  const std::string failures = Failures(repository);
  if (!failures.empty()) text += "\nNot serving:\n" + failures;
  fmt::format_to(std::back_inserter(text),
                 "\n{} workers and {} connection loops; HTTP/1.1, HTTP/2 and gRPC on every port.\n"
                 "  page     {}/\n  metrics  {}/metrics\n",
                 report.workers, report.loops, url, url);
  for (std::size_t i = 1; i < report.ports.size(); ++i) {
    fmt::format_to(std::back_inserter(text), "  also     port {}\n", report.ports[i]);
  }
  const std::string curl = CurlLine(versions, url);
  if (!curl.empty()) fmt::format_to(std::back_inserter(text), "  try      {}\n", curl);
  text += "\n";
  return text;
}

std::string StartJson(const serving::Repository& repository, const StartReport& report) {
  std::string text;
  JsonWriter w(&text);
  w.BeginObject().Key("url").String(Url(report)).Key("ports").BeginArray();
  for (const std::uint16_t port : report.ports) w.Uint(port);
  w.EndArray().Key("workers").Uint(report.workers).Key("loops").Uint(report.loops);
  w.Key("models").BeginArray();
  for (const serving::VersionHandle& version : repository.Serving()) {
    const model::ModelInfo& info = version->info();
    w.BeginObject().Key("name").String(version->model()).Key("version").Int(version->number());
    w.Key("owner").String(version->owner()).Key("runtime").String(info.runtime);
    w.Key("precision").String(info.precision).Key("device").String(info.device);
    w.Key("memory_bytes")
        .Uint(info.memory_bytes)
        .Key("load_seconds")
        .Double(version->load_seconds());
    w.EndObject();
  }
  w.EndArray().Key("not_serving").BeginArray();
  for (const serving::ModelStatus& model : repository.List()) {
    for (const serving::VersionStatus& version : model.versions) {
      if (version.status.ok()) continue;
      w.BeginObject().Key("name").String(model.name).Key("version").Int(version.number);
      w.Key("reason").String(version.status.message()).EndObject();
    }
    if (!model.status.ok()) {
      w.BeginObject()
          .Key("name")
          .String(model.name)
          .Key("reason")
          .String(model.status.message())
          .EndObject();
    }
  }
  w.EndArray().EndObject();
  text.push_back('\n');
  return text;
}

}  // namespace brim::apps
