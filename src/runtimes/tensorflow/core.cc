// The TensorFlow runtime's table (runtimes/runtime.h).
#include <exception>
#include <memory>
#include <utility>

#include "runtimes/plugin/saved_model.h"
#include "runtimes/tensorflow/model.h"

namespace brim::runtimes {
namespace {

brim_code Open(const brim_open_options* options, brim_runtime** runtime, brim_error* error) {
  auto made = std::make_unique<brim_runtime>();
  const brim_code code = FindTensorFlow(options->library_dir, &made->directory, error);
  if (code == kOk) *runtime = made.release();
  return code;
}

void Close(brim_runtime* runtime) { delete runtime; }
const char* Devices(brim_runtime*) { return "CPU"; }
std::uint32_t Reads(brim_runtime*, const char* path) { return IsSavedModel(path) ? 2 : 0; }

brim_code Prepare(brim_runtime* runtime, brim_error* error) {
  if (runtime->loaded) return kOk;
  const brim_code code = LoadTensorFlow(runtime->directory, &runtime->tensorflow, error);
  runtime->loaded = code == kOk;
  return code;
}

brim_code Load(brim_runtime* runtime, const brim_load_options* options, brim_model** model,
               brim_error* error) {
  try {
    return LoadModel(*runtime, *options, model, error);
  } catch (const std::exception& failed) {
    return Fail(error, kInternal, std::string("the load failed: ") + failed.what());
  }
}

void Unload(brim_model* model) { delete model; }
const brim_model_info* Info(brim_model* model) { return &model->table->info(); }

brim_code NewInstance(brim_model* model, brim_instance** instance, brim_error*) {
  *instance = new brim_instance(*model);
  return kOk;
}

void FreeInstance(brim_instance* instance) { delete instance; }

void Run(brim_instance* instance, const brim_run* run, brim_done done, void* context) {
  RunInstance(*instance, *run, done, context);
}

constexpr brim_runtime_api kApi = {sizeof(brim_runtime_api),
                                   BRIM_RUNTIME_ABI,
                                   "tensorflow",
                                   BRIM_TENSORFLOW_VERSION,
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
                                   &Prepare};

}  // namespace
}  // namespace brim::runtimes

extern "C" __attribute__((visibility("default"))) const brim_runtime_api* brim_runtime_entry(
    std::uint32_t host_abi) {
  return host_abi == BRIM_RUNTIME_ABI ? &brim::runtimes::kApi : nullptr;
}
