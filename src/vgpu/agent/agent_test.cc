// Node and Agent on a folder of their own, with processes that are forked and killed.
#include "vgpu/agent/agent.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "io/text_file.h"
#include "vgpu/ledger/ledger.h"

namespace brim::vgpu {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class NodeTest : public testing::Test {
 protected:
  NodeTest() {
    char name[] = "/dev/shm/brim-node-test-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~NodeTest() override { std::filesystem::remove_all(folder_); }

  Node Open() {
    Result<Node> node = Node::Open(folder_);
    EXPECT_TRUE(node.ok()) << node.status().message();
    if (node->state().cards.empty()) {
      EXPECT_TRUE(node->SetCards({{0, "GPU-0", "A card", 16 * kGiB, 256 * kMiB, 2 * kMiB}}).ok());
    }
    return std::move(*node);
  }

  static SliceSpec Spec(const char* name, std::uint32_t cores, std::uint64_t soft,
                        std::uint64_t hard) {
    SliceSpec spec;
    spec.name = name;
    spec.cores = cores;
    spec.memory_soft = soft;
    spec.memory_hard = hard;
    return spec;
  }

  // A process in the slice that holds `bytes` until it is killed.
  static pid_t Tenant(SliceFiles* files, std::uint64_t bytes) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      Ledger ledger;
      ledger.Attach(files->limits.get(), files->segment.get());
      const bool good = ledger.Claim(getpid(), 0, 0) &&
                        ledger.Reserve(bytes, MemoryClass::kBuffer) == Answer::kYes;
      [[maybe_unused]] const ssize_t wrote = write(ready[1], good ? "y" : "n", 1);
      for (;;) pause();
    }
    char answer = 0;
    EXPECT_EQ(read(ready[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    close(ready[0]);
    close(ready[1]);
    return pid;
  }

  static void Kill(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }

  std::string folder_;
};

TEST_F(NodeTest, SlicesSurviveAndAnotherProcessSeesThem) {
  Node first = Open();
  ASSERT_TRUE(first.Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok());
  Node second = Open();
  ASSERT_NE(second.Find("a"), nullptr);
  EXPECT_EQ(second.Files("a")->limits->memory_hard.load(), 2 * kGiB);
  EXPECT_EQ(second.FilesOfCard(0)->table->row[0].cores.load(), 30u);
  ASSERT_TRUE(second.Create(Spec("b", 70, kGiB, kGiB)).ok());
  EXPECT_TRUE(*first.Refresh());
  EXPECT_FALSE(*first.Refresh());
  ASSERT_NE(first.Find("b"), nullptr);
  EXPECT_EQ(first.Create(Spec("c", 1, kGiB, kGiB)).reason(), "no_cores");
  EXPECT_TRUE(second.Remove("a").ok());
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/slices/a"));
  EXPECT_TRUE(first.Create(Spec("c", 30, kGiB, kGiB)).ok());
}

TEST_F(NodeTest, FilesAreMadeAnewAfterARestartOfTheHost) {
  ASSERT_TRUE(Open().Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok());
  std::filesystem::remove_all(folder_ + "/slices");
  std::filesystem::remove_all(folder_ + "/cards");
  Node node = Open();
  ASSERT_NE(node.Files("a"), nullptr);
  EXPECT_EQ(node.Files("a")->limits->cores.load(), 30u);
  EXPECT_EQ(node.FilesOfCard(0)->table->row[0].cores.load(), 30u);
}

TEST_F(NodeTest, ASliceInUseIsNotRemoved) {
  Node node = Open();
  ASSERT_TRUE(node.Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok());
  const pid_t pid = Tenant(node.Files("a"), kGiB);
  const Status refused = node.Remove("a");
  EXPECT_EQ(refused.reason(), "slice_in_use");
  EXPECT_NE(refused.message().find("1 process is in slice 'a'"), std::string::npos)
      << refused.message();
  Kill(pid);
  EXPECT_TRUE(node.Remove("a").ok());
}

TEST_F(NodeTest, ResizeIsLiveAndMayGoBelowUse) {
  Node node = Open();
  ASSERT_TRUE(node.Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok());
  const pid_t pid = Tenant(node.Files("a"), kGiB);
  SliceChange change;
  change.memory_hard = 512 * kMiB;
  change.cores = 50;
  const std::uint32_t epoch = node.Files("a")->limits->epoch;
  const Result<SliceSpec> spec = node.Resize("a", change);
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->memory_soft, 512 * kMiB);
  EXPECT_EQ(node.Files("a")->limits->memory_now.load(), 512 * kMiB);
  EXPECT_NE(node.Files("a")->limits->epoch.load(), epoch);
  EXPECT_EQ(HeldBytes(*node.Files("a")->segment), kGiB);
  change.cores = 101;
  EXPECT_EQ(node.Resize("a", change).status().reason(), "bad_cores");
  EXPECT_EQ(node.Resize("z", change).status().code(), Code::kNotFound);
  Kill(pid);
}

TEST_F(NodeTest, ADamagedSliceIsNamedAndLeftAloneAndTheOthersWork) {
  ASSERT_TRUE(Open().Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok());
  std::filesystem::resize_file(folder_ + "/slices/a/segment", 100);
  Node node = Open();
  EXPECT_EQ(node.Files("a"), nullptr);
  const Status status = node.Fault("a");
  EXPECT_EQ(status.reason(), "bad_segment");
  EXPECT_NE(status.message().find("slices/a/segment"), std::string::npos) << status.message();
  EXPECT_EQ(std::filesystem::file_size(folder_ + "/slices/a/segment"), 100u);
  EXPECT_TRUE(node.Create(Spec("b", 70, kGiB, kGiB)).ok());
  EXPECT_TRUE(node.Remove("a").ok());
}

// Of another size too, as a version with more or fewer fields has.
TEST_F(NodeTest, AFileOfAnotherVersionIsToldAsSuchWhateverItsSize) {
  ASSERT_TRUE(Open().Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok());
  for (const char* file :
       {"/slices/a/limits", "/slices/a/segment", "/cards/0/table", "/cards/0/card"}) {
    const std::string path = folder_ + file;
    const auto whole = std::filesystem::file_size(path);
    for (const std::uintmax_t bytes : {std::uintmax_t{12}, whole - 64, whole, whole + 64}) {
      const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
      const std::uint32_t version = kSegmentVersion + (bytes < whole ? 1 : -1);
      ASSERT_EQ(pwrite(fd, &version, sizeof(version), 8), 4);
      ASSERT_EQ(ftruncate(fd, static_cast<off_t>(bytes)), 0);
      close(fd);
      const Status status = Open().Fault("a");
      EXPECT_EQ(status.reason(), "bad_segment");
      for (const char* part : {path.c_str() + folder_.size(), "another version of brim wrote it",
                               "brim node slices remove", "brim node slices create"}) {
        EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
      }
    }
    EXPECT_TRUE(Open().Remove("a").ok());
    EXPECT_TRUE(Open().Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok()) << file;
  }
  std::filesystem::resize_file(folder_ + "/cards/0/card", 11);
  EXPECT_NE(Open().Fault("a").message().find("it was cut"), std::string::npos);
}

TEST_F(NodeTest, ADamagedStateIsRefused) {
  Open();
  std::ofstream(folder_ + "/state") << "nonsense";
  EXPECT_EQ(Node::Open(folder_).status().reason(), "bad_state");
}

class AgentTest : public NodeTest {
 protected:
  AgentTest()
      : null_(open("/dev/null", O_WRONLY)),
        logger_(null_, LogLevel::kOff, LogFormat::kText, clock_) {}
  ~AgentTest() override { close(null_); }

