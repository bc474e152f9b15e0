#include "loadgen.h"

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace brim::bench {
namespace {

constexpr std::size_t kBacklogMax = 1 << 20;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kDrain = 10 * kSecond;
constexpr std::int64_t kProbeTimeout = 60 * kSecond;

std::int64_t Read(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}
std::int64_t Now() { return Read(CLOCK_MONOTONIC); }

// The CPU clock of another process, ended threads included: clock_getcpuclockid(3)'s encoding.
std::int64_t CpuOf(int pid) {
  return Read(static_cast<clockid_t>((~static_cast<unsigned>(pid) << 3) | 2));
}

float Microseconds(std::int64_t ns) { return static_cast<float>(ns) / 1000; }

}  // namespace

Generator::Generator(LoadOptions options) : options_(std::move(options)), random_(options_.seed) {
  RequestShape shape = options_.request;
  const std::size_t models = std::max<std::size_t>(1, options_.models);
  double sum = 0;
  for (std::size_t i = 0; i < models; ++i) {
    if (options_.models > 0) {
      char suffix[32];
      std::snprintf(suffix, sizeof suffix, "_%03zu", i);
      shape.model = options_.request.model + suffix;
    }
    requests_.push_back(options_.grpc ? GrpcFrame(shape) : HttpRequest(shape));
    sum += 1 / std::pow(static_cast<double>(i + 1), options_.zipf);
    model_share_.push_back(sum);
  }
  if (!options_.request.shared_output.empty()) {
    shared_ = std::make_unique<SharedTensors>(
        options_.request, options_.request.shared_output_bytes, options_.connections);
    requests_.clear();
    for (std::size_t i = 0; i < options_.connections; ++i) {
      requests_.push_back(GrpcFrame(shared_->Place(options_.request, i)));
    }
  }
  report_.latency_us.reserve(1 << 20);
  poller_ = epoll_create1(EPOLL_CLOEXEC);
}

Generator::~Generator() { close(poller_); }

void Generator::Fail(const std::string& why) {
  ++report_.errors;
  if (report_.first_error.empty()) report_.first_error = why.empty() ? "no reason given" : why;
}

bool Generator::Connect() {
  for (std::size_t i = 0; i < options_.connections; ++i) {
    const int fd = ConnectLoopback(options_.port);
    if (fd < 0) {
      Fail("cannot connect to port " + std::to_string(options_.port) + ": " + std::strerror(errno));
      return false;
    }
    Peer peer;
    peer.connection = options_.grpc ? MakeGrpcConnection(fd, options_.streams, this)
                                    : MakeHttpConnection(fd, this);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    epoll_ctl(poller_, EPOLL_CTL_ADD, fd, &event);
    peers_.push_back(std::move(peer));
  }
  return true;
}

// One request to each model, one after the other: a load against wrong answers means nothing.
bool Generator::Probe() {
  for (std::size_t model = 0; model < requests_.size(); ++model) {
    const std::int64_t give_up = Now() + kProbeTimeout;
    SendOn(model % peers_.size(), model, Now());
    while (probed_ <= model && report_.errors == 0 && Now() < give_up) Poll(give_up);
    if (probed_ <= model && report_.errors == 0) Fail("no answer within 60 s");
    if (report_.errors > 0) return false;
  }
  return true;
}

bool Generator::Run() {
  if (shared_ != nullptr && !shared_->Register(options_.port)) {
    Fail(shared_->error());
    return false;
  }
  if (!Connect() || !Probe()) return false;
  RunWindow();
  if (shared_ != nullptr && !shared_->Check()) Fail(shared_->error());
  return true;
}

void Generator::RunWindow() {
  const std::int64_t start = Now();
  window_start_ns_ = start + static_cast<std::int64_t>(options_.warmup * kSecond);
  const std::int64_t window = static_cast<std::int64_t>(options_.seconds * kSecond);
  window_end_ns_ = window_start_ns_ + window;
  sending_ = options_.rate == 0;
  if (sending_) Fill();
  std::exponential_distribution<double> gap(options_.rate > 0 ? options_.rate : 1);
  const auto next_gap = [&] { return static_cast<std::int64_t>(gap(random_) * kSecond); };
  std::int64_t due = start + next_gap();
  std::int64_t cpu = 0, own_cpu = 0, opened = 0, now = start;
  for (; now < window_end_ns_; now = Now()) {
    if (opened == 0 && now >= window_start_ns_) {
      opened = now;
      report_.answers = 0;
      cpu = options_.pid > 0 ? CpuOf(options_.pid) : 0;
      own_cpu = Read(CLOCK_PROCESS_CPUTIME_ID);
    }
    std::int64_t until = opened == 0 ? window_start_ns_ : window_end_ns_;
    if (options_.rate > 0) {
      for (; due <= now && due < window_end_ns_; due += next_gap()) Arrive(due);
      FlushDirty();
      until = std::min(until, due);
    }
    Poll(until);
  }
  report_.wall_s = static_cast<double>(now - opened) / static_cast<double>(kSecond);
  if (options_.pid > 0 && report_.answers > 0) {
    report_.cpu_us = static_cast<double>(CpuOf(options_.pid) - cpu) / 1000 /
                     static_cast<double>(report_.answers);
  }
  const std::uint64_t answers = report_.answers;
  report_.own_cpu_us = static_cast<double>(Read(CLOCK_PROCESS_CPUTIME_ID) - own_cpu) / 1000 /
                       static_cast<double>(std::max<std::uint64_t>(answers, 1));
  sending_ = false;
  while (open_ + backlog_.size() > 0 && Now() < window_end_ns_ + kDrain) {
    Poll(window_end_ns_ + kDrain);
  }
  for (std::uint64_t i = open_ + backlog_.size(); i > 0; --i) Fail("no answer within 10 s");
  report_.answers = answers;
}

void Generator::Fill() {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    for (std::size_t s = 0; s < options_.streams && peers_[i].connection->HasRoom(); ++s) {
      SendOn(i, PickModel(), Now());
    }
  }
  FlushDirty();
}

