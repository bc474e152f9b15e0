// Tests of serving/repository.h with the fake runtime's plugin, and of repository_scan.h.
//
// Nothing sleeps: the repository does not poll, Rescan() says when it is done, and a fake model's
// load_gate holds a load back until the test writes to a FIFO.
#include "serving/repository.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "serving/load_override.h"
#include "serving/repository_scan.h"

namespace brim::serving {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModel =
    "brim-fake 1\ninput x FP32 -1,4\noutput y FP32 -1,4 identity x\n";
std::string Model(std::string_view more) { return std::string(kModel) + std::string(more) + "\n"; }

class TempDir {
 public:
  TempDir() {
    std::string pattern = ::testing::TempDir() + "brim-repository-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  void Write(const std::string& name, std::string_view text) const {
    fs::create_directories(fs::path(*this / name).parent_path());
    std::ofstream(*this / name, std::ios::binary) << text;
  }
  void Remove(const std::string& name) const { fs::remove_all(*this / name); }

 private:
  std::string path_;
};

class RepositoryTest : public ::testing::Test {
 protected:
  RepositoryTest() : logger_(2, LogLevel::kOff, LogFormat::kText, clock_) {
    runtimes::HostOptions options;
    options.plugin_dirs = {BRIM_PLUGIN_DIR};
    host_ = std::make_unique<runtimes::Host>(options);
    options_.path = dir_.path();
    options_.poll = std::chrono::milliseconds(0);
    options_.defaults.runtime = "fake";
    options_.workers = 2;
  }

  Status TryStart() {
    repository_ = std::make_unique<Repository>(options_, *host_, clock_, logger_);
    return repository_->Start();
  }
  // The models finished, in order.
  std::vector<ModelStatus> Start() {
    const Status status = TryStart();
    EXPECT_TRUE(status.ok()) << status.ToString();
    std::vector<ModelStatus> finished;
    if (!status.ok()) return finished;
    repository_->WaitForFirstScan([&](const ModelStatus& model) { finished.push_back(model); });
    EXPECT_TRUE(repository_->Ready());
    return finished;
  }

  template <typename Call>
  Status Await(Call call) {
    std::promise<Status> answer;
    call([&](const Status& status) { answer.set_value(status); });
    return answer.get_future().get();
  }
  // Twice, because files must look the same in two scans.
  void Rescan() {
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(RescanOnce().ok());
  }
  Status RescanOnce() {
    return Await([&](Repository::Done done) { repository_->Rescan(std::move(done)); });
  }
  Status Load(const std::string& name, LoadOverrides overrides = {}) {
    return Await([&](Repository::Done done) {
      repository_->Load(name, std::move(overrides), std::move(done));
    });
  }
  Status Unload(const std::string& name) {
    return Await([&](Repository::Done done) { repository_->Unload(name, std::move(done)); });
  }

  VersionHandle Get(const std::string& name) {
    auto found = repository_->Find({name, {}, {}});
    return found.ok() ? *found : nullptr;
  }
  std::int64_t Number(const std::string& name) {
    const VersionHandle version = Get(name);
    return version != nullptr ? version->number() : -1;
  }
  Status FindError(const std::string& name, std::optional<std::int64_t> number = {},
                   std::string_view label = {}) {
    return repository_->Find({name, number, label}).status();
  }
  std::string States(const std::string& name) {
    const auto status = repository_->Describe(name);
    if (!status.ok()) return std::string(status.status().reason());
    std::string text;
    for (const VersionStatus& version : status->versions) {
      static constexpr const char* kNames[] = {"start", "loading", "available", "unloading", "end"};
      text += (text.empty() ? "" : ", ") + std::to_string(version.number) + " " +
              kNames[static_cast<int>(version.state)] + (version.status.ok() ? "" : " failed");
    }
    return text;
  }
  std::string Counts(const std::string& name) {
    for (const auto& count : repository_->LoadCounts()) {
      if (count.model == name) return std::to_string(count.ok) + "/" + std::to_string(count.failed);
    }
    return "none";
  }

