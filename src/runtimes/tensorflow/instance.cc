// A run: inputs become TensorFlow's tensors, outputs are pointed at where TensorFlow left them.
//
// Inputs are copied: an operation may keep a tensor beyond the run (an assignment to a variable
// shares it), and TensorFlow wants its memory aligned to 64 bytes anyway.
#include <cstdlib>
#include <cstring>

#include "runtimes/plugin/saved_model.h"
#include "runtimes/tensorflow/model.h"

namespace brim::runtimes {
namespace {

constexpr std::size_t kAlignment = 64;  // What TensorFlow's kernels expect (EIGEN_MAX_ALIGN_BYTES).

// What a string tensor's memory needs when TensorFlow is done with it.
struct StringsOwner {
  const TensorFlow* tf;
  std::uint64_t count;
};

void FreeStrings(void* data, std::size_t, void* argument) {
  auto* owner = static_cast<StringsOwner*>(argument);
  auto* strings = static_cast<TF_TString*>(data);
  for (std::uint64_t i = 0; i < owner->count; ++i) owner->tf->StringDealloc(&strings[i]);
  std::free(data);
  delete owner;
}

TF_Tensor* MakeStrings(const TensorFlow& tf, const brim_tensor& input) {
  const std::uint64_t count = ElementCount(input.dims, input.rank);
  const std::size_t bytes = count * sizeof(TF_TString);
  const std::size_t padded = (bytes / kAlignment + 1) * kAlignment;
  auto* strings = static_cast<TF_TString*>(std::aligned_alloc(kAlignment, padded));
  if (strings == nullptr) return nullptr;
  StringReader reader(input.data, input.bytes);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string_view element;
    reader.Next(&element);
    tf.StringInit(&strings[i]);
    tf.StringCopy(&strings[i], element.data(), element.size());
  }
  return tf.NewTensor(TF_STRING, input.dims, input.rank, strings, bytes, &FreeStrings,
                      new StringsOwner{&tf, count});
}

TF_Tensor* MakeTensor(const TensorFlow& tf, TF_DataType type, const brim_tensor& input) {
  if (type == TF_STRING) return MakeStrings(tf, input);
  TF_Tensor* tensor = tf.AllocateTensor(type, input.dims, input.rank, input.bytes);
  if (tensor != nullptr && input.bytes != 0)
    std::memcpy(tf.TensorData(tensor), input.data, input.bytes);
  return tensor;
}

void EncodeStrings(const TensorFlow& tf, const TF_Tensor* tensor, std::vector<std::byte>* out) {
  out->clear();
  const auto* strings = static_cast<const TF_TString*>(tf.TensorData(tensor));
  const std::int64_t count = tf.TensorElementCount(tensor);
  for (std::int64_t i = 0; i < count; ++i) {
    AppendString({tf.StringGetDataPointer(&strings[i]), tf.StringGetSize(&strings[i])}, out);
  }
}

// A run's TensorFlow objects, released at its end.
class Session {
 public:
  Session(brim_instance& instance, const brim_run& run)
      : instance_(instance),
        run_(run),
        tf_(instance.model.tf),
        endpoints_(instance.model.endpoints[run.signature]),
        status_(tf_.NewStatus()) {}
  ~Session() {
    for (std::vector<TF_Tensor*>* tensors : {&instance_.inputs, &instance_.fetched}) {
      for (TF_Tensor* tensor : *tensors) {
        if (tensor != nullptr) tf_.DeleteTensor(tensor);
      }
      tensors->clear();
    }
    tf_.DeleteStatus(status_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The code, and on failure why.
  brim_code Run(std::string* why) {
    for (std::uint32_t i = 0; i < run_.input_count; ++i) {
      TF_Tensor* tensor = MakeTensor(tf_, endpoints_.input_types[i], run_.inputs[i]);
      if (tensor == nullptr) {
        *why = "no memory for an input of " + std::to_string(run_.inputs[i].bytes) + " bytes";
        return kResourceExhausted;
      }
      instance_.inputs.push_back(tensor);
    }
    instance_.fetches.clear();
    for (std::uint32_t i = 0; i < run_.output_count; ++i) {
      if (!endpoints_.same_as[run_.outputs[i]])
        instance_.fetches.push_back(endpoints_.outputs[run_.outputs[i]]);
    }
    if (instance_.fetches.empty()) return kOk;
    instance_.fetched.assign(instance_.fetches.size(), nullptr);
    tf_.SessionRun(instance_.model.session, nullptr, endpoints_.inputs.data(),
                   instance_.inputs.data(), static_cast<int>(instance_.inputs.size()),
                   instance_.fetches.data(), instance_.fetched.data(),
                   static_cast<int>(instance_.fetches.size()), nullptr, 0, nullptr, status_);
    const auto code = static_cast<brim_code>(tf_.GetCode(status_));
    if (code != kOk)
      *why = "TensorFlow failed to run the model: " + FirstLine(tf_.Message(status_));
    return code;
  }

  void Answer() {
    instance_.answer.resize(run_.output_count);
    instance_.dims.resize(run_.output_count);
    instance_.strings.resize(run_.output_count);
    std::size_t next = 0;
    for (std::uint32_t i = 0; i < run_.output_count; ++i) {
      const std::uint32_t wanted = run_.outputs[i];
      const auto& same_as = endpoints_.same_as[wanted];
      instance_.answer[i] =
          same_as ? run_.inputs[*same_as] : Describe(instance_.fetched[next++], i);
      instance_.answer[i].name =
          instance_.model.table->signatures()[run_.signature].outputs[wanted].name.c_str();
    }
  }

 private:
  brim_tensor Describe(const TF_Tensor* tensor, std::size_t at) {
    std::vector<std::int64_t>& dims = instance_.dims[at];
    dims.clear();
    for (int i = 0; i < tf_.NumDims(tensor); ++i) dims.push_back(tf_.Dim(tensor, i));
    brim_tensor out{nullptr,
                    FromTensorFlowType(tf_.TensorType(tensor)),
                    static_cast<std::int32_t>(dims.size()),
                    dims.data(),
                    tf_.TensorData(tensor),
                    tf_.TensorByteSize(tensor)};
    if (tf_.TensorType(tensor) == TF_STRING) {
      EncodeStrings(tf_, tensor, &instance_.strings[at]);
      out.data = instance_.strings[at].data();
      out.bytes = instance_.strings[at].size();
    }
    return out;
  }

  brim_instance& instance_;
  const brim_run& run_;
  const TensorFlow& tf_;
  const Endpoints& endpoints_;
  TF_Status* const status_;
};

}  // namespace

void RunInstance(brim_instance& instance, const brim_run& run, brim_done done, void* context) {
  Session session(instance, run);
  std::string why;
  const brim_code code = session.Run(&why);
  if (code != kOk) return done(context, code, why.c_str(), nullptr, 0);
  session.Answer();
  done(context, kOk, "", instance.answer.data(), run.output_count);
}

}  // namespace brim::runtimes
