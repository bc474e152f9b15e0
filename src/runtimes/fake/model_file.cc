#include "runtimes/fake/model_file.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

namespace brim::runtimes {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr std::size_t kSignaturesMax = 64;
constexpr std::size_t kTensorsMax = 1024;

struct TypeName {
  std::string_view name;
  std::int32_t dtype;
};
constexpr TypeName kTypes[] = {
    {"BOOL", BRIM_BOOL},     {"UINT8", BRIM_UINT8},   {"UINT16", BRIM_UINT16},
    {"UINT32", BRIM_UINT32}, {"UINT64", BRIM_UINT64}, {"INT8", BRIM_INT8},
    {"INT16", BRIM_INT16},   {"INT32", BRIM_INT32},   {"INT64", BRIM_INT64},
    {"FP16", BRIM_FP16},     {"FP32", BRIM_FP32},     {"FP64", BRIM_FP64},
    {"BYTES", BRIM_BYTES},   {"BF16", BRIM_BF16}};

// One line's words, taken from the front. What is missing or malformed makes it bad, for good.
class Line {
 public:
  explicit Line(const std::string& text) : words_(text) {}

  bool ok() const { return ok_; }
  std::string Word() {
    std::string word;
    if (!(words_ >> word)) ok_ = false;
    return word;
  }
  std::string MaybeWord() {
    std::string word;
    words_ >> word;
    return word;
  }
  std::uint64_t Count() {
    const std::string word = Word();
    char* end = nullptr;
    errno = 0;
    const std::uint64_t value = std::strtoull(word.c_str(), &end, 10);
    if (word.empty() || *end != '\0' || errno != 0 || word[0] == '-') ok_ = false;
    return value;
  }
  double Number() {
    const std::string word = Word();
    char* end = nullptr;
    const double value = std::strtod(word.c_str(), &end);
    if (word.empty() || *end != '\0') ok_ = false;
    return value;
  }
  Failure Fault() {
    Failure failure;
    failure.code = static_cast<brim_code>(Count());
    std::getline(words_ >> std::ws, failure.text);
    if (failure.code < 1 || failure.code > 16) ok_ = false;
    return failure;
  }
  TensorDeclaration Tensor() {
    TensorDeclaration tensor;
    tensor.name = Word();
    const std::string type = Word();
    for (const TypeName& known : kTypes) {
      if (type == known.name) tensor.dtype = known.dtype;
    }
    if (tensor.dtype == BRIM_INVALID) ok_ = false;
    const std::string dims = Word();
    if (dims == "?") tensor.rank = -1;
    if (dims == "?" || dims == "[]") return tensor;
    std::istringstream list(dims);
    for (std::string dim; std::getline(list, dim, ',');) {
      char* end = nullptr;
      const long long value = std::strtoll(dim.c_str(), &end, 10);
      if (dim.empty() || *end != '\0' || value < -1) ok_ = false;
      tensor.dims.push_back(value);
    }
    tensor.rank = static_cast<std::int32_t>(tensor.dims.size());
    return tensor;
  }
  bool AtEnd() {
    std::string rest;
    return !(words_ >> rest);
  }
  void Refuse() { ok_ = false; }