  TempDir dir_;
  SystemClock clock_;
  Logger logger_;
  std::unique_ptr<runtimes::Host> host_;
  RepositoryOptions options_;
  std::unique_ptr<Repository> repository_;
};

// ---- Layouts.

TEST_F(RepositoryTest, FindsEveryLayout) {
  dir_.Write("tfs/1/model.fake", kModel);
  dir_.Write("tfs/00000012/model.fake", kModel);
  dir_.Write("triton/config.pbtxt", "name: \"triton\" default_model_filename: \"net.fake\"");
  dir_.Write("triton/3/net.fake", kModel);
  dir_.Write("triton/3/other.fake", "not this");
  dir_.Write("nested/model.fake", kModel);
  dir_.Write("plain.fake", kModel);
  dir_.Write("plain.brim.json", "{\"owner\": \"me\"}");
  dir_.Write(".hidden/1/model.fake", kModel);
  dir_.Write("README.md", "x");
  dir_.Write("scripts/run.sh", "x");
  Start();
  EXPECT_EQ(Number("tfs"), 12);
  EXPECT_EQ(Number("triton"), 3);
  EXPECT_EQ(Number("nested"), 1);
  EXPECT_EQ(Number("plain"), 1);
  EXPECT_EQ(Get("plain")->owner(), "me");
  EXPECT_EQ(repository_->List().size(), 5u);
  EXPECT_EQ(repository_->Serving().size(), 4u);
  const Status scripts = FindError("scripts");
  EXPECT_EQ(scripts.code(), Code::kUnavailable);
  EXPECT_NE(scripts.message().find("it holds run.sh"), std::string::npos) << scripts.message();
}

TEST_F(RepositoryTest, ServesOneModelsDirectoryOrOneFile) {
  dir_.Write("rec/1/model.fake", kModel);
  dir_.Write("rec/2/model.fake", kModel);
  dir_.Write("rec/brim.json", "{\"owner\": \"ocr\"}");
  options_.path = dir_ / "rec";
  Start();
  EXPECT_EQ(Number("rec"), 2);
  EXPECT_EQ(Get("rec")->owner(), "ocr");
  options_.path = dir_ / "rec/1/model.fake";
  Start();
  EXPECT_EQ(Number("model"), 1);
  options_.path = dir_ / "rec/1/";  // A version's own directory: plain files.
  Start();
  EXPECT_EQ(Number("model"), 1);
}

TEST_F(RepositoryTest, SaysWhatAPathShouldHold) {
  options_.path = dir_ / "missing";
  EXPECT_EQ(TryStart().code(), Code::kNotFound);
  options_.path = dir_.path();
  EXPECT_EQ(TryStart().code(), Code::kFailedPrecondition);
  dir_.Write("notes.txt", "x");
  const Status status = TryStart();
  EXPECT_EQ(status.reason(), "repository_empty");
  EXPECT_NE(status.message().find("it holds notes.txt"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("NAME/1/saved_model.pb"), std::string::npos);
  options_.path = dir_ / "notes.txt";
  EXPECT_EQ(TryStart().code(), Code::kFailedPrecondition);
}

TEST(RepositoryScan, FindsTheModelFile) {
  const TempDir dir;
  fs::create_directories(dir / "empty");
  const Status none = FindModelFile(dir / "empty", "").status();
  EXPECT_EQ(none.reason(), "model_file_unknown");
  dir.Write("tf/saved_model.pb", "");
  dir.Write("tf/keras_metadata.pb", "");
  EXPECT_EQ(*FindModelFile(dir / "tf", ""), dir / "tf");
  dir.Write("wrapped/export/saved_model.pb", "");
  EXPECT_EQ(*FindModelFile(dir / "wrapped", ""), dir / "wrapped/export");
  dir.Write("triton/model.savedmodel/saved_model.pb", "");
  dir.Write("triton/notes.onnx", "");
  EXPECT_EQ(*FindModelFile(dir / "triton", ""), dir / "triton/model.savedmodel");
  dir.Write("ir/net.xml", "");
  dir.Write("ir/net.bin", "");
  EXPECT_EQ(*FindModelFile(dir / "ir", ""), dir / "ir/net.xml");
  dir.Write("ir/net.onnx", "");
  EXPECT_EQ(FindModelFile(dir / "ir", "").status().reason(), "model_file_ambiguous");
  EXPECT_EQ(*FindModelFile(dir / "ir", "net.onnx"), dir / "ir/net.onnx");
  EXPECT_EQ(FindModelFile(dir / "ir", "net.pb").status().code(), Code::kNotFound);
  dir.Write("a/model.onnx", "");
  dir.Write("a/model.xml", "");
  EXPECT_EQ(*FindModelFile(dir / "a", ""), dir / "a/model.xml");
}

TEST(RepositoryScan, ReadsVersionNumbers) {
  EXPECT_EQ(ParseVersionName("1"), 1);
  EXPECT_EQ(ParseVersionName("00000123"), 123);
  EXPECT_EQ(ParseVersionName("0"), 0);
  EXPECT_EQ(ParseVersionName("9223372036854775807"), 9223372036854775807);
  for (const char* bad : {"", "-1", "+1", "1a", "v1", "9223372036854775808", " 1", "1.0"}) {
    EXPECT_EQ(ParseVersionName(bad), -1) << bad;
  }
}

TEST(RepositoryScan, FingerprintsFollowContent) {
  const TempDir dir;
  dir.Write("m/1/model.onnx", "a");
  dir.Write("m/1/variables/data", "a");
  dir.Write("m/config.pbtxt", "");
  const ModelOnDisk before = ScanModelDirectory(dir / "m", "m");
  EXPECT_EQ(ScanModelDirectory(dir / "m", "m").versions[0].fingerprint,
            before.versions[0].fingerprint);
  dir.Write("m/1/variables/data", "ab");
  const ModelOnDisk after = ScanModelDirectory(dir / "m", "m");
  EXPECT_NE(after.versions[0].fingerprint, before.versions[0].fingerprint);
  EXPECT_EQ(after.config_fingerprint, before.config_fingerprint);
  dir.Write("m/brim.json", "{}");
  EXPECT_NE(ScanModelDirectory(dir / "m", "m").config_fingerprint, before.config_fingerprint);
}

TEST(RepositoryScan, OneNameIsOneModel) {
  const TempDir dir;
  dir.Write("a.xml", "");
  dir.Write("a.onnx", "");
  dir.Write("b/1/model.onnx", "");
  dir.Write("b.onnx", "");
  dir.Write("c/7/model.onnx", "");
  dir.Write("c/007/model.onnx", "");
  const auto found = ScanRepository(dir.path(), {});
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->models.size(), 3u);
  EXPECT_EQ(found->models[0].versions[0].path, dir / "a.xml");
  EXPECT_EQ(found->models[1].versions[0].path, dir / "b/1");
  EXPECT_EQ(found->models[2].versions[0].path, dir / "c/7");
  EXPECT_EQ(found->models[2].warnings.size(), 1u);
  EXPECT_EQ(found->warnings.size(), 2u);
  ScanLimits limits;
  limits.models_max = 2;
  const auto cut = ScanRepository(dir.path(), limits);
  EXPECT_EQ(cut->models.size(), 2u);
  EXPECT_EQ(cut->warnings.back().find("more than 2 models") != std::string::npos, true);
}

// ---- Versions.

TEST_F(RepositoryTest, FindTellsUnknownFromNotReady) {
  dir_.Write("m/2/model.fake", kModel);
  dir_.Write("m/1/model.fake", kModel);
  dir_.Write("m/brim.json", "{\"versions\": {\"labels\": {\"stable\": 2, \"canary\": 9}}}");
  dir_.Write("bad/1/model.fake", Model("load_fail 3 no such operator"));
  dir_.Write("worse/1/model.fake", kModel);
  dir_.Write("worse/brim.json", "{\"ownr\": 1}");
  const auto finished = Start();
  EXPECT_EQ(finished.size(), 3u);
  EXPECT_EQ(FindError("x").reason(), "model_unknown");
  EXPECT_EQ(FindError("x").code(), Code::kNotFound);
  EXPECT_TRUE(repository_->Find({"m", 2, {}}).ok());
  EXPECT_EQ(FindError("m", 1).reason(), "version_unknown");
  EXPECT_EQ((*repository_->Find({"m", {}, "stable"}))->number(), 2);
  EXPECT_EQ(FindError("m", {}, "beta").reason(), "label_unknown");
  EXPECT_EQ(FindError("m", {}, "canary").reason(), "model_not_ready");
  const Status bad = FindError("bad");
  EXPECT_EQ(bad.code(), Code::kUnavailable);
  EXPECT_EQ(bad.reason(), "model_not_ready");
  EXPECT_NE(bad.message().find("no such operator"), std::string::npos) << bad.message();
  EXPECT_EQ(FindError("bad", 1).reason(), "model_not_ready");
  EXPECT_EQ(States("bad"), "1 end failed");
  EXPECT_NE(FindError("worse").message().find("unknown key 'ownr'"), std::string::npos);
  EXPECT_EQ(Counts("m"), "1/0");
  EXPECT_EQ(Counts("bad"), "0/1");
  EXPECT_EQ(Counts("worse"), "0/1");
}

TEST_F(RepositoryTest, SwapsWithoutAGap) {
  dir_.Write("m/1/model.fake", kModel);
  Start();
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto found = repository_->Find({"m", {}, {}});
        if (!found.ok() || (*found)->copies() == 0) ++failures;
        (void)repository_->List();
      }
    });
  }
  for (int version = 2; version <= 12; ++version) {
    dir_.Write("m/" + std::to_string(version) + "/model.fake", kModel);
    Rescan();
    EXPECT_EQ(Number("m"), version);
  }
  stop = true;
  readers.clear();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(repository_->Serving().size(), 1u);
  EXPECT_EQ(Counts("m"), "12/0");
}

