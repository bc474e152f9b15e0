// For tests of api: calls without a connection, and a platform (repository, engine, fake runtime)
// to answer them.
//
// Answers may come on worker threads: Wait() returns when the call is answered. Not for production
// code.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/protocol.h"
#include "runtimes/host.h"
#include "serving/engine.h"
#include "serving/repository.h"

namespace brim::api {

// A clock that stands still, far in the future of the real one, so that no wait until one of its
// times ends by itself.
class StillClock final : public Clock {
 public:
  Time Now() const override { return Time(Duration(4'000'000'000'000'000'000)); }
  std::chrono::system_clock::time_point WallNow() const override {
    return std::chrono::system_clock::time_point(std::chrono::milliseconds(1700000000123));
  }
  Duration ThreadCpu() const override { return Duration(0); }
};

// A latch that opens when the call was answered.
class Answered {
 public:
  void Set() {
    const std::lock_guard lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return set_; });
  }
  bool is_set() {
    const std::lock_guard lock(mutex_);
    return set_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

class FakeHttpCall final : public io::HttpCall {
 public:
  FakeHttpCall(std::string method, std::string path, std::string_view body = {})
      : method_(std::move(method)), path_(std::move(path)), body_(body) {
    body_.Reserve(body.size() + 1);  // An empty body has readable padding too.
  }

  std::map<std::string, std::string, std::less<>> headers;
  Time received_at = StillClock().Now();
  std::string query_text;
  std::atomic<bool> gone{false};

  // After Wait().
  int status() const { return reply_.status; }
  std::string_view text() const { return reply_.body.view(); }
  const io::HttpReply& reply() const { return reply_; }
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : reply_.headers) {
      if (key == name) return value;
    }
    return "";
  }
  void Wait() { answered_.Wait(); }
  bool answered() { return answered_.is_set(); }

  std::string_view method() const override { return method_; }
  std::string_view path() const override { return path_; }
  std::string_view query() const override { return query_text; }
  std::string_view Header(std::string_view name) const override {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view() : found->second;
  }
  std::span<const std::byte> body() const override { return body_.span(); }
  Time received() const override { return received_at; }
  std::string_view peer() const override { return "127.0.0.1:1234"; }
  const std::atomic<bool>& cancelled() const override { return gone; }
  void Reply(io::HttpReply reply) override {
    EXPECT_FALSE(answered_.is_set()) << "answered twice";
    reply_ = std::move(reply);
    answered_.Set();
  }

 private:
  const std::string method_;
  const std::string path_;
  ByteBuffer body_;
  io::HttpReply reply_;
  Answered answered_;
};

class FakeGrpcCall final : public io::GrpcCall {
 public:
  explicit FakeGrpcCall(std::string method, std::string_view message = {})
      : method_(std::move(method)), message_(message) {
    message_.Reserve(message.size() + 1);
  }

  std::map<std::string, std::string, std::less<>> metadata;
  Time deadline_at = Time::max();
  Time received_at = StillClock().Now();
  std::atomic<bool> gone{false};
  std::atomic<std::size_t> unsent{0};

  // The next streamed message; what the last one pointed to is overwritten, as io's buffer is.
  void SetMessage(std::string_view message) {
    if (message_.size() != 0) std::memset(message_.data(), 0xEE, message_.size());
    message_ = ByteBuffer(message);
    message_.Reserve(message.size() + 1);
  }
  void Wait() { answered_.Wait(); }
  bool answered() { return answered_.is_set(); }
  // After Wait(). A unary answer is the one message written.
  const Status& status() const { return status_; }
  Duration retry_delay() const { return retry_delay_; }
  std::vector<std::string> written() {
    const std::lock_guard lock(mutex_);
    return written_;
  }

