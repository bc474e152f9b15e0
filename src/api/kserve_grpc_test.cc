// Tests of inference.GRPCInferenceService on a real repository and engine with fake models.
#include "api/kserve_grpc.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <vector>

#include "api/kserve_stream.h"
#include "api/proto_writer.h"
#include "api/testing.h"

namespace brim::api {
namespace {

constexpr std::string_view kOne =
    "brim-fake 1\n"
    "input x FP32 -1,2\n"
    "output y FP32 -1,2 identity x\n";
constexpr std::string_view kFailing =
    "brim-fake 1\n"
    "input x FP32 -1,2\n"
    "output y FP32 -1,2 identity x\n"
    "run_fail_above 1 8 no more room\n";

std::string Method(std::string_view name) {
  return "/inference.GRPCInferenceService/" + std::string(name);
}

// A ModelInferRequest for one input x of shape [rows, 2].
std::string Request(std::string_view model, std::vector<float> values, std::string_view id = {}) {
  ByteBuffer out;
  ProtoWriter w(&out);
  w.Text(1, model);
  w.Text(3, id);
  const auto mark = w.Begin(5);
  w.Text(1, "x");
  w.Text(2, "FP32");
  const std::int64_t shape[] = {static_cast<std::int64_t>(values.size() / 2), 2};
  w.PackedInts(3, shape);
  w.End(mark);
  w.AlwaysText(7, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  return std::string(out.view());
}

std::string Named(std::string_view name, std::string_view version = {}) {
  ByteBuffer out;
  ProtoWriter w(&out);
  w.Text(1, name);
  w.Text(2, version);
  return std::string(out.view());
}

// The first length-delimited field of this number.
std::string Field(std::string_view message, std::uint32_t number) {
  protozero::pbf_reader reader(message.data(), message.size());
  while (reader.next()) {
    if (reader.tag() == number &&
        reader.has_wire_type(protozero::pbf_wire_type::length_delimited)) {
      return reader.get_string();
    }
    reader.skip();
  }
  return "";
}
std::uint64_t Number(std::string_view message, std::uint32_t number) {
  protozero::pbf_reader reader(message.data(), message.size());
  while (reader.next()) {
    if (reader.tag() == number) return reader.get_uint64();
    reader.skip();
  }
  return 0;
}
std::vector<float> Floats(std::string_view bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

class KserveGrpcTest : public ::testing::Test {
 protected:
  KserveGrpcTest() {
    platform_.Write("one/1/model.fake", kOne);
    platform_.Write("one/config.pbtxt", "max_batch_size: 8 dynamic_batching { }");
    platform_.Write("failing/1/model.fake", kFailing);
    // A model whose runs wait until the test writes a byte each.
    gate_ = platform_.directory() + "/../" +
            platform_.directory().substr(platform_.directory().rfind('/') + 1) + ".gate";
    EXPECT_EQ(mkfifo(gate_.c_str(), 0600), 0);
    gate_fd_ = open(gate_.c_str(), O_RDWR);
    platform_.Write("gated/1/model.fake", std::string(kOne) + "run_gate " + gate_ + "\n");
    platform_.Write("gated/brim.json", R"({"warm_up": false})");
    platform_.Start();
    grpc_ = std::make_unique<KserveGrpc>(platform_.services());
  }
  ~KserveGrpcTest() override {
    close(gate_fd_);
    unlink(gate_.c_str());
  }
  void OpenGate() { ASSERT_EQ(write(gate_fd_, "x", 1), 1); }

  std::unique_ptr<FakeGrpcCall> Do(std::string_view method, std::string_view message = {}) {
    auto call = std::make_unique<FakeGrpcCall>(Method(method), message);
    grpc_->OnUnary(*call);
    call->Wait();
    return call;
  }
  // The answer to a call that must succeed.
  std::string Ask(std::string_view method, std::string_view message = {}) {
    const auto call = Do(method, message);
    EXPECT_TRUE(call->status().ok()) << method << ": " << call->status().ToString();
    return call->written().empty() ? "" : call->written()[0];
  }
  void ExpectError(std::string_view method, std::string_view message, Code code,
                   std::string_view text) {
    const auto call = Do(method, message);
    EXPECT_EQ(call->status().code(), code) << call->status().ToString();
    EXPECT_NE(call->status().message().find(text), std::string::npos) << call->status().ToString();
  }

  Platform platform_;
  std::unique_ptr<KserveGrpc> grpc_;
  std::string gate_;
  int gate_fd_ = -1;
};

TEST_F(KserveGrpcTest, KnowsItsMethods) {
  using Kind = io::GrpcHandler::Kind;
  EXPECT_EQ(grpc_->Lookup(Method("ModelInfer")), Kind::kUnary);
  EXPECT_EQ(grpc_->Lookup(Method("LogSettings")), Kind::kUnary);
  EXPECT_EQ(grpc_->Lookup(Method("ModelStreamInfer")), Kind::kStream);
  EXPECT_EQ(grpc_->Lookup(Method("ModelInferX")), Kind::kUnknown);
  EXPECT_EQ(grpc_->Lookup("/other.Service/ModelInfer"), Kind::kUnknown);
  EXPECT_EQ(grpc_->Lookup(""), Kind::kUnknown);
}

TEST_F(KserveGrpcTest, AnswersHealthAndMetadata) {
  EXPECT_EQ(Ask("ServerLive"), "\x08\x01");
  EXPECT_EQ(Ask("ServerReady"), "\x08\x01");
  EXPECT_EQ(Ask("ModelReady", Named("one")), "\x08\x01");
  EXPECT_EQ(Ask("ModelReady", Named("one", "1")), "\x08\x01");
  EXPECT_EQ(Ask("ModelReady", Named("one", "2")), "");
  EXPECT_EQ(Ask("ModelReady", Named("nobody")), "");
  ExpectError("ModelReady", Named("one", "x"), Code::kInvalidArgument, "version");
  EXPECT_EQ(Field(Ask("ServerMetadata"), 1), "brim");
  const std::string metadata = Ask("ModelMetadata", Named("one"));
  EXPECT_EQ(Field(metadata, 1), "one");
  EXPECT_EQ(Field(metadata, 2), "1");
  const std::string input = Field(metadata, 4);
  EXPECT_EQ(Field(input, 1), "x");
  EXPECT_EQ(Field(input, 2), "FP32");
  EXPECT_EQ(Field(input, 3), std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x02", 11));
  ExpectError("ModelMetadata", Named("nobody"), Code::kNotFound, "Request for unknown model");
  ExpectError("ModelMetadata", "\x0A\xFF", Code::kInvalidArgument, "malformed");
}

TEST_F(KserveGrpcTest, ShowsTheConfiguration) {
  const std::string config = Field(Ask("ModelConfig", Named("one")), 1);
  EXPECT_EQ(Field(config, 1), "one");
  EXPECT_EQ(Field(config, 17), "fake");
  EXPECT_EQ(Number(config, 4), 8u);
  const std::string input = Field(config, 5);
  EXPECT_EQ(Number(input, 2), 11u);  // TYPE_FP32
  EXPECT_EQ(Field(input, 4), "\x02");
  EXPECT_EQ(Number(Field(config, 7), 4), 2u);  // KIND_CPU
  EXPECT_FALSE(Field(config, 11).empty());
  ExpectError("ModelConfig", Named("nobody"), Code::kNotFound, "unknown model");
}

TEST_F(KserveGrpcTest, Infers) {
  const std::string answer = Ask("ModelInfer", Request("one", {1, 2, 3, 4}, "id7"));
  EXPECT_EQ(Field(answer, 1), "one");
  EXPECT_EQ(Field(answer, 2), "1");
  EXPECT_EQ(Field(answer, 3), "id7");
  const std::string output = Field(answer, 5);
  EXPECT_EQ(Field(output, 1), "y");
  EXPECT_EQ(Field(output, 2), "FP32");
  EXPECT_EQ(Field(output, 3), "\x02\x02");
  EXPECT_EQ(Floats(Field(answer, 6)), (std::vector<float>{1, 2, 3, 4}));
}

TEST_F(KserveGrpcTest, RefusesBadInferences) {
  ExpectError("ModelInfer", "", Code::kNotFound, "unknown model");
  ExpectError("ModelInfer", "\xFF", Code::kInvalidArgument, "malformed");
  ExpectError("ModelInfer", Request("nobody", {1, 2}), Code::kNotFound, "unknown model");
  ExpectError("ModelInfer", Request("one", std::vector<float>(18, 1)), Code::kInvalidArgument,
              "batch-size must be <= 8");
  ExpectError("ModelInfer", Request("failing", {1, 2, 3, 4}), Code::kResourceExhausted,
              "no more room");
  std::string cut = Request("one", {1, 2});
  cut.pop_back();
  ExpectError("ModelInfer", cut, Code::kInvalidArgument, "malformed");
}

TEST_F(KserveGrpcTest, ReportsStatisticsAndIndex) {
  Ask("ModelInfer", Request("one", {1, 2, 3, 4}));
  // Some figures are counted after the answer: when the engine is empty, all are.
  ASSERT_TRUE(platform_.services().engine.Drain(Time::max()));
  const std::string stats = Field(Ask("ModelStatistics", Named("one", "1")), 1);
  EXPECT_EQ(Field(stats, 1), "one");
  EXPECT_EQ(Number(stats, 4), 2u);  // Rows.
  EXPECT_EQ(Number(stats, 5), 1u);
  EXPECT_EQ(Number(Field(Field(stats, 6), 1), 1), 1u);
  EXPECT_EQ(Number(Field(stats, 7), 1), 2u);
  EXPECT_FALSE(Ask("ModelStatistics").empty());
  ExpectError("ModelStatistics", Named("nobody"), Code::kNotFound, "unknown model");
  const std::string model = Field(Ask("RepositoryIndex"), 1);
  EXPECT_EQ(Field(model, 1), "failing");
  EXPECT_EQ(Field(model, 3), "READY");
}

TEST_F(KserveGrpcTest, UnloadsAndLoadsInBothDialects) {
  ByteBuffer triton;
  ProtoWriter(&triton).Text(2, "one");
  const std::string kserve = Named("one");
  EXPECT_EQ(Field(Ask("RepositoryModelUnload", triton.view()), 1), "one");
  EXPECT_EQ(Ask("ModelReady", Named("one")), "");
  EXPECT_EQ(Number(Ask("RepositoryModelLoad", kserve), 2), 1u);
  EXPECT_EQ(Ask("ModelReady", Named("one")), "\x08\x01");
  const auto call = Do("RepositoryModelLoad", Named("nobody"));
  EXPECT_NE(call->status().message().find("failed to load 'nobody', "), std::string::npos);
}

TEST_F(KserveGrpcTest, AnswersSettingsAndSharedMemoryQuestions) {
  EXPECT_NE(Ask("LogSettings").find("log_verbose_level"), std::string::npos);
  EXPECT_NE(Ask("TraceSetting").find("OFF"), std::string::npos);
  ExpectError("LogSettings", Named("change"), Code::kUnimplemented, "not changed");
  EXPECT_EQ(Ask("SystemSharedMemoryStatus"), "");
  EXPECT_EQ(Ask("CudaSharedMemoryUnregister"), "");
  ExpectError("SystemSharedMemoryRegister", Named("r"), Code::kUnimplemented, "shared memory");
}

class KserveStreamTest : public KserveGrpcTest {
 protected:
  KserveStreamTest() : call_(Method("ModelStreamInfer")) { grpc_->OnStreamStart(call_); }
  void Send(std::string_view message) {
    call_.SetMessage(message);
    grpc_->OnStreamMessage(call_);
    call_.SetMessage("gone");  // What io's buffer does next.
  }
  // (id, error or first value as text) of each answer.
  std::vector<std::pair<std::string, std::string>> Answers() {
    std::vector<std::pair<std::string, std::string>> all;
    for (const std::string& message : call_.written()) {
      const std::string answer = Field(message, 2);
      const std::string error = Field(message, 1);
      EXPECT_NE(answer.find("triton_final_response"), std::string::npos);
      const auto values = Floats(Field(answer, 6));
      all.emplace_back(Field(answer, 3),
                       error.empty() ? std::to_string(static_cast<int>(values.at(0))) : error);
    }
    return all;
  }

  FakeGrpcCall call_;
};

TEST_F(KserveStreamTest, KeepsTheOrderOfRequests) {
  Send(Request("gated", {1, 0}, "a"));
  Send(Request("one", {2, 0}, "b"));
  Send(Request("nobody", {3, 0}, "c"));
  Send(Request("one", {4, 0}, "d"));
  EXPECT_TRUE(call_.written().empty());
  OpenGate();
  grpc_->OnStreamHalfClose(call_);
  call_.Wait();
  EXPECT_TRUE(call_.status().ok()) << call_.status().ToString();
  const auto answers = Answers();
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[0], (std::pair<std::string, std::string>("a", "1")));
  EXPECT_EQ(answers[1], (std::pair<std::string, std::string>("b", "2")));
  EXPECT_EQ(answers[2].first, "c");
  EXPECT_NE(answers[2].second.find("Request for unknown model: 'nobody'"), std::string::npos);
  EXPECT_EQ(answers[3], (std::pair<std::string, std::string>("d", "4")));
}

TEST_F(KserveStreamTest, GoesOnAfterAMalformedMessage) {
  Send("\xFF\xFF");
  Send(Request("one", {5, 0}, "e"));
  grpc_->OnStreamHalfClose(call_);
  call_.Wait();
  const auto answers = Answers();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_NE(answers[0].second.find("malformed"), std::string::npos);
  EXPECT_EQ(answers[1].second, "5");
}

TEST_F(KserveStreamTest, AnEmptyStreamEndsOk) {
  grpc_->OnStreamHalfClose(call_);
  call_.Wait();
  EXPECT_TRUE(call_.status().ok());
}

TEST_F(KserveStreamTest, ACancelledStreamEndsWhenItsRunsDo) {
  Send(Request("gated", {1, 0}, "a"));
  call_.gone = true;
  grpc_->OnStreamCancel(call_);
  EXPECT_FALSE(call_.answered());
  OpenGate();
  call_.Wait();
  EXPECT_EQ(call_.status().code(), Code::kCancelled);
}

TEST_F(KserveStreamTest, RefusesMoreThanItsBounds) {
  Send(Request("gated", {1, 0}, "first"));
  for (std::size_t i = 1; i <= KserveStream::kRequestsMax; ++i) Send(Request("one", {2, 0}, "x"));
  // The ones that ran at once have left; what counts is how many answers wait.
  call_.unsent = KserveStream::kUnsentMax;
  Send(Request("one", {3, 0}, "too many"));
  Send(Request("one", {3, 0}, "after the end"));
  EXPECT_FALSE(call_.answered());
  OpenGate();
  call_.Wait();
  EXPECT_EQ(call_.status().code(), Code::kResourceExhausted);
  EXPECT_EQ(call_.written().size(), KserveStream::kRequestsMax + 1);
}

}  // namespace
}  // namespace brim::api
