// What was written is read again; a file that was cut or changed is refused with its line.
#include "vgpu/agent/state_file.h"

#include <gtest/gtest.h>

namespace brim::vgpu {
namespace {

NodeState Example() {
  NodeState state;
  state.cards.push_back({0, "GPU-a", "NVIDIA H100 80GB HBM3", std::uint64_t{80} << 30, 500, 20});
  SliceSpec a;
  a.name = "ocr";
  a.owner = "vision team = 1";
  a.cores = 30;
  a.memory_soft = 1 << 30;
  a.memory_hard = 2u << 30;
  a.share = Share::kHard;
  state.slices.push_back(a);
  a.name = "asr";
  a.owner = "";
  a.row = 1;
  a.share = Share::kElastic;
  a.priority = Priority::kOffline;
  a.memory_backend = MemoryBackend::kNative;
  a.cores_backend = CoresBackend::kMps;
  state.slices.push_back(a);
  return state;
}

TEST(StateFile, ReadsWhatItWrote) {
  const NodeState state = Example();
  const Result<NodeState> again = ParseState(FormatState(state));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->slices, state.slices);
  ASSERT_EQ(again->cards.size(), 1u);
  EXPECT_EQ(again->cards[0].name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(again->cards[0].context_bytes, 500u);
  EXPECT_EQ(FormatState(*again), FormatState(state));
}

TEST(StateFile, EveryCutIsSeen) {
  const std::string text = FormatState(Example());
  for (std::size_t length = 0; length + 1 < text.size(); ++length) {
    EXPECT_FALSE(ParseState(text.substr(0, length)).ok()) << length;
  }
}

TEST(StateFile, SaysTheLineAndWhatToDo) {
  std::string text = FormatState(Example());
  text.replace(text.find("cores=30"), 8, "cores=30x");
  const Status status = ParseState(text).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("line 3: 'cores'"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("good copy"), std::string::npos);
}

TEST(StateFile, ReadsWhatOlderVersionsWrote) {
  const NodeState state = Example();
  std::string text = FormatState(state);
  for (const char* field :
       {"memory_by=shim ", "memory_by=native ", "cores_by=shim ", "cores_by=mps "}) {
    const std::size_t at = text.find(field);
    ASSERT_NE(at, std::string::npos) << field;
    text.erase(at, std::string_view(field).size());
  }
  const Result<NodeState> again = ParseState(text);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->slices[0], state.slices[0]);
  EXPECT_EQ(again->slices[1].memory_backend, MemoryBackend::kShim);
  EXPECT_EQ(again->slices[1].cores_backend, CoresBackend::kShim);
  EXPECT_EQ(again->slices[0].owner, "vision team = 1");
}

TEST(StateFile, ABackendThatIsNotKnownIsRefused) {
  std::string text = FormatState(Example());
  text.replace(text.find("memory_by=native"), 16, "memory_by=mig   ");
  EXPECT_NE(ParseState(text).status().message().find("memory_by"), std::string::npos);
}

TEST(StateFile, RefusesTwoOfAKind) {
  NodeState state = Example();
  state.slices[1].name = "ocr";
  EXPECT_FALSE(ParseState(FormatState(state)).ok());
  state = Example();
  state.slices[1].row = 0;
  EXPECT_FALSE(ParseState(FormatState(state)).ok());
  state = Example();
  state.slices[1].cores = 0;
  EXPECT_FALSE(ParseState(FormatState(state)).ok());
}

}  // namespace
}  // namespace brim::vgpu
