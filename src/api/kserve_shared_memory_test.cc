// Tests of tensors in system shared memory, on both transports, with a real engine and fake models.
#include "api/kserve_shared_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/kserve_grpc.h"
#include "api/kserve_rest.h"
#include "api/proto_writer.h"
#include "api/testing.h"

namespace brim::api {
namespace {

// y = x; s is BYTES.
constexpr std::string_view kOne =
    "brim-fake 1\n"
    "input x FP32 -1,2\n"
    "output y FP32 -1,2 identity x\n";
constexpr std::string_view kText =
    "brim-fake 1\n"
    "input s BYTES 1\n"
    "output t BYTES 1 identity s\n";

constexpr std::string_view kTexts =
    "brim-fake 1\n"
    "input a BYTES 1\n"
    "input b BYTES 1\n"
    "input c BYTES 1\n"
    "input d BYTES 1\n"
    "output t BYTES 1 identity a\n";

class SharedMemoryTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kObjectBytes = 256;

  SharedMemoryTest() {
    platform_.Write("one/1/model.fake", kOne);
    platform_.Write("text/1/model.fake", kText);
    platform_.Write("texts/1/model.fake", kTexts);
  }
  void SetUp() override {
    fd_ = ::shm_open(key_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    ASSERT_GE(fd_, 0);
    ASSERT_EQ(::ftruncate(fd_, kObjectBytes), 0);
    platform_.Start();
    platform_.AllowSharedMemory("/brim_api_test", 1024);
    rest_ = std::make_unique<KserveRest>(platform_.services());
    grpc_ = std::make_unique<KserveGrpc>(platform_.services());
  }
  void TearDown() override {
    ::close(fd_);
    ::shm_unlink(key_.c_str());
  }

  void Put(off_t at, std::string_view bytes) {
    ASSERT_EQ(::pwrite(fd_, bytes.data(), bytes.size(), at), static_cast<ssize_t>(bytes.size()));
  }
  void PutFloats(off_t at, const std::vector<float>& values) {
    Put(at, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  }
  std::vector<float> Floats(off_t at, std::size_t count) {
    std::vector<float> values(count);
    EXPECT_EQ(::pread(fd_, values.data(), count * sizeof(float), at),
              static_cast<ssize_t>(count * sizeof(float)));
    return values;
  }

  // Answer's status and text.
  std::pair<int, std::string> Rest(std::string method, std::string path,
                                   std::string_view body = {}) {
    FakeHttpCall call(std::move(method), "/v2/" + path, body);
    if (!rest_->Handle(call)) return {0, "not handled"};
    call.Wait();
    return {call.status(), std::string(call.text())};
  }
  std::pair<int, std::string> Register(std::string_view name, std::string_view key,
                                       std::uint64_t offset, std::uint64_t bytes) {
    return Rest("POST", "systemsharedmemory/region/" + std::string(name) + "/register",
                "{\"key\":\"" + std::string(key) + "\",\"offset\":" + std::to_string(offset) +
                    ",\"byte_size\":" + std::to_string(bytes) + "}");
  }
  void ExpectRefused(const std::pair<int, std::string>& answer, int status, std::string_view text) {
    EXPECT_EQ(answer.first, status) << answer.second;
    EXPECT_NE(answer.second.find(text), std::string::npos) << answer.second;
  }
  // One row of x at `in`, y to `out`.
  std::pair<int, std::string> Infer(std::string_view in, std::string_view out) {
    return Rest("POST", "models/one/infer",
                R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"parameters":{)" +
                    std::string(in) + R"(}}],"outputs":[{"name":"y","parameters":{)" +
                    std::string(out) + "}}]}");
  }
  static std::string At(std::string_view region, std::uint64_t offset, std::uint64_t bytes) {
    return "\"shared_memory_region\":\"" + std::string(region) +
           "\",\"shared_memory_byte_size\":" + std::to_string(bytes) +
           ",\"shared_memory_offset\":" + std::to_string(offset);
  }

  const std::string key_ = "/brim_api_test_" + std::to_string(::getpid()) + "_" +
                           testing::UnitTest::GetInstance()->current_test_info()->name();
  int fd_ = -1;
  Platform platform_;
  std::unique_ptr<KserveRest> rest_;
  std::unique_ptr<KserveGrpc> grpc_;
};

TEST_F(SharedMemoryTest, RestTakesInputsFromItAndPutsOutputsIntoIt) {
  EXPECT_EQ(Register("all", key_, 16, 100).first, 200);
  PutFloats(16 + 8, {1.5f, -2.5f});
  const auto answer = Infer(At("all", 8, 8), At("all", 40, 60));
  EXPECT_EQ(answer.first, 200) << answer.second;
  EXPECT_EQ(answer.second,
            R"({"model_name":"one","model_version":"1","outputs":[{"name":"y","datatype":"FP32",)"
            R"("shape":[1,2]}]})");
  EXPECT_EQ(Floats(16 + 40, 3), (std::vector<float>{1.5f, -2.5f, 0}));
  // One of the two alone.
  const auto plain = Infer(At("all", 8, 8), "\"binary_data\":false");
  EXPECT_NE(plain.second.find("\"data\":[1.5,-2.5]"), std::string::npos) << plain.second;
}

TEST_F(SharedMemoryTest, GrpcRegistersRunsAndForgets) {
  const auto ask = [&](std::string_view method, std::string_view message) {
    FakeGrpcCall call("/inference.GRPCInferenceService/" + std::string(method), message);
    grpc_->OnUnary(call);
    call.Wait();
    EXPECT_TRUE(call.status().ok()) << call.status().ToString();
    return call.written().empty() ? std::string() : call.written()[0];
  };
  ByteBuffer request;
  ProtoWriter w(&request);
  w.Text(1, "r");
  w.Text(2, std::string_view(key_).substr(1));  // Clients leave the slash out or not.
  w.Uint(4, kObjectBytes);
  EXPECT_EQ(ask("SystemSharedMemoryRegister", request.view()), "");
  const std::string status = ask("SystemSharedMemoryStatus", "");
  EXPECT_NE(status.find(key_), std::string::npos);
  EXPECT_EQ(Rest("GET", "systemsharedmemory/status").second,
            "[{\"name\":\"r\",\"key\":\"" + key_ + "\",\"offset\":0,\"byte_size\":256}]");

  PutFloats(0, {3, 4});
  ByteBuffer infer;
  ProtoWriter i(&infer);
  const auto place = [&](std::uint32_t field, std::uint64_t bytes, std::uint64_t offset) {
    for (const auto& [key, number] : {std::pair<std::string_view, std::uint64_t>{"region", 0},
                                      {"byte_size", bytes},
                                      {"offset", offset}}) {
      const auto entry = i.Begin(field);
      i.Text(1, "shared_memory_" + std::string(key));
      const auto value = i.Begin(2);
      key == "region" ? i.Text(3, "r") : i.AlwaysUint(2, number);
      i.End(value);
      i.End(entry);
    }
  };
  i.Text(1, "one");
  const auto input = i.Begin(5);
  i.Text(1, "x");
  i.Text(2, "FP32");
  i.PackedInts(3, std::array<std::int64_t, 2>{1, 2});
  place(4, 8, 0);
  i.End(input);
  const auto output = i.Begin(6);
  i.Text(1, "y");
  place(2, 8, 128);
  i.End(output);
  const std::string answer = ask("ModelInfer", infer.view());
  EXPECT_EQ(Floats(128, 2), (std::vector<float>{3, 4}));
  // An empty entry stands for it among the raw contents: clients count them.
  EXPECT_EQ(answer.substr(answer.size() - 2), std::string_view("\x32\0", 2));

  ByteBuffer name;
  ProtoWriter(&name).Text(1, "r");
  EXPECT_EQ(ask("SystemSharedMemoryUnregister", name.view()), "");
  EXPECT_EQ(ask("SystemSharedMemoryStatus", ""), "");
}

TEST_F(SharedMemoryTest, StringsAreCheckedInACopy) {
  EXPECT_EQ(Register("r", key_, 0, kObjectBytes).first, 200);
  const auto infer = [&](std::uint64_t bytes) {
    return Rest("POST", "models/text/infer",
                R"({"inputs":[{"name":"s","datatype":"BYTES","shape":[1],"parameters":{)" +
                    At("r", 0, bytes) + R"(}}],"outputs":[{"name":"t","parameters":{)" +
                    At("r", 100, 50) + "}}]}");
  };
  Put(0, std::string_view("\5\0\0\0hello", 9));
  EXPECT_EQ(infer(9).first, 200);
  char seen[10] = {};
  ASSERT_EQ(::pread(fd_, seen, 9, 100), 9);
  EXPECT_STREQ(seen + 4, "hello");
  Put(0, std::string_view("\xff\0\0\0", 4));
  EXPECT_EQ(infer(9).first, 400);
}

TEST_F(SharedMemoryTest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(Register("r", key_, 0, 100).first, 200);
  const std::string good = At("r", 0, 8);
  ExpectRefused(Infer(At("s", 0, 8), good), 404, "Unable to find shared memory region: 's'");
  ExpectRefused(Infer(good, At("s", 0, 8)), 404, "Unable to find shared memory region: 's'");
  ExpectRefused(Infer(At("r", 96, 8), good), 400, "Invalid offset + byte size");
  ExpectRefused(Infer(good, At("r", 96, 8)), 400, "Invalid offset + byte size");
  ExpectRefused(Infer(At("r", ~0ull, 8), good), 400, "Invalid offset + byte size");
  ExpectRefused(Infer(At("r", 0, 12), good), 400, "Expected 8, got 12");
  ExpectRefused(Infer(good, At("r", 8, 4)), 400, "(4 bytes) should be at least 8 bytes");
  // An object that shrank: an error for the request that needs what is gone.
  ASSERT_EQ(::ftruncate(fd_, 4), 0);
  ExpectRefused(Infer(good, "\"binary_data\":false"), 400, "smaller than it was");
}

TEST_F(SharedMemoryTest, ASparseObjectMakesNobodyAllocate) {
  constexpr std::uint64_t kHuge = 1ull << 62;
  ASSERT_EQ(::ftruncate(fd_, static_cast<off_t>(kHuge)), 0);
  EXPECT_EQ(Register("r", key_, 0, kHuge).first, 200);
  std::string inputs;
  for (const char* name : {"a", "b", "c", "d"}) {
    inputs += std::string(inputs.empty() ? "" : ",") + R"({"name":")" + name +
              R"(","datatype":"BYTES","shape":[1],"parameters":{)" + At("r", 0, kHuge) + "}}";
    // Four of them are 2^64 together.
    ExpectRefused(Rest("POST", "models/texts/infer", "{\"inputs\":[" + inputs + "]}"), 429,
                  "--in-flight-bytes-max");
  }
}

