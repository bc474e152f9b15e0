// What a gRPC call leaves for the next one on its connection: its handler's state, its answer's
// buffer; and what only the first answer says.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "io/grpc_call.h"
#include "io/grpc_framing.h"
#include "io/http2_headers.h"
#include "io/http2_test_client.h"

namespace brim::io {
namespace {

struct Counts {
  int made = 0;
  int gone = 0;
  int recycled = 0;
  int with_buffer = 0;
};

class State final : public CallState {
 public:
  State(Counts* counts, bool reusable) : counts_(*counts), reusable_(reusable) { ++counts_.made; }
  ~State() override { ++counts_.gone; }
  bool Recycle() override {
    counts_.recycled += reusable_;
    return reusable_;
  }

 private:
  Counts& counts_;
  const bool reusable_;
};

// Answers with the message; "/t.S/Once" has a state that cannot be used again.
class Handler final : public GrpcHandler {
 public:
  Kind Lookup(std::string_view) const override { return Kind::kUnary; }
  void OnUnary(GrpcCall& call) override {
    std::unique_ptr<CallState> state = call.TakeSpare();
    if (state == nullptr) {
      state = std::make_unique<State>(&counts, call.method() != "/t.S/Once");
    }
    call.Attach(std::move(state));
    ByteBuffer answer = call.TakeBuffer();
    EXPECT_TRUE(answer.empty());
    counts.with_buffer += answer.data() != nullptr;
    answer.Append(call.message());
    call.Reply(std::move(answer));
  }
  void OnStreamStart(GrpcCall&) override {}
  void OnStreamMessage(GrpcCall&) override {}
  void OnStreamHalfClose(GrpcCall&) override {}
  void OnStreamCancel(GrpcCall&) override {}

  Counts counts;
};

class GrpcReuseTest : public ::testing::Test {
 protected:
  GrpcReuseTest() { world_.shared.handlers.grpc = &handler_; }
  TestClient::Exchange& Call(const std::string& method, const std::string& text) {
    const std::int32_t id = world_.client->Grpc(method, GrpcFrame(text));
    world_.Exchange();
    auto& got = world_.client->at(id);
    EXPECT_EQ(got.body, GrpcFrame(text));
    EXPECT_EQ(got.GrpcStatus(), "0");
    return got;
  }

  Handler handler_;
  TestWorld world_;
};

TEST_F(GrpcReuseTest, AStateServesCallAfterCall) {
  for (int i = 0; i < 5; ++i) Call("/t.S/Echo", std::string(100, static_cast<char>('a' + i)));
  EXPECT_EQ(handler_.counts.made, 1);
  EXPECT_EQ(handler_.counts.recycled, 5);
  EXPECT_EQ(handler_.counts.with_buffer, 4);
  EXPECT_EQ(handler_.counts.gone, 0);
  world_.Connect();
  EXPECT_EQ(handler_.counts.gone, 1);  // With its connection.
}

TEST_F(GrpcReuseTest, AStateThatCannotBeUsedAgainGoesWithItsCall) {
  for (int i = 0; i < 3; ++i) Call("/t.S/Once", "x");
  EXPECT_EQ(handler_.counts.made, 3);
  EXPECT_EQ(handler_.counts.gone, 3);
}

TEST_F(GrpcReuseTest, CallsAtATimeHaveEachTheirOwn) {
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 4; ++i) {
    ids.push_back(world_.client->Grpc("/t.S/Echo", GrpcFrame(std::to_string(i))));
  }
  world_.Exchange();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(world_.client->at(ids[i]).body, GrpcFrame(std::to_string(i)));
  }
  EXPECT_EQ(handler_.counts.made, 4);
  for (int i = 0; i < 4; ++i) Call("/t.S/Echo", "again");
  EXPECT_EQ(handler_.counts.made, 4);
}

TEST_F(GrpcReuseTest, ALargeAnswerLeavesNoBuffer) {
  Call("/t.S/Echo", std::string(100'000, 'x'));
  Call("/t.S/Echo", "small");
  EXPECT_EQ(handler_.counts.with_buffer, 0);
}

TEST_F(GrpcReuseTest, OnlyTheFirstAnswerNamesTheEncodings) {
  EXPECT_EQ(Call("/t.S/Echo", "1").head["grpc-accept-encoding"], kGrpcAcceptEncoding);
  EXPECT_EQ(Call("/t.S/Echo", "2").head.count("grpc-accept-encoding"), 0u);
  world_.Connect();
  EXPECT_EQ(Call("/t.S/Echo", "3").head["grpc-accept-encoding"], kGrpcAcceptEncoding);
}

TEST(HeaderBlock, FindsKnownFieldsAsTheyCome) {
  HeaderBlock block;
  EXPECT_EQ(block.Get(HeaderBlock::kPath), "");
  const std::string large(5000, 'v');
  for (int round = 0; round < 2; ++round) {
    block.Clear();
    for (const auto& [name, value] :
         std::vector<std::pair<std::string, std::string>>{{":method", "POST"},
                                                          {"x-large", large},
                                                          {":path", "/a"},
                                                          {"content-typf", "no"},
                                                          {"grpc-encoding", ""},
                                                          {"grpc-timeout", "1S"},
                                                          {":path", "/b"},
                                                          {"", "empty"}}) {
      block.Add(name, value);
    }
    EXPECT_EQ(block.Get(HeaderBlock::kMethod), "POST");
    EXPECT_EQ(block.Get(HeaderBlock::kPath), "/a");
    EXPECT_EQ(block.Get(HeaderBlock::kContentType), "");
    EXPECT_EQ(block.Get(HeaderBlock::kGrpcEncoding), "");
    EXPECT_EQ(block.Get(HeaderBlock::kGrpcTimeout), "1S");
    EXPECT_EQ(block.Find("x-large"), large);
    EXPECT_EQ(block.Find(":path"), "/a");
    EXPECT_EQ(block.Find("grpc-timeout"), "1S");
    EXPECT_EQ(block.Find("absent"), "");
    EXPECT_GE(block.capacity(), large.size());
  }
}

}  // namespace
}  // namespace brim::io
