// The functions of TensorFlow's C API that are used here, found in its libraries at run time.
//
// Not linked: a host without TensorFlow can load this plugin and be told what to fetch. Loaded
// RTLD_LOCAL, so the protobuf, absl and BoringSSL inside stay TensorFlow's own.
// Threads: immutable once loaded.
#pragma once

#include <string>

#include "runtimes/plugin/parts.h"
#include "tensorflow/c/c_api.h"

namespace brim::runtimes {

// clang-format off
#define BRIM_TENSORFLOW_FUNCTIONS(X)                                                        \
  X(AllocateTensor) X(CloseSession) X(DeleteBuffer) X(DeleteGraph) X(DeleteSession)         \
  X(DeleteSessionOptions) X(DeleteStatus) X(DeleteTensor) X(Dim) X(GetCode)                 \
  X(GraphNextOperation) X(GraphOperationByName) X(LoadSessionFromSavedModel) X(Message)     \
  X(NewBuffer) X(NewGraph) X(NewSessionOptions) X(NewStatus) X(NewTensor) X(NumDims)        \
  X(OperationNumOutputs) X(OperationOpType) X(OperationOutputType) X(SessionRun)            \
  X(SetConfig) X(StringCopy) X(StringDealloc) X(StringGetDataPointer) X(StringGetSize)      \
  X(StringInit) X(TensorByteSize) X(TensorData) X(TensorElementCount) X(TensorType)
// clang-format on

struct TensorFlow {
#define BRIM_DECLARE(name) decltype(&TF_##name) name = nullptr;
  BRIM_TENSORFLOW_FUNCTIONS(BRIM_DECLARE)
#undef BRIM_DECLARE
};

// Where the libraries lie: library_dir, or else tensorflow/ beside the plugin, or beside it.
brim_code FindTensorFlow(const char* library_dir, std::string* found, brim_error* error);

// Loads them from there (290 MB), and sets what TensorFlow reads from the environment first (values
// that are already there stay).
brim_code LoadTensorFlow(const std::string& dir, TensorFlow* tensorflow, brim_error* error);

}  // namespace brim::runtimes
