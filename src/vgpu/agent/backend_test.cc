// A node and a backend that writes down what it is asked, and refuses when it is told to.
#include "vgpu/agent/backend.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "vgpu/agent/agent.h"
#include "vgpu/agent/mps_cores.h"

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// Limits by slice, as a driver would keep them.
class Recorder final : public Backend {
 public:
  std::string_view name() const override { return "native"; }
  std::string_view holds() const override { return "memory"; }
  Offer Probe(const CardInfo&) override { return {works, "as told"}; }
  bool Serves(const SliceSpec& spec) const override {
    return spec.memory_backend == MemoryBackend::kNative;
  }
  bool may_refuse() const override { return true; }
  Status Apply(const SliceTarget& slice) override {
    if (refuse) return Refusal();
    limit[slice.spec.name] = slice.spec.memory_hard;
    return OkStatus();
  }
  Status CheckIdle(const SliceTarget& slice) override {
    return members == 0 ? OkStatus() : InUse(slice.spec.name, members);
  }
  Status Withdraw(const SliceTarget& slice) override {
    if (refuse) return Refusal();
    limit.erase(slice.spec.name);
    return OkStatus();
  }
  Status Enter(const SliceTarget&) override {
    ++entered;
    return refuse ? Refusal() : OkStatus();
  }
  Result<std::optional<std::uint64_t>> Used(const SliceTarget& slice) override {
    const auto found = limit.find(slice.spec.name);
    if (found == limit.end()) return Status(Code::kNotFound, "no_limit", "the group is gone");
    return std::optional<std::uint64_t>(used);
  }
  void Sweep(std::span<const SliceSpec> slices, std::span<const CardInfo>) override {
    std::erase_if(limit, [&](const auto& entry) {
      return std::none_of(slices.begin(), slices.end(),
                          [&](const SliceSpec& slice) { return slice.name == entry.first; });
    });
  }

  static Status Refusal() { return Status(Code::kPermissionDenied, "no_native", "run as root"); }

  bool works = true;
  bool refuse = false;
  std::size_t members = 0;
  std::uint64_t used = 0;
  int entered = 0;
  std::map<std::string, std::uint64_t> limit;
};

class BackendTest : public testing::Test {
 protected:
  BackendTest()
      : null_(open("/dev/null", O_WRONLY)),
        logger_(null_, LogLevel::kOff, LogFormat::kText, clock_) {
    char name[] = "/dev/shm/brim-backend-test-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~BackendTest() override {
    std::filesystem::remove_all(folder_);
    close(null_);
  }

  Node Open() {
    Result<Node> node = Node::Open(folder_, {recorder_, std::make_shared<ShimBackend>()});
    EXPECT_TRUE(node.ok()) << node.status().message();
    if (node->state().cards.empty()) {
      EXPECT_TRUE(node->SetCards({{0, "GPU-0", "A card", 16 * kGiB, 0, 0}}).ok());
    }
    return std::move(*node);
  }

  static SliceSpec Spec(const char* name, MemoryBackend backend = MemoryBackend::kNative) {
    SliceSpec spec;
    spec.name = name;
    spec.cores = 30;
    spec.memory_soft = spec.memory_hard = 2 * kGiB;
    spec.memory_backend = backend;
    return spec;
  }

  FakeClock clock_;
  int null_;
  Logger logger_;
  std::string folder_;
  std::shared_ptr<Recorder> recorder_ = std::make_shared<Recorder>();
};

TEST_F(BackendTest, IsAskedForEverythingThatHappensToItsSlices) {
  Node node = Open();
  ASSERT_TRUE(node.Create(Spec("a")).ok());
  ASSERT_TRUE(node.Create(Spec("b", MemoryBackend::kShim)).ok());
  EXPECT_EQ(recorder_->limit, (std::map<std::string, std::uint64_t>{{"a", 2 * kGiB}}));
  SliceChange change;
  change.memory_hard = 3 * kGiB;
  ASSERT_TRUE(node.Resize("a", change).ok());
  EXPECT_EQ(recorder_->limit.at("a"), 3 * kGiB);
  EXPECT_EQ(node.Files("a")->limits->memory_hard.load(), 3 * kGiB);
  EXPECT_TRUE(node.Enter("a").ok());
  EXPECT_TRUE(node.Enter("b").ok());
  EXPECT_EQ(recorder_->entered, 1);
  EXPECT_TRUE(node.Remove("a").ok());
  EXPECT_TRUE(recorder_->limit.empty());
  EXPECT_EQ(node.Enter("a").code(), Code::kNotFound);
}

TEST_F(BackendTest, ARefusalLeavesEverythingAsItWas) {
  Node node = Open();
  recorder_->refuse = true;
  EXPECT_EQ(node.Create(Spec("a")).reason(), "no_native");
  EXPECT_EQ(node.Find("a"), nullptr);
  EXPECT_FALSE(std::filesystem::exists(node.SliceFolder("a")));
  recorder_->refuse = false;
  ASSERT_TRUE(node.Create(Spec("a")).ok());
  recorder_->refuse = true;
  SliceChange change;
  change.memory_hard = 3 * kGiB;
  EXPECT_EQ(node.Resize("a", change).status().reason(), "no_native");
  EXPECT_EQ(node.Find("a")->memory_hard, 2 * kGiB);
  EXPECT_EQ(node.Files("a")->limits->memory_hard.load(), 2 * kGiB);
  EXPECT_EQ(node.Enter("a").reason(), "no_native");
  EXPECT_EQ(node.Remove("a").reason(), "no_native");
  EXPECT_NE(Open().Find("a"), nullptr);
  EXPECT_EQ(Open().FilesOfCard(0)->table->row[0].cores.load(), 30u);
}