TEST_F(RepositoryTest, AFailedVersionLeavesTheOldOneServing) {
  dir_.Write("m/1/model.fake", kModel);
  Start();
  dir_.Write("m/2/model.fake", Model("load_fail 13 broken"));
  Rescan();
  EXPECT_EQ(Number("m"), 1);
  EXPECT_EQ(States("m"), "2 end failed, 1 available");
  Rescan();  // Not tried again.
  EXPECT_EQ(Counts("m"), "1/1");
  dir_.Write("m/2/model.fake", kModel);
  Rescan();
  EXPECT_EQ(Number("m"), 2);
  EXPECT_EQ(States("m"), "2 available, 1 end");
  EXPECT_EQ(FindError("m", 1).reason(), "version_unknown");
}

TEST_F(RepositoryTest, AWarmUpThatFailsIsALoadThatFails) {
  dir_.Write("fixed/1/model.fake",
             "brim-fake 1\ninput x FP32 2,2\noutput y FP32 2,2 identity x\nrun_fail 13 boom\n");
  dir_.Write("open/1/model.fake", Model("run_fail 13 boom"));  // Zeros of a guessed shape.
  dir_.Write("trusted/1/model.fake",
             "brim-fake 1\ninput x FP32 2,2\noutput y FP32 2,2 identity x\nrun_fail 13 boom\n");
  dir_.Write("trusted/brim.json", "{\"warm_up\": false}");
  dir_.Write("words/1/model.fake", "brim-fake 1\ninput x BYTES 3\noutput y BYTES 3 identity x\n");
  Start();
  EXPECT_NE(FindError("fixed").message().find("warm-up"), std::string::npos);
  EXPECT_EQ(Number("open"), 1);
  EXPECT_EQ(Number("trusted"), 1);
  EXPECT_EQ(Number("words"), 1);
}

