#include "runtimes/openvino/model.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "openvino/runtime/properties.hpp"
#include "runtimes/openvino/attention_guard.h"
#include "runtimes/openvino/types.h"

namespace brim::runtimes {
namespace {

std::string PlatformOf(Format format) {
  switch (format) {
    case Format::kOnnx:
      return "onnxruntime_onnx";
    case Format::kSavedModel:
      return "tensorflow_savedmodel";
    case Format::kFrozenGraph:
      return "tensorflow_graphdef";
    case Format::kTfLite:
      return "tensorflow_lite";
    case Format::kPaddle:
      return "paddle";
    default:
      return "openvino";
  }
}

// The path and what OpenVINO reads beside it. Weights that an ONNX file keeps elsewhere are not
// known here.
std::vector<FileStamp> StampsOf(const std::string& path) {
  std::vector<std::filesystem::path> files{path};
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    files = {path + "/saved_model.pb"};
    for (const auto& entry : std::filesystem::directory_iterator(path + "/variables", ignored)) {
      files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
  }
  for (const char* extension : {".bin", ".pdiparams"}) {
    const auto beside = std::filesystem::path(path).replace_extension(extension);
    if (std::filesystem::exists(beside, ignored)) files.push_back(beside);
  }
  std::vector<FileStamp> stamps;
  for (const auto& file : files) {
    struct stat s {};
    if (stat(file.c_str(), &s) != 0) continue;
    stamps.push_back({file, static_cast<std::uint64_t>(s.st_size),
                      std::int64_t{s.st_mtim.tv_sec} * 1000000000 + s.st_mtim.tv_nsec, s.st_ino});
  }
  return stamps;
}

// Properties from the load options.
struct Wishes {
  ov::AnyMap read;
  ov::AnyMap compile;
  std::string fixed_shapes;
};

brim_code ReadPrecision(const std::string& precision, ov::AnyMap* compile, brim_error* error) {
  if (precision.empty() || precision == "f32") {
    compile->insert(ov::hint::inference_precision(ov::element::f32));
  } else if (precision == "bf16") {
    compile->insert(ov::hint::inference_precision(ov::element::bf16));
  } else if (precision == "f16") {
    compile->insert(ov::hint::inference_precision(ov::element::f16));
  } else if (precision != "auto") {
    return Fail(error, kInvalidArgument,
                "precision '" + precision + "' is not one of f32, bf16, f16, auto");
  }
  return kOk;
}

// Options in lower case are ours; others (Triton's parameters, in capitals) are not for us.
brim_code ReadOption(const std::string& key, const std::string& value, Wishes* wishes,
                     brim_error* error) {
  if (key == "cache_dir") {
    wishes->compile.insert(ov::cache_dir(value));
  } else if (key == "fixed_shapes") {
    wishes->fixed_shapes = value;
  } else if (key == "mmap") {
    if (value != "true" && value != "false") {
      return Fail(error, kInvalidArgument,
                  "option mmap is '" + value + "'; it can be true or false");
    }
    wishes->read.insert_or_assign(ov::enable_mmap.name(), value == "true");
  } else if (std::none_of(key.begin(), key.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
    return Fail(
        error, kInvalidArgument,
        "the openvino runtime has no option '" + key + "'; it has: cache_dir, fixed_shapes, mmap");
  }
  return kOk;
}

brim_code ReadWishes(const brim_load_options& options, const std::string& device, Wishes* wishes,
                     brim_error* error) {
  const std::string precision = options.precision == nullptr ? "" : options.precision;
  if (const brim_code code = ReadPrecision(precision, &wishes->compile, error); code != kOk)
    return code;
  // Mapped weights save memory, but a file that is overwritten in place while it serves would kill
  // the process.
  wishes->read.insert(ov::enable_mmap(false));
  if (options.width > 1) {
    wishes->compile.insert(ov::num_streams(1));
    wishes->compile.insert(ov::inference_num_threads(static_cast<std::int32_t>(options.width)));
    wishes->compile.insert(ov::hint::enable_cpu_pinning(false));
  } else if (device == "CPU") {
    wishes->compile.insert(ov::num_streams(0));  // Runs on the caller, creates no thread.
  }
  for (std::uint32_t i = 0; i < options.option_count; ++i) {
    const brim_code code =
        ReadOption(options.option_keys[i], options.option_values[i], wishes, error);
    if (code != kOk) return code;
  }
  return kOk;
}

std::string PrecisionOf(const ov::CompiledModel& compiled, const std::string& otherwise) {
  try {
    return compiled.get_property(ov::hint::inference_precision).get_type_name();
  } catch (const std::exception&) {
    return otherwise;  // The device does not say.
  }
}

brim_code ReadFailure(const std::string& path, const std::string& what, brim_error* error) {
  const bool lacks = what.find("onversion") != std::string::npos ||
                     what.find("cannot compute") != std::string::npos;
  return Fail(error, lacks ? kUnimplemented : kInvalidArgument,
              "OpenVINO cannot read '" + path + "': " + Cleaned(what));
}

// The signature's names of the inputs that are computed with, in the order of the model's ports.
std::vector<std::string> PortNames(const Reading& reading) {
  std::vector<std::string> names(reading.model->inputs().size());
  for (std::size_t i = 0; i < reading.inputs.size(); ++i) {
    if (reading.inputs[i].port) names[*reading.inputs[i].port] = reading.signature.inputs[i].name;
  }
  return names;
}

bool FitsDeclared(const ov::Model& model, const FixedShape& shape) {
  const auto inputs = model.inputs();
  for (std::size_t port = 0; port < inputs.size(); ++port) {
    if (!inputs[port].get_partial_shape().compatible(shape.shapes.at(port))) return false;
  }
  return true;
}

bool IsDynamic(const ov::Model& model) {
  const auto inputs = model.inputs();
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const auto& i) { return i.get_partial_shape().is_dynamic(); });
}

// A shape that the model cannot take is the configuration's fault, not the model's.
brim_code FixShapes(const std::string& wanted, const Reading& reading, brim_model* model,
                    brim_error* error) {
  if (wanted.empty()) return kOk;
  const std::string context = "option fixed_shapes is '" + wanted + "': ";
  std::string why;
  if (model->shapes == nullptr) {
    return Fail(error, kInvalidArgument, context + "every shape of this model is fixed already");
  }
  if (!ReadFixedShapes(wanted, PortNames(reading), &model->fixed, &why)) {
    return Fail(error, kInvalidArgument, context + why);
  }
  for (const FixedShape& shape : model->fixed) {
    if (!FitsDeclared(*reading.model, shape)) why = "the model declares others";
    if (!why.empty() || !model->shapes->Accepts(shape.key, &why)) {
      return Fail(error, kInvalidArgument,
                  context + "the model cannot take " + shape.text + " (" + why + ")");
    }
  }
  return kOk;
}

// A graph of its own must answer as the graph for all shapes does.
brim_code CheckFixed(const brim_model& model, const std::string& precision, CompiledCopy* copy,
                     brim_error* error) {
  const double tolerance = precision == "f32" ? 1e-3 : 3e-2;
  for (std::size_t i = 0; i < model.fixed.size(); ++i) {
    std::string why;
    if (AnswersAlike((*copy)[0], (*copy)[i + 1], model.fixed[i], tolerance, &why)) continue;
    return Fail(error, kFailedPrecondition,
                "OpenVINO compiles this model wrongly for the one shape " + model.fixed[i].text +
                    " (" + why + "); leave it out of option fixed_shapes");
  }
  return kOk;
}

std::string NoteOf(const brim_model& model) {
  if (std::find(model.unfused.begin(), model.unfused.end(), true) == model.unfused.end()) return "";
  return "OpenVINO's fused attention may answer wrongly for the shapes of this model, so it is "
         "compiled without";
}

}  // namespace

