// What the OpenVINO plugin's tests share: one runtime, models on disk, runs that must go well.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtimes/host.h"
#include "runtimes/testing.h"

namespace brim::runtimes {

inline std::string ModelPath(const std::string& name) {
  const std::string path = std::string(BRIM_MODEL_DIR) + "/" + name;
  EXPECT_TRUE(std::filesystem::exists(path)) << "run `deps/fetch models` and `tests/models/make`";
  return path;
}

class OpenVinoTest : public ::testing::Test {
 protected:
  // One runtime for all tests, as in a server. Never closed: a leak checker can then say whose a
  // leak is.
  static void SetUpTestSuite() {
    if (host_ == nullptr) host_ = new Host(BuiltPlugins());
  }

  static Runtime& runtime() {
    auto runtime = host_->Get("openvino");
    EXPECT_TRUE(runtime.ok()) << runtime.status().ToString();
    return **runtime;
  }
  static Result<std::unique_ptr<Model>> TryLoad(const std::string& path, LoadOptions options = {}) {
    options.path = path;
    return runtime().Load(options);
  }
  static std::unique_ptr<Model> Load(const std::string& name, LoadOptions options = {}) {
    auto model = TryLoad(ModelPath(name), std::move(options));
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    return std::move(model).value();
  }
  static std::unique_ptr<Instance> New(Model& model) {
    auto instance = model.NewInstance();
    EXPECT_TRUE(instance.ok()) << instance.status().ToString();
    return std::move(instance).value();
  }
  static std::vector<Tensor> Run(const Model& model, Instance& instance,
                                 const std::vector<Tensor>& inputs) {
    Captured captured;
    RunAll(model, instance, inputs, &captured);
    EXPECT_TRUE(captured.status.ok()) << captured.status.ToString();
    EXPECT_EQ(captured.calls, 1);
    captured.outputs.resize(model.info().signatures[0].outputs.size());
    return captured.outputs;
  }
  static Status Failure(const Model& model, Instance& instance, const std::vector<Tensor>& inputs) {
    Captured captured;
    RunAll(model, instance, inputs, &captured);
    EXPECT_EQ(captured.calls, 1);
    return captured.status;
  }

  static inline Host* host_ = nullptr;
  Scratch scratch_;
};

}  // namespace brim::runtimes