TEST_F(RepositoryTest, ChecksTheSignatureAgainstTheConfiguration) {
  dir_.Write("m/1/model.fake", kModel);
  dir_.Write("m/config.pbtxt",
             "max_batch_size: 8 input { name: \"x\" data_type: TYPE_FP32 dims: 5 }");
  Start();
  EXPECT_NE(FindError("m").message().find("the model declares [-1,4]"), std::string::npos)
      << FindError("m").message();
  dir_.Write("m/config.pbtxt",
             "max_batch_size: 8 input { name: \"x\" data_type: TYPE_FP32 dims: 4 }");
  Rescan();
  EXPECT_EQ(Number("m"), 1);
}

TEST_F(RepositoryTest, AHalfCopiedVersionIsNotLoaded) {
  dir_.Write("m/1/model.fake", kModel);
  Start();
  dir_.Write("m/2/part1", "");
  ASSERT_TRUE(RescanOnce().ok());
  EXPECT_EQ(States("m"), "2 start, 1 available");
  dir_.Write("m/2/part2", "");  // Still coming.
  ASSERT_TRUE(RescanOnce().ok());
  dir_.Write("m/2/model.fake", kModel);
  ASSERT_TRUE(RescanOnce().ok());
  EXPECT_EQ(Number("m"), 1);
  EXPECT_EQ(Counts("m"), "1/0");
  ASSERT_TRUE(RescanOnce().ok());
  EXPECT_EQ(Number("m"), 2);
  EXPECT_EQ(Counts("m"), "2/0");
}