TEST_F(SharedMemoryTest, RefusesBadRegistrations) {
  EXPECT_EQ(Register("r", key_, 0, 100).first, 200);
  ExpectRefused(Register("r", key_, 0, 100), 409, "already in manager");
  ExpectRefused(Register("s", key_ + "x", 0, 1), 404, "create it first");
  ExpectRefused(Register("s", "/other", 0, 1), 403, "must begin with '/brim_api_test'");
  ExpectRefused(Register("s", "/brim_api_test/../x", 0, 1), 400, "without a slash");
  ExpectRefused(Register("s", key_, 0, 0), 400, "larger than 0");
  ExpectRefused(Register("s", key_, 200, 57), 400, "fewer than offset 200");
  ExpectRefused(Rest("POST", "systemsharedmemory/region/s/register", "{\"key\":5}"), 400, "key");
  ExpectRefused(Rest("POST", "systemsharedmemory/region/s/register", "{} {}"), 400, "");
  ExpectRefused(Rest("POST", "systemsharedmemory/region/s/register", "{}"), 400,
                "shared memory key");
  ExpectRefused(Rest("POST", "cudasharedmemory/region/s/register", "{}"), 501, "CUDA");
  ExpectRefused(Rest("GET", "systemsharedmemory/region/s/status"), 404, "Unable to find");
  EXPECT_EQ(Rest("POST", "systemsharedmemory/region/s/unregister").first, 200);
  EXPECT_EQ(Rest("POST", "systemsharedmemory/unregister").first, 200);
  EXPECT_EQ(Rest("GET", "systemsharedmemory/status").second, "[]");
}

