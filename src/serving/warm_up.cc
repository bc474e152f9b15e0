#include "serving/warm_up.h"

#include <fmt/format.h>

#include <cstddef>
#include <vector>

#include "base/mutex.h"
#include "base/text.h"
#include "model/tensor.h"

namespace brim::serving {
namespace {

constexpr std::uint64_t kZerosMax = 256u << 20;
constexpr std::uint64_t kStringsMax = 1u << 20;  // Elements of one string input.

class Finished final : public runtimes::RunDone {
 public:
  void OnRunDone(const Status& status, std::span<const model::TensorView>) override {
    MutexLock lock(mutex_);
    status_ = status;
    done_ = true;
    changed_.NotifyOne();  // Under the lock: the waiter destroys this object.
  }
  Status Wait() {
    MutexLock lock(mutex_);
    while (!done_) changed_.Wait(mutex_);
    return status_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool done_ BRIM_GUARDED_BY(mutex_) = false;
  Status status_ BRIM_GUARDED_BY(mutex_);
};

// Bytes of zeros for one input; null when it would be too much. An empty string is four zero bytes.
std::optional<std::uint64_t> ZeroBytes(model::DType dtype, const model::Shape& shape) {
  if (dtype != model::DType::kBytes) return model::DenseBytes(dtype, shape);
  const auto elements = shape.Elements();
  if (!elements.has_value() || *elements > kStringsMax) return std::nullopt;
  return *elements * 4;
}

}  // namespace

WarmUpResult WarmUp(const model::ModelInfo& info, runtimes::Instance* instance) {
  const model::Signature& signature = info.Default();
  bool guessed = false;
  std::uint64_t largest = 0;
  std::uint64_t total = 0;
  std::vector<model::TensorView> inputs;
  std::vector<std::uint64_t> sizes;
  for (const model::TensorSpec& spec : signature.inputs) {
    model::TensorView view{spec.name, spec.dtype, spec.shape, {}};
    guessed |= !spec.rank_known;
    for (std::size_t axis = 0; axis < view.shape.rank(); ++axis) {
      if (view.shape[axis] >= 0) continue;
      view.shape.Set(axis, 1);
      guessed = true;
    }
    const auto bytes = ZeroBytes(spec.dtype, view.shape);
    total += bytes.value_or(0);
    if (!bytes.has_value() || *bytes > kZerosMax || total > kZerosMax) {
      return {WarmUpEnd::kSkipped,
              Status(Code::kResourceExhausted, "warm_up_too_large",
                     fmt::format("input '{}' {} would need more than {}", spec.name,
                                 view.shape.ToString(), HumanBytes(kZerosMax)))};
    }
    largest = std::max(largest, *bytes);
    sizes.push_back(*bytes);
    inputs.push_back(view);
  }
  const std::vector<std::byte> zeros(largest);  // All inputs read the same zeros.
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i].data = std::span(zeros).first(sizes[i]);
  std::vector<std::uint32_t> outputs(signature.outputs.size());
  for (std::uint32_t i = 0; i < outputs.size(); ++i) outputs[i] = i;
  const auto index = static_cast<std::uint32_t>(&signature - info.signatures.data());
  Finished finished;
  instance->Run(index, inputs, outputs, &finished);
  const Status status = finished.Wait();
  if (status.ok()) return {};
  return {guessed ? WarmUpEnd::kSkipped : WarmUpEnd::kFailed,
          status.WithContext("warm-up with zeros")};
}

}  // namespace brim::serving