TEST_F(RepositoryTest, AReplacedVersionIsReloadedInPlace) {
  dir_.Write("m/1/model.fake", kModel);
  Start();
  const std::weak_ptr<const Version> first = Get("m");
  dir_.Write("m/1/model.fake", Model("platform other"));
  Rescan();
  EXPECT_EQ(Get("m")->info().platform, "other");
  EXPECT_TRUE(first.expired());
  dir_.Write("m/1/model.fake", Model("load_fail 13 broken"));
  Rescan();
  EXPECT_EQ(Get("m")->info().platform, "other");
  EXPECT_EQ(States("m"), "1 available failed");
}

TEST_F(RepositoryTest, AVersionReplacedWhileItLoadsIsLoadedAgain) {
  ASSERT_EQ(mkfifo((dir_ / ".gate").c_str(), 0600), 0);
  dir_.Write("m/1/model.fake", Model("load_gate " + (dir_ / ".gate")));
  ASSERT_TRUE(TryStart().ok());
  // Opening waits for the loader to open the other end: it has read the file by then.
  const int gate = open((dir_ / ".gate").c_str(), O_WRONLY);
  ASSERT_GE(gate, 0);
  EXPECT_EQ(FindError("m").reason(), "model_not_ready");
  EXPECT_EQ(States("m"), "1 loading");
  EXPECT_FALSE(repository_->Ready());
  // What is not known may still be found.
  EXPECT_EQ(FindError("nobody").reason(), "starting");
  EXPECT_EQ(FindError("nobody").code(), Code::kUnavailable);
  dir_.Write("m/1/model.fake", Model("platform newer"));
  ASSERT_EQ(write(gate, "x", 1), 1);
  close(gate);
  repository_->WaitForFirstScan(nullptr);
  EXPECT_EQ(Get("m")->info().platform, "fake");
  Rescan();
  EXPECT_EQ(Get("m")->info().platform, "newer");
}