TEST_F(SharedMemoryTest, IsOffUnlessAllowed) {
  platform_.AllowSharedMemory("", 1024);
  ExpectRefused(Register("r", key_, 0, 100), 501, "--shared-memory");
  ExpectRefused(Infer(At("r", 0, 8), "\"binary_data\":false"), 501, "--shared-memory");
  EXPECT_EQ(Rest("GET", "systemsharedmemory/status").second, "[]");
}

TEST_F(SharedMemoryTest, BoundsRegionsAndBytesInFlight) {
  SharedRegions regions("/", 100);
  for (std::size_t i = 0; i < SharedRegions::kRegionsMax; ++i) {
    ASSERT_TRUE(regions.Register({std::to_string(i), key_, 0, 1}).ok()) << i;
  }
  EXPECT_EQ(regions.Register({"more", key_, 0, 1}).code(), Code::kResourceExhausted);
  regions.Unregister("7");
  EXPECT_TRUE(regions.Register({"more", key_, 0, 1}).ok());
  EXPECT_EQ(regions.Register({std::string(257, 'n'), key_, 0, 1}).code(), Code::kInvalidArgument);

  SharedRegions::Lease first, second;
  EXPECT_TRUE(regions.Take(60, &first).ok());
  EXPECT_EQ(regions.Take(41, &second).code(), Code::kResourceExhausted);
  EXPECT_EQ(regions.Take(~0ull, &second).code(), Code::kResourceExhausted);
  EXPECT_TRUE(regions.Take(40, &second).ok());
  first = SharedRegions::Lease();
  EXPECT_TRUE(regions.Take(60, &first).ok());
}

}  // namespace
}  // namespace brim::api