TEST_F(BackendTest, WhoIsInTheGroupKeepsTheSliceAlsoWithoutTheShim) {
  Node node = Open();
  ASSERT_TRUE(node.Create(Spec("a")).ok());
  recorder_->members = 2;
  const Status refused = node.Remove("a");
  EXPECT_EQ(refused.reason(), "slice_in_use");
  EXPECT_NE(refused.message().find("2 processes"), std::string::npos) << refused.message();
  EXPECT_EQ(recorder_->limit.count("a"), 1u);
  recorder_->members = 0;
  EXPECT_TRUE(node.Remove("a").ok());
}

TEST_F(BackendTest, TheChoiceSurvivesAndAnotherProcessSeesIt) {
  ASSERT_TRUE(Open().Create(Spec("a")).ok());
  EXPECT_EQ(Open().Find("a")->memory_backend, MemoryBackend::kNative);
}

TEST_F(BackendTest, OffersTellTheReasonAndOnlyWhatWasWished) {
  Node node = Open();
  const CardOffers all = node.Offers(*node.Card(0));
  ASSERT_EQ(all.offers.size(), 2u);
  EXPECT_TRUE(all.Of("shim").works);
  EXPECT_EQ(all.Of("native").reason, "as told");
  EXPECT_EQ(all.Of("native").holds, "memory");
  EXPECT_FALSE(all.Of("mps").works);
  const BackendWish shim{MemoryBackend::kShim, CoresBackend::kShim};
  EXPECT_TRUE(node.Offers(*node.Card(0), &shim).offers.empty());
}

TEST_F(BackendTest, TheAgentPutsBackALimitThatIsGoneAndTakesBackWhatWasLeft) {
  Node node = Open();
  ASSERT_TRUE(node.Create(Spec("a")).ok());
  recorder_->limit = {{"left", 1}};
  recorder_->used = 5 * kGiB;
  Agent agent(&node, clock_, logger_, nullptr);
  ASSERT_TRUE(agent.Start().ok());
  EXPECT_EQ(recorder_->limit, (std::map<std::string, std::uint64_t>{{"a", 2 * kGiB}}));
  EXPECT_TRUE(agent.Figures().slices.at(0).in_force);
  EXPECT_EQ(agent.Figures().slices.at(0).drift, static_cast<std::int64_t>(5 * kGiB));
  std::string text = MetricsText(agent.Figures());
  EXPECT_NE(text.find("brim_slice_memory_driver_bytes{slice=\"a\",owner=\"\",card=\"0\"} "
                      "5368709120\n"),
            std::string::npos)
      << text;
  const std::string backend =
      "brim_slice_backend{slice=\"a\",owner=\"\",card=\"0\",memory=\"native\",cores=\"shim\"} ";
  EXPECT_NE(text.find(backend + "1\n"), std::string::npos) << text;
  recorder_->limit.clear();
  recorder_->refuse = true;
  clock_.Advance(std::chrono::seconds(2));
  agent.Tick();
  text = MetricsText(agent.Figures());
  EXPECT_NE(text.find(backend + "0\n"), std::string::npos) << text;
  recorder_->refuse = false;
  clock_.Advance(std::chrono::seconds(2));
  agent.Tick();
  EXPECT_EQ(recorder_->limit.count("a"), 1u);
  EXPECT_TRUE(agent.Figures().slices.at(0).in_force);
}

TEST_F(BackendTest, LookingAfterLimitsHidesNoChangeOfAnotherProcess) {
  Node node = Open();
  ASSERT_TRUE(Open().Create(Spec("a")).ok());
  EXPECT_TRUE(node.Enforce("a").ok());
  EXPECT_EQ(node.Enforce("b").reason(), "slice_unknown");
  EXPECT_TRUE(node.Sweep().ok());
  EXPECT_TRUE(*node.Refresh());
  EXPECT_NE(node.Files("a"), nullptr);
}

TEST_F(BackendTest, AnEmptyStateIsNoState) {
  ASSERT_TRUE(Open().Create(Spec("a")).ok());
  std::filesystem::resize_file(folder_ + "/state", 0);
  EXPECT_EQ(Node::Open(folder_, {recorder_}).status().reason(), "bad_state");
}

TEST_F(BackendTest, WithMpsTheTableOfTheShimHasNoUnits) {
  Node node = Open();
  SliceSpec spec = Spec("a", MemoryBackend::kShim);
  spec.cores_backend = CoresBackend::kMps;
  ASSERT_TRUE(node.Create(spec).ok());
  EXPECT_EQ(node.FilesOfCard(0)->table->row[0].cores.load(), 0u);
  EXPECT_EQ(node.Files("a")->limits->cores.load(), 30u);
  SliceSpec other = Spec("b", MemoryBackend::kShim);
  other.cores = 71;
  EXPECT_EQ(node.Create(other).reason(), "no_cores");  // They count all the same.
}

TEST(MpsCores, MemoryIsInTheFormThatTheVariableTakes) {
  EXPECT_EQ(MpsMemoryLimit(8 * kGiB), "0=8192M");
}

}  // namespace
}  // namespace brim::vgpu