TEST_F(RepositoryTest, WhatLeavesTheDiskIsUnloaded) {
  dir_.Write("a/1/model.fake", kModel);
  dir_.Write("b/1/model.fake", kModel);
  dir_.Write("b/2/model.fake", kModel);
  Start();
  dir_.Remove("a");
  dir_.Remove("b/2");
  Rescan();
  EXPECT_EQ(FindError("a").reason(), "model_unknown");
  EXPECT_EQ(Number("b"), 1);
  EXPECT_EQ(States("b"), "1 available");
  dir_.Write("a/3/model.fake", kModel);
  Rescan();
  EXPECT_EQ(Number("a"), 3);
  // A path that cannot be read unloads nothing.
  fs::rename(dir_.path(), dir_.path() + "-away");
  EXPECT_EQ(RescanOnce().code(), Code::kNotFound);
  EXPECT_EQ(Number("a"), 3);
  fs::rename(dir_.path() + "-away", dir_.path());
}

TEST_F(RepositoryTest, AnEarlierVersionComesBackWhenTheNewestIsDeleted) {
  dir_.Write("m/1/model.fake", kModel);
  Start();
  dir_.Write("m/2/model.fake", kModel);
  Rescan();
  EXPECT_EQ(States("m"), "2 available, 1 end");
  dir_.Remove("m/2");
  Rescan();
  EXPECT_EQ(Number("m"), 1);
  EXPECT_EQ(States("m"), "1 available");
  // By the policy too.
  dir_.Write("m/3/model.fake", kModel);
  Rescan();
  EXPECT_EQ(Number("m"), 3);
  dir_.Write("m/brim.json", "{\"versions\": {\"specific\": [1]}}");
  Rescan();
  EXPECT_EQ(Number("m"), 1);
}

TEST_F(RepositoryTest, AFileThatMayNotBeReadIsNamed) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  dir_.Write("m/1/model.fake", kModel);
  fs::permissions(dir_ / "m/1/model.fake", fs::perms::none);
  Start();
  const Status status = FindError("m");
  EXPECT_NE(status.message().find("Permission denied"), std::string::npos) << status.message();
}

TEST_F(RepositoryTest, FollowsTheVersionPolicyAndItsChanges) {
  for (const char* number : {"1", "2", "3"}) {
    dir_.Write(std::string("m/") + number + "/model.fake", kModel);
  }
  dir_.Write("m/brim.json", "{\"versions\": {\"policy\": \"all\", \"labels\": {\"stable\": 1}}}");
  Start();
  EXPECT_EQ(States("m"), "3 available, 2 available, 1 available");
  const VersionHandle second = Get("m");
  dir_.Write("m/brim.json", "{\"versions\": {\"specific\": [1, 3], \"labels\": {\"stable\": 3}}}");
  Rescan();
  EXPECT_EQ(States("m"), "3 available, 2 end, 1 available");
  EXPECT_EQ((*repository_->Find({"m", {}, "stable"}))->number(), 3);
  EXPECT_EQ(Get("m"), second);  // Moving a label loads nothing.
  EXPECT_EQ(Counts("m"), "3/0");
  dir_.Write("m/brim.json", "{\"versions\": {\"specific\": [1, 3]}, \"owner\": \"new\"}");
  Rescan();
  EXPECT_EQ(Get("m")->owner(), "new");
  EXPECT_EQ(Counts("m"), "5/0");
  dir_.Write("m/brim.json", "{");
  Rescan();
  EXPECT_EQ(Number("m"), 3);
  EXPECT_FALSE(repository_->Describe("m")->status.ok());
}

// ---- On request.