std::size_t Generator::PickModel() {
  if (requests_.size() == 1 || shared_ != nullptr) return 0;
  const double point = std::uniform_real_distribution<double>(0, model_share_.back())(random_);
  const auto found = std::lower_bound(model_share_.begin(), model_share_.end(), point);
  return std::min(requests_.size() - 1, static_cast<std::size_t>(found - model_share_.begin()));
}

void Generator::Arrive(std::int64_t due_ns) {
  if (due_ns >= window_start_ns_) report_.lag_us.push_back(Microseconds(Now() - due_ns));
  const std::size_t model = PickModel();
  for (std::size_t i = 0; i < peers_.size() && backlog_.empty(); ++i) {
    turn_ = (turn_ + 1) % peers_.size();
    if (peers_[turn_].over || !peers_[turn_].connection->HasRoom()) continue;
    SendOn(turn_, model, due_ns);
    return;
  }
  if (backlog_.size() == kBacklogMax) {
    Fail("more than 2^20 requests wait for a connection");
    return;
  }
  backlog_.emplace_back(due_ns, model);
}

void Generator::SendOn(std::size_t connection, std::size_t model, std::int64_t since_ns) {
  if (free_slots_.empty()) {
    free_slots_.push_back(slots_.size());
    slots_.emplace_back();
  }
  const std::size_t slot = free_slots_.back();
  free_slots_.pop_back();
  slots_[slot] = {since_ns, connection, true};
  ++open_;
  Peer& peer = peers_[connection];
  peer.connection->Send(slot, requests_[shared_ != nullptr ? connection : model]);
  if (!peer.dirty) {
    peer.dirty = true;
    dirty_.push_back(connection);
  }
}

void Generator::OnAnswer(const Answer& answer) {
  const Slot slot = slots_[answer.request];
  slots_[answer.request].open = false;
  free_slots_.push_back(answer.request);
  --open_;
  const std::int64_t now = Now();
  if (report_.answer_bytes == 0 && answer.ok && answer.bytes >= options_.answer_bytes) {
    report_.answer_bytes = answer.bytes;
  }
  if (!answer.ok) {
    Fail(answer.error);
  } else if (answer.bytes != report_.answer_bytes) {
    Fail("an answer of " + std::to_string(answer.bytes) + " bytes, not " +
         std::to_string(std::max(report_.answer_bytes, options_.answer_bytes)));
  } else {
    ++probed_;
    ++report_.answers;
    const std::int64_t counted = options_.rate > 0 ? slot.since_ns : now;
    if (counted >= window_start_ns_ && counted < window_end_ns_) {
      report_.latency_us.push_back(Microseconds(now - slot.since_ns));
    }
  }
  if (sending_) {
    SendOn(slot.connection, PickModel(), now);
  } else if (!backlog_.empty()) {
    const auto [due, model] = backlog_.front();
    backlog_.pop_front();
    SendOn(slot.connection, model, due);
  }
}

void Generator::FlushDirty() {
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    const std::size_t at = dirty_[i];
    Peer& peer = peers_[at];
    peer.dirty = false;
    if (peer.over) continue;
    if (!peer.connection->Flush()) {
      Lose(at);
      continue;
    }
    if (const bool wants = peer.connection->WantsWrite(); wants != peer.writing) {
      peer.writing = wants;
      epoll_event event{};
      event.events = EPOLLIN | (wants ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
      event.data.u64 = at;
      epoll_ctl(poller_, EPOLL_CTL_MOD, peer.connection->fd(), &event);
    }
  }
  dirty_.clear();
}

void Generator::Lose(std::size_t connection) {
  peers_[connection].over = true;
  epoll_ctl(poller_, EPOLL_CTL_DEL, peers_[connection].connection->fd(), nullptr);
  Fail("the server closed a connection");
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].open || slots_[i].connection != connection) continue;
    slots_[i].open = false;
    free_slots_.push_back(i);
    --open_;
    Fail("the server closed a connection");
  }
}

void Generator::HandleEvent(std::uint32_t events, std::size_t connection) {
  Peer& peer = peers_[connection];
  if (peer.over) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !peer.connection->OnReadable()) {
    Lose(connection);
    return;
  }
  if (!peer.dirty) {  // Window updates, or room in the socket.
    peer.dirty = true;
    dirty_.push_back(connection);
  }
}

void Generator::Poll(std::int64_t until_ns) {
  FlushDirty();
  const std::int64_t wait = std::max<std::int64_t>(0, until_ns - Now());
  const timespec timeout{wait / kSecond, wait % kSecond};
  epoll_event events[128];
  const int count = epoll_pwait2(poller_, events, 128, &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    HandleEvent(events[i].events, static_cast<std::size_t>(events[i].data.u64));
    FlushDirty();
  }
}

}  // namespace brim::bench