  std::string_view method() const override { return method_; }
  std::string_view Metadata(std::string_view name) const override {
    const auto found = metadata.find(name);
    return found == metadata.end() ? std::string_view() : found->second;
  }
  Time deadline() const override { return deadline_at; }
  Time received() const override { return received_at; }
  std::string_view peer() const override { return "127.0.0.1:1234"; }
  std::span<const std::byte> message() const override { return message_.span(); }
  const std::atomic<bool>& cancelled() const override { return gone; }
  void Write(ByteBuffer message) override {
    const std::lock_guard lock(mutex_);
    written_.emplace_back(message.view());
  }
  std::size_t UnsentBytes() const override { return unsent; }
  void Finish(const Status& status, Duration retry_delay) override {
    EXPECT_FALSE(answered_.is_set()) << "finished twice";
    status_ = status;
    retry_delay_ = retry_delay;
    answered_.Set();
  }
  void Reply(ByteBuffer message) override {
    Write(std::move(message));
    Finish(OkStatus(), Duration::zero());
  }

 private:
  const std::string method_;
  ByteBuffer message_;
  std::mutex mutex_;
  std::vector<std::string> written_;
  Status status_;
  Duration retry_delay_{0};
  Answered answered_;
};

// A model directory of the test's own with a repository over it, an engine, and the Services of
// both.
class Platform {
 public:
  Platform() : logger_(2, LogLevel::kOff, LogFormat::kText, clock_) {
    std::string pattern = ::testing::TempDir() + "brim-api-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~Platform() {
    engine_.reset();
    repository_.reset();
    std::filesystem::remove_all(directory_);
  }
  Platform(const Platform&) = delete;
  Platform& operator=(const Platform&) = delete;

  // A file of the directory, e.g. "m/1/model.fake". Before Start().
  void Write(const std::string& name, std::string_view text) const {
    const std::filesystem::path path = std::filesystem::path(directory_) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  // Loads what was written; `explicit_control` loads nothing.
  void Start(bool explicit_control = false) {
    runtimes::HostOptions host_options;
    host_options.plugin_dirs = {BRIM_PLUGIN_DIR};
    host_ = std::make_unique<runtimes::Host>(host_options);
    serving::RepositoryOptions options;
    options.path = directory_;
    options.explicit_control = explicit_control;
    options.poll = std::chrono::milliseconds(0);
    options.defaults.runtime = "fake";
    repository_ = std::make_unique<serving::Repository>(options, *host_, clock_, logger_);
    const Status status = repository_->Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
    repository_->WaitForFirstScan([](const serving::ModelStatus& model) {
      for (const auto& version : model.versions) {
        EXPECT_TRUE(version.status.ok()) << model.name << ": " << version.status.ToString();
      }
      EXPECT_TRUE(model.status.ok()) << model.name << ": " << model.status.ToString();
    });
    engine_ = std::make_unique<serving::Engine>(serving::EngineOptions{}, clock_, logger_);
    engine_->Start();
    services_.emplace(Services{*engine_, *repository_, clock_, logger_,
                               access_log_ != nullptr ? *access_log_ : logger_, "brim", "0.1.0"});
  }
  // Before Start(): where access lines go instead of nowhere.
  void SetAccessLog(const Logger* log) { access_log_ = log; }

  // After Start(): clients may register shared memory.
  void AllowSharedMemory(std::string key_prefix, std::uint64_t bytes_in_flight_max) {
    services_->shared_regions =
        std::make_shared<SharedRegions>(std::move(key_prefix), bytes_in_flight_max);
  }

  const Services& services() const { return *services_; }
  serving::Repository& repository() { return *repository_; }
  const std::string& directory() const { return directory_; }
  const Clock& clock() const { return clock_; }

 private:
  StillClock clock_;
  Logger logger_;
  const Logger* access_log_ = nullptr;
  std::string directory_;
  std::unique_ptr<runtimes::Host> host_;
  std::unique_ptr<serving::Repository> repository_;
  std::unique_ptr<serving::Engine> engine_;
  std::optional<Services> services_;
};

}  // namespace brim::api