TEST_F(RepositoryTest, UnloadFreesAndLoadBringsBack) {
  dir_.Write("m/1/model.fake", kModel);
  Start();
  VersionHandle held = Get("m");
  const std::weak_ptr<const Version> weak = held;
  EXPECT_TRUE(Unload("m").ok());
  EXPECT_EQ(FindError("m").reason(), "model_not_ready");
  EXPECT_NE(FindError("m").message().find("load it first"), std::string::npos);
  EXPECT_EQ(States("m"), "1 end");
  EXPECT_FALSE(weak.expired());  // A request still uses it.
  held.reset();
  EXPECT_TRUE(weak.expired());
  Rescan();
  EXPECT_EQ(FindError("m").reason(), "model_not_ready");  // Held back until asked for.
  EXPECT_TRUE(Load("m").ok());
  EXPECT_EQ(Number("m"), 1);
  const VersionHandle before = Get("m");
  EXPECT_TRUE(Load("m").ok());
  EXPECT_NE(Get("m"), before);  // Loaded anew although nothing changed.
  EXPECT_EQ(Unload("x").code(), Code::kNotFound);
  EXPECT_EQ(Load("x").message(), "failed to load 'x', no such model");
  EXPECT_EQ(Load("../x").code(), Code::kInvalidArgument);
}

TEST_F(RepositoryTest, ExplicitControlLoadsOnlyWhatIsAskedFor) {
  dir_.Write("a/1/model.fake", kModel);
  dir_.Write("b/1/model.fake", kModel);
  options_.explicit_control = true;
  options_.load_at_start = {"a", "missing"};
  const auto finished = Start();
  ASSERT_EQ(finished.size(), 2u);
  EXPECT_TRUE(finished[0].status.ok());
  EXPECT_EQ(finished[1].name, "missing");
  EXPECT_EQ(finished[1].status.code(), Code::kNotFound);
  EXPECT_EQ(Number("a"), 1);
  EXPECT_EQ(FindError("b").reason(), "model_not_ready");
  EXPECT_EQ(States("b"), "");
  dir_.Write("a/2/model.fake", kModel);
  dir_.Write("c/1/model.fake", kModel);
  Rescan();
  EXPECT_EQ(Number("a"), 1);
  EXPECT_EQ(repository_->List().size(), 3u);
  EXPECT_TRUE(Load("a").ok());
  EXPECT_TRUE(Load("c").ok());
  EXPECT_EQ(Number("a"), 2);
  EXPECT_EQ(Number("c"), 1);
  dir_.Remove("c");
  Rescan();
  EXPECT_EQ(Number("c"), 1);  // Until it is unloaded.
  EXPECT_TRUE(Unload("c").ok());
  Rescan();
  EXPECT_EQ(FindError("c").reason(), "model_unknown");
}

TEST_F(RepositoryTest, ExplicitControlMayStartEmpty) {
  options_.explicit_control = true;
  EXPECT_TRUE(Start().empty());
  EXPECT_TRUE(repository_->List().empty());
}

TEST_F(RepositoryTest, LoadTakesAConfigurationAndFiles) {
  dir_.Write("m/1/model.fake", kModel);
  Start();
  LoadOverrides config;
  config.config_json = "{\"parameters\": {\"owner\": {\"string_value\": \"me\"}}}";
  EXPECT_TRUE(Load("m", config).ok());
  EXPECT_EQ(Get("m")->owner(), "me");
  Rescan();
  EXPECT_EQ(Get("m")->owner(), "me");

  LoadOverrides files = config;
  files.files = {{"7/model.fake", Model("platform brought")}};
  EXPECT_TRUE(Load("m", files).ok());
  EXPECT_EQ(Number("m"), 7);
  EXPECT_EQ(Get("m")->info().platform, "brought");
  EXPECT_TRUE(Load("fresh", files).ok());  // Not on disk at all.
  EXPECT_EQ(Number("fresh"), 7);
  Rescan();
  EXPECT_EQ(Number("fresh"), 7);

  files.files = {{"8/model.fake", Model("load_fail 13 broken")}};
  const Status broken = Load("m", files);
  EXPECT_NE(broken.message().find("failed to load 'm': version 8: "), std::string::npos);
  EXPECT_EQ(Number("m"), 7);
  config.config_json = "{";
  EXPECT_EQ(Load("m", config).code(), Code::kInvalidArgument);
  EXPECT_EQ(Number("m"), 7);
  files.config_json.clear();
  EXPECT_EQ(Load("m", files).reason(), "override_without_config");

  EXPECT_TRUE(Load("m").ok());
  EXPECT_EQ(Number("m"), 1);
  EXPECT_EQ(Get("m")->owner(), "");
  EXPECT_TRUE(Unload("fresh").ok());
  EXPECT_EQ(FindError("fresh").reason(), "model_unknown");
}

