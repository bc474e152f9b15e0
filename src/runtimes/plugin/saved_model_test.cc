#include "runtimes/plugin/saved_model.h"

#include <gtest/gtest.h>

#include "runtimes/plugin/saved_model_text.h"
#include "runtimes/testing.h"

namespace brim::runtimes {
namespace {

SavedModelText Sample() {
  SavedModelText saved;
  saved.Node("a", "Placeholder", {}, "dtype");
  saved.Signature("serving_default", {{"b", "scope/b:1"}, {"a", "a:0"}}, {{"y", "y:0"}});
  saved.Signature("__saved_model_init_op", {}, {{"op", "NoOp"}});
  saved.Signature("sparse", {{"s", ""}}, {}, 4);
  saved.Signature("complex", {{"c", "c:0"}}, {}, 1, 8);
  return saved;
}

TEST(SavedModel, SignaturesSortedWithoutTensorFlowsOwn) {
  std::vector<SavedSignature> signatures;
  ASSERT_TRUE(ParseMetaGraph(Sample().MetaGraph(), &signatures));
  ASSERT_EQ(signatures.size(), 3U);
  EXPECT_EQ(signatures[0].declaration.name, "complex");
  EXPECT_NE(signatures[0].refused.find("'c'"), std::string::npos) << signatures[0].refused;
  const SavedSignature& serving = signatures[1];
  EXPECT_EQ(serving.declaration.name, "serving_default");
  EXPECT_EQ(serving.declaration.method_name, "tensorflow/serving/predict");
  ASSERT_EQ(serving.declaration.inputs.size(), 2U);
  EXPECT_EQ(serving.declaration.inputs[0].name, "a");
  EXPECT_EQ(serving.declaration.inputs[0].dtype, BRIM_FP32);
  EXPECT_EQ(serving.declaration.inputs[0].dims, (std::vector<std::int64_t>{-1}));
  EXPECT_EQ(serving.input_tensors, (std::vector<std::string>{"a:0", "scope/b:1"}));
  EXPECT_TRUE(serving.refused.empty());
  EXPECT_FALSE(signatures[2].refused.empty());
}

TEST(SavedModel, EveryTruncationIsAnAnswer) {
  const std::string bytes = Sample().MetaGraph();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    std::vector<SavedSignature> signatures;
    ParseMetaGraph(std::string_view(bytes).substr(0, length), &signatures);
    EXPECT_LE(signatures.size(), 3U);
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(value);
      std::vector<SavedSignature> signatures;
      ParseMetaGraph(damaged, &signatures);
    }
  }
}

TEST(SavedModel, FilesAreReadOrSayWhyNot) {
  const Scratch scratch;
  std::vector<SavedSignature> signatures;
  brim_error error{};
  EXPECT_FALSE(IsSavedModel(scratch.path()));
  EXPECT_EQ(ReadSavedModel(scratch.path(), &signatures, &error), kNotFound);
  scratch.Write("saved_model.pb", Sample().Bytes());
  EXPECT_TRUE(IsSavedModel(scratch.path()));
  EXPECT_EQ(ReadSavedModel(scratch.path(), &signatures, &error), kOk) << error.text;
  EXPECT_EQ(signatures.size(), 3U);
  scratch.Write("saved_model.pb", std::string_view(Sample().Bytes()).substr(0, 40));
  EXPECT_EQ(ReadSavedModel(scratch.path(), &signatures, &error), kInvalidArgument);
  EXPECT_NE(std::string(error.text).find("truncated"), std::string::npos) << error.text;
  scratch.Write("saved_model.pb", "");
  EXPECT_EQ(ReadSavedModel(scratch.path(), &signatures, &error), kInvalidArgument);
}

}  // namespace
}  // namespace brim::runtimes