brim_code LoadModel(brim_runtime& runtime, const brim_load_options& options, brim_model** out,
                    brim_error* error) {
  const std::string path = options.path;
  const std::string device =
      options.device == nullptr || *options.device == '\0' ? "CPU" : options.device;
  std::error_code failed;
  if (!std::filesystem::exists(path, failed))
    return Fail(error, kNotFound, "there is no '" + path + "'");
  Wishes wishes;
  if (const brim_code code = ReadWishes(options, device, &wishes, error); code != kOk) return code;
  auto model =
      std::make_unique<brim_model>(runtime.core, path, device, wishes.read, wishes.compile);
  model->stamps = StampsOf(path);
  Reading reading;
  try {
    reading = ReadModel(runtime.core, path, wishes.read);
  } catch (const std::exception& refused) {
    return ReadFailure(path, refused.what(), error);
  }
  std::string precision =
      options.precision == nullptr || *options.precision == '\0' ? "f32" : options.precision;
  try {
    model->computes = reading.model != nullptr;
    if (model->computes) {
      if (IsDynamic(*reading.model)) model->shapes = std::make_unique<ShapeCheck>(*reading.model);
      if (const brim_code code = FixShapes(wishes.fixed_shapes, reading, model.get(), error);
          code != kOk) {
        return code;
      }
      CompiledCopy copy = model->Compile(reading.model);
      model->Guard(reading.model, &copy);
      precision = PrecisionOf(copy.front(), precision);
      if (const brim_code code = CheckFixed(*model, precision, &copy, error); code != kOk)
        return code;
      model->KeepSpare(std::move(copy));
    }
  } catch (const std::exception& refused) {
    return Fail(error, kUnimplemented,
                "OpenVINO cannot run '" + path + "' on " + device + ": " + Cleaned(refused.what()));
  }
  model->inputs = std::move(reading.inputs);
  model->ports = static_cast<std::size_t>(
      std::count_if(model->inputs.begin(), model->inputs.end(),
                    [](const InputPlace& place) { return place.port.has_value(); }));
  model->outputs = std::move(reading.outputs);
  model->table = std::make_unique<InfoTable>(
      PlatformOf(FormatOf(path)), precision, device,
      std::vector<SignatureDeclaration>{std::move(reading.signature)}, false, NoteOf(*model));
  *out = model.release();
  return kOk;
}

}  // namespace brim::runtimes