TEST(OverrideFiles, StayInTheirDirectory) {
  for (const char* bad : {"", "/etc/passwd", "../x", "1/../../x", "1//x", "1/", ".", "1/./x"}) {
    EXPECT_EQ(OverrideFiles::Write({{bad, "x"}}).status().reason(), "override_path") << bad;
  }
  EXPECT_EQ(OverrideFiles::Write({{"a/b/c/d/e/f/g/h/i", ""}}).status().reason(), "override_path");
  std::string directory;
  {
    const auto files = OverrideFiles::Write({{"1/model.onnx", "abc"}, {"config.pbtxt", ""}});
    ASSERT_TRUE(files.ok()) << files.status().ToString();
    directory = (*files)->directory();
    EXPECT_EQ(fs::file_size(directory + "/1/model.onnx"), 3u);
    EXPECT_EQ(fs::status(directory).permissions(), fs::perms::owner_all);
  }
  EXPECT_FALSE(fs::exists(directory));
  EXPECT_FALSE(OverrideFiles::Write({{"1/a", ""}, {"1/a", ""}}).ok());
}

// ---- Life and copies.

TEST_F(RepositoryTest, HandlesOutliveTheRepository) {
  dir_.Write("m/1/model.fake", kModel);
  Start();
  VersionHandle held = Get("m");
  repository_.reset();
  EXPECT_EQ(held->model(), "m");
  held.reset();
}

TEST_F(RepositoryTest, WhatWaitsIsAnsweredAtTheEnd) {
  ASSERT_EQ(mkfifo((dir_ / ".gate").c_str(), 0600), 0);
  dir_.Write("m/1/model.fake", Model("load_gate " + (dir_ / ".gate")));
  ASSERT_TRUE(TryStart().ok());
  const int gate = open((dir_ / ".gate").c_str(), O_WRONLY);
  std::atomic<int> refused{0};
  for (int i = 0; i < 3; ++i) {
    repository_->Load("m", {}, [&](const Status& status) {
      if (status.code() == Code::kUnavailable) ++refused;
    });
  }
  std::jthread opener([&] { repository_.reset(); });
  // The loader is stopped while it loads; then the load may go on.
  ASSERT_EQ(write(gate, "xxxx", 4), 4);
  opener.join();
  close(gate);
  EXPECT_LE(refused, 3);
}

TEST_F(RepositoryTest, HotVersionsGetACopyPerWorker) {
  dir_.Write("m/1/model.fake", kModel);
  dir_.Write("free/1/model.fake", Model("free_instances"));
  Start();
  const VersionHandle version = Get("m");
  EXPECT_EQ(version->copies(), 1u);
  EXPECT_EQ(Get("free")->copies(), 2u);
  const auto tune = [&] {
    repository_->TuneCopies();
    // Each posted task is followed by one piece of background work.
    for (int i = 0; i < 2; ++i) (void)RescanOnce();
  };
  // An hour of use in a moment, and many waiting.
  version->stats().batch[1].infer_ns.Add(3'600'000'000'000);
  version->stats().pending = 10;
  for (int i = 0; i < 100 && version->copies() == 1; ++i) tune();
  EXPECT_EQ(version->copies(), 2u);
  version->stats().pending = 0;
  for (int i = 0; i < 1000 && version->copies() == 2; ++i) tune();
  EXPECT_EQ(version->copies(), 1u);
}

}  // namespace
}  // namespace brim::serving