  FakeClock clock_;
  int null_;
  Logger logger_;
};

TEST_F(AgentTest, TakesKilledProcessesOut) {
  Node node = Open();
  ASSERT_TRUE(node.Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok());
  Agent agent(&node, clock_, logger_, nullptr);
  ASSERT_TRUE(agent.Start().ok());
  const pid_t stays = Tenant(node.Files("a"), 100 * kMiB);
  const pid_t goes = Tenant(node.Files("a"), kGiB);
  agent.Tick();
  EXPECT_EQ(agent.Figures().slices.at(0).held, kGiB + 100 * kMiB);
  EXPECT_EQ(agent.Figures().slices.at(0).pids.size(), 2u);
  Kill(goes);
  agent.Tick();
  EXPECT_EQ(agent.Figures().slices.at(0).held, 100 * kMiB);
  EXPECT_EQ(agent.Figures().slices.at(0).reaped, 1u);
  Kill(stays);
  agent.Tick();
  EXPECT_EQ(agent.Figures().slices.at(0).held, 0u);
}

TEST_F(AgentTest, OneAgentForAFolder) {
  Node node = Open();
  Agent first(&node, clock_, logger_, nullptr);
  ASSERT_TRUE(first.Start().ok());
  Node other = Open();
  Agent second(&other, clock_, logger_, nullptr);
  EXPECT_EQ(second.Start().reason(), "agent_running");
}

TEST_F(AgentTest, LendsWhatIsLeft) {
  Node node = Open();
  ASSERT_TRUE(node.Create(Spec("a", 30, 2 * kGiB, 12 * kGiB)).ok());
  ASSERT_TRUE(node.Create(Spec("b", 30, 4 * kGiB, 4 * kGiB)).ok());
  Agent agent(&node, clock_, logger_, nullptr);
  ASSERT_TRUE(agent.Start().ok());
  EXPECT_EQ(node.Files("a")->limits->memory_now.load(), 2 * kGiB);
  node.Files("a")->segment->wanted = 6 * kGiB;
  agent.Tick();
  EXPECT_GE(node.Files("a")->limits->memory_now.load(), 6 * kGiB);
  EXPECT_LE(node.Files("a")->limits->memory_now.load(), 12 * kGiB);
  agent.Tick();  // Not used: it comes back.
  EXPECT_EQ(node.Files("a")->limits->memory_now.load(), 2 * kGiB);
}

TEST_F(AgentTest, ASliceWithoutProcessesHasAllItsSeries) {
  Node node = Open();
  ASSERT_TRUE(node.Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok());
  Agent agent(&node, clock_, logger_, [](std::uint32_t) { return NvmlUse(); });
  ASSERT_TRUE(agent.Start().ok());
  clock_.Advance(std::chrono::seconds(5));
  agent.Tick();
  const std::string text = MetricsText(agent.Figures());
  for (const char* line :
       {"brim_slice_memory_held_bytes{slice=\"a\",owner=\"\",card=\"0\"} 0\n",
        "brim_slice_memory_hard_bytes{slice=\"a\",owner=\"\",card=\"0\"} 2147483648\n",
        "brim_slice_launches_total{slice=\"a\",owner=\"\",card=\"0\"} 0\n",
        "brim_slice_processes{slice=\"a\",owner=\"\",card=\"0\"} 0\n",
        "brim_slice_idle_seconds{slice=\"a\",owner=\"\",card=\"0\"} 5\n",
        "brim_slice_share_asked{slice=\"a\",owner=\"\",card=\"0\"} 0.3\n",
        "brim_card_units_free{card=\"0\",uuid=\"GPU-0\"} 70\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST_F(AgentTest, DriftIsWhatNvmlSeesMore) {
  Node node = Open();
  ASSERT_TRUE(node.Create(Spec("a", 30, 2 * kGiB, 2 * kGiB)).ok());
  static pid_t tenant;
  tenant = Tenant(node.Files("a"), kGiB);
  Agent agent(&node, clock_, logger_, [](std::uint32_t) {
    return NvmlUse{{tenant, kGiB + 3 * kMiB}};
  });
  ASSERT_TRUE(agent.Start().ok());
  EXPECT_EQ(agent.Figures().slices.at(0).drift, static_cast<std::int64_t>(3 * kMiB));
  Kill(tenant);
}

}  // namespace
}  // namespace brim::vgpu