ov::CompiledModel brim_model::CompileGraph(const std::shared_ptr<ov::Model>& read,
                                           std::size_t graph) const {
  std::shared_ptr<ov::Model> shaped = read;
  if (graph > 0) {
    shaped = read->clone();
    shaped->reshape(fixed[graph - 1].shapes);
  }
  if (graph >= unfused.size() || !unfused[graph]) {
    return core.compile_model(shaped, device, compile_properties);
  }
  ov::AnyMap properties = compile_properties;
  properties["SNIPPETS_MODE"] = "DISABLE";
  // The cache does not tell this property apart: it would give back the fused graph.
  properties.erase(ov::cache_dir.name());
  return core.compile_model(shaped, device, properties);
}

brim::runtimes::CompiledCopy brim_model::Compile(const std::shared_ptr<ov::Model>& read) const {
  brim::runtimes::CompiledCopy copy;
  for (std::size_t graph = 0; graph <= fixed.size(); ++graph) {
    copy.push_back(CompileGraph(read, graph));
  }
  return copy;
}

void brim_model::Guard(const std::shared_ptr<ov::Model>& read, brim::runtimes::CompiledCopy* copy) {
  unfused.assign(copy->size(), false);
  if (device != "CPU") return;
  const bool hides = brim::runtimes::HidesAttention(*read);
  if (!hides && !brim::runtimes::HasAttention(*read)) return;
  for (std::size_t graph = 0; graph < copy->size(); ++graph) {
    if (!hides && !brim::runtimes::MayMixUpHeads((*copy)[graph])) continue;
    unfused[graph] = true;
    (*copy)[graph] = {};  // Its memory first.
    (*copy)[graph] = CompileGraph(read, graph);
  }
}

brim::runtimes::CompiledCopy brim_model::TakeCopy() {
  {
    const std::lock_guard lock(mutex_);
    if (!spare_.empty()) return std::exchange(spare_, {});
  }
  if (brim::runtimes::StampsOf(path) != stamps) {
    throw std::runtime_error("the files of '" + path +
                             "' have changed since it was loaded; load it again");
  }
  return Compile(brim::runtimes::ReadModel(core, path, read_properties).model);
}

void brim_instance::Prepare() {
  graph = nullptr;
  graphs.clear();
  last_key.clear();
  if (model.computes) {
    for (ov::CompiledModel& compiled : model.TakeCopy()) {
      brim::runtimes::Graph& made = graphs.emplace_back();
      if (graphs.size() > 1) made.only = model.fixed[graphs.size() - 2].key;
      made.compiled = std::move(compiled);
      made.request = made.compiled.create_infer_request();
    }
  }
  usable = true;
}