 private:
  std::istringstream words_;
  bool ok_ = true;
};

std::uint32_t InputIndex(const SignatureDeclaration& signature, Line* line) {
  const std::string name = line->Word();
  for (std::size_t i = 0; i < signature.inputs.size(); ++i) {
    if (signature.inputs[i].name == name) return static_cast<std::uint32_t>(i);
  }
  line->Refuse();
  return 0;
}

OutputRule ReadRule(const SignatureDeclaration& signature, const TensorDeclaration& output,
                    Line* line) {
  OutputRule rule;
  const std::string function = line->Word();
  if (function == "identity") {
    rule.first = InputIndex(signature, line);
  } else if (function == "add") {
    rule.function = Function::kAdd;
    rule.first = InputIndex(signature, line);
    rule.second = InputIndex(signature, line);
    if (output.dtype == BRIM_BYTES || output.dtype == BRIM_FP16 || output.dtype == BRIM_BF16)
      line->Refuse();
  } else if (function == "fill") {
    rule.function = Function::kFill;
    if (output.dtype == BRIM_BYTES) {
      rule.text = line->MaybeWord();
    } else {
      rule.value = line->Number();
    }
  } else if (function == "rows") {
    rule.function = Function::kRows;
  } else if (function == "instance") {
    rule.function = Function::kInstance;
  } else {
    line->Refuse();
  }
  return rule;
}

void ReadTensor(bool is_input, Line* line, ModelFile* file) {
  if (file->signatures.empty()) {
    file->signatures.emplace_back();
    file->rules.emplace_back();
  }
  SignatureDeclaration& signature = file->signatures.back();
  TensorDeclaration tensor = line->Tensor();
  auto& list = is_input ? signature.inputs : signature.outputs;
  if (list.size() == kTensorsMax) line->Refuse();
  if (!is_input) file->rules.back().push_back(ReadRule(signature, tensor, line));
  list.push_back(std::move(tensor));
}

void ReadStatement(const std::string& word, Line* line, ModelFile* file) {
  if (word == "platform") {
    file->platform = line->Word();
  } else if (word == "signature") {
    if (file->signatures.size() == kSignaturesMax) line->Refuse();
    file->signatures.push_back({line->Word(), line->MaybeWord(), {}, {}});
    file->rules.emplace_back();
  } else if (word == "input" || word == "output") {
    ReadTensor(word == "input", line, file);
  } else if (word == "free_instances") {
    file->free_instances = true;
  } else if (word == "async") {
    file->async = true;
  } else if (word == "memory_bytes") {
    file->memory_bytes = line->Count();
  } else if (word == "instance_bytes") {
    file->instance_bytes = line->Count();
  } else if (word == "load_ms") {
    file->load_ms = line->Count();
  } else if (word == "run_us") {
    file->run_us = line->Count();
  } else if (word == "load_fail") {
    file->load_fail = line->Fault();
  } else if (word == "instance_fail") {
    file->instance_fail = line->Fault();
  } else if (word == "run_fail") {
    file->run_fail = line->Fault();
  } else if (word == "run_fail_every") {
    file->run_fail_period = line->Count();
    file->run_fail_every = line->Fault();
    if (file->run_fail_period == 0) line->Refuse();
  } else if (word == "run_fail_above") {
    file->run_fail_rows = line->Count();
    file->run_fail_above = line->Fault();
  } else if (word == "load_gate") {
    file->load_gate = line->Word();
  } else if (word == "run_gate") {
    file->run_gate = line->Word();
  } else {
    line->Refuse();
  }
}

constexpr std::string_view kMagic = "brim-fake 1";

}  // namespace

bool IsModelFile(const std::string& path) {
  std::ifstream in(path);
  std::string start(kMagic.size(), '\0');
  in.read(start.data(), static_cast<std::streamsize>(start.size()));
  return in && start == kMagic;
}

brim_code ReadModelFile(const std::string& path, ModelFile* file, brim_error* error) {
  std::ifstream in(path);
  if (!in) return Fail(error, kNotFound, "cannot open " + path + ": " + std::strerror(errno));
  if (!IsModelFile(path)) {
    return Fail(error, kInvalidArgument,
                path + " is not a fake model: its first line must be 'brim-fake 1'");
  }
  std::size_t bytes = 0;
  int number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    bytes += text.size() + 1;
    if (const std::size_t comment = text.find('#'); comment != std::string::npos)
      text.resize(comment);
    Line line(text);
    const std::string word = line.MaybeWord();
    if (word.empty() || number == 1) continue;
    ReadStatement(word, &line, file);
    if (bytes > kFileBytesMax || !line.ok() || !line.AtEnd()) {
      return Fail(error, kInvalidArgument,
                  path + ":" + std::to_string(number) + ": cannot read '" + text + "'");
    }
  }
  if (file->signatures.empty())
    return Fail(error, kInvalidArgument, path + " declares no input or output");
  return kOk;
}

}  // namespace brim::runtimes
