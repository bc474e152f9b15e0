#include "runtimes/openvino/model.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "openvino/runtime/properties.hpp"
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
  } else if (key == "mmap") {
    if (value != "true" && value != "false") {
      return Fail(error, kInvalidArgument,
                  "option mmap is '" + value + "'; it can be true or false");
    }
    wishes->read.insert_or_assign(ov::enable_mmap.name(), value == "true");
  } else if (std::none_of(key.begin(), key.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
    return Fail(error, kInvalidArgument,
                "the openvino runtime has no option '" + key + "'; it has: cache_dir, mmap");
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

bool IsDynamic(const ov::Model& model) {
  const auto inputs = model.inputs();
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const auto& i) { return i.get_partial_shape().is_dynamic(); });
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
      ov::CompiledModel compiled =
          runtime.core.compile_model(reading.model, device, wishes.compile);
      precision = PrecisionOf(compiled, precision);
      if (IsDynamic(*reading.model)) model->shapes = std::make_unique<ShapeCheck>(*reading.model);
      model->KeepSpare(std::move(compiled));
    }
  } catch (const std::exception& refused) {
    return Fail(error, kUnimplemented,
                "OpenVINO cannot run '" + path + "' on " + device + ": " + Cleaned(refused.what()));
  }
  model->inputs = std::move(reading.inputs);
  model->outputs = std::move(reading.outputs);
  model->table = std::make_unique<InfoTable>(
      PlatformOf(FormatOf(path)), precision, device,
      std::vector<SignatureDeclaration>{std::move(reading.signature)}, false);
  *out = model.release();
  return kOk;
}

}  // namespace brim::runtimes

ov::CompiledModel brim_model::TakeCopy() {
  {
    const std::lock_guard lock(mutex_);
    if (spare_) {
      ov::CompiledModel copy = std::move(*spare_);
      spare_.reset();
      return copy;
    }
  }
  if (brim::runtimes::StampsOf(path) != stamps) {
    throw std::runtime_error("the files of '" + path +
                             "' have changed since it was loaded; load it again");
  }
  const brim::runtimes::Reading reading = brim::runtimes::ReadModel(core, path, read_properties);
  return core.compile_model(reading.model, device, compile_properties);
}

void brim_instance::Prepare() {
  request = {};
  compiled = {};
  last_key.clear();
  inputs.clear();
  if (model.computes) {
    compiled = model.TakeCopy();
    request = compiled.create_infer_request();
  }
  usable = true;
}
