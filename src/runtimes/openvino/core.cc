// The OpenVINO runtime's table (runtimes/runtime.h): one ov::Core for the process.
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <utility>

#include "openvino/core/model.hpp"
#include "openvino/op/add.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/runtime/properties.hpp"
#include "runtimes/openvino/model.h"
#include "runtimes/openvino/types.h"
#include "runtimes/plugin/saved_model.h"

namespace brim::runtimes {
namespace {

// Loads the CPU device and compiles one addition, so that what the first compilation costs for good
// (some 20 MB) is the runtime's and not the first model's.
void WarmUp(ov::Core* core) {
  const auto x = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::PartialShape{-1, 4});
  const auto sum = std::make_shared<ov::op::v1::Add>(x, x);
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{sum}, ov::ParameterVector{x});
  core->compile_model(model, "CPU", ov::num_streams(0));
}

brim_code Open(const brim_open_options*, brim_runtime** runtime, brim_error* error) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  // Else TBB opens a library with RTLD_DEEPBIND, which the sanitizers refuse.
  setenv("TBB_ENABLE_SANITIZERS", "1", 0);
#endif
  try {
    auto made = std::make_unique<brim_runtime>();
    for (const std::string& device : made->core.get_available_devices()) {
      made->devices += (made->devices.empty() ? "" : ",") + device;
    }
    WarmUp(&made->core);
    *runtime = made.release();
    return kOk;
  } catch (const std::exception& failed) {
    return Fail(error, kFailedPrecondition, "OpenVINO cannot start: " + Cleaned(failed.what()));
  }
}

void Close(brim_runtime* runtime) { delete runtime; }

const char* Devices(brim_runtime* runtime) { return runtime->devices.c_str(); }

// One signature is all that OpenVINO converts, and strings it cannot compute with.
std::uint32_t ReadsSavedModel(const char* path) {
  std::vector<SavedSignature> signatures;
  if (ReadSavedModel(path, &signatures, nullptr) != kOk)
    return 1;  // The load will say what is wrong.
  const auto numeric = [](const SavedSignature& s) {
    const auto is_string = [](const TensorDeclaration& t) { return t.dtype == BRIM_BYTES; };
    return s.refused.empty() &&
           std::none_of(s.declaration.inputs.begin(), s.declaration.inputs.end(), is_string) &&
           std::none_of(s.declaration.outputs.begin(), s.declaration.outputs.end(), is_string);
  };
  if (signatures.size() == 1) return numeric(signatures[0]) ? 2 : 0;
  return std::any_of(signatures.begin(), signatures.end(), [&](const SavedSignature& s) {
    return s.declaration.name == "serving_default" && numeric(s);
  });
}

std::uint32_t Reads(brim_runtime*, const char* path) {
  try {
    const Format format = FormatOf(path);
    if (format == Format::kSavedModel) return ReadsSavedModel(path);
    return format == Format::kOther ? 0 : 2;
  } catch (const std::exception&) {
    return 0;
  }
}

brim_code Load(brim_runtime* runtime, const brim_load_options* options, brim_model** model,
               brim_error* error) {
  try {
    return LoadModel(*runtime, *options, model, error);
  } catch (const std::exception& failed) {
    return Fail(error, kInternal, "OpenVINO failed: " + Cleaned(failed.what()));
  }
}

void Unload(brim_model* model) { delete model; }
const brim_model_info* Info(brim_model* model) { return &model->table->info(); }

brim_code NewInstance(brim_model* model, brim_instance** instance, brim_error* error) {
  try {
    auto made = std::make_unique<brim_instance>(*model);
    made->Prepare();
    *instance = made.release();
    return kOk;
  } catch (const std::exception& failed) {
    return Fail(error, kFailedPrecondition,
                "OpenVINO cannot make another copy: " + Cleaned(failed.what()));
  }
}

void FreeInstance(brim_instance* instance) { delete instance; }

void Run(brim_instance* instance, const brim_run* run, brim_done done, void* context) {
  RunInstance(*instance, *run, done, context);
}

constexpr brim_runtime_api kApi = {sizeof(brim_runtime_api),
                                   BRIM_RUNTIME_ABI,
                                   "openvino",
                                   BRIM_OPENVINO_VERSION,
                                   &Open,
                                   &Close,
                                   &Devices,
                                   &Reads,
                                   &Load,
                                   &Unload,
                                   &Info,
                                   &NewInstance,
                                   &FreeInstance,
                                   &Run,
                                   nullptr};

}  // namespace
}  // namespace brim::runtimes

extern "C" __attribute__((visibility("default"))) const brim_runtime_api* brim_runtime_entry(
    std::uint32_t host_abi) {
  return host_abi == BRIM_RUNTIME_ABI ? &brim::runtimes::kApi : nullptr;
}
