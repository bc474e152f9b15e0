// See card_sim.h.
#include "vgpu/sim/card_sim.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <queue>
#include <random>

namespace brim::vgpu {
namespace {

struct Launched {
  Ns left;  // GPU time still to run.
  Ns predicted;
  Ns whole;
  bool last_of_request;
};

struct Process {
  int tenant = 0;
  std::deque<Launched> queue;
  bool blocked = false;  // Waits for its queue to have room or to be empty.
  int in_request = 0;
  Ns request_began = -1;
  Ns tokens = 0;  // kPoll2018 has them per tenant; unused here.
};

// Something that happens at a time: a process acts, or the card's time slice ends.
struct Event {
  Ns at;
  std::uint64_t order;  // Ties in the order they were made.
  int process;          // -1: the card; -2: the poll.
  std::uint64_t version;
  bool operator>(const Event& other) const {
    return at != other.at ? at > other.at : order > other.order;
  }
};

class Run {
 public:
  Run(const CardSim& sim, const std::vector<Tenant>& tenants)
      : sim_(sim), tenants_(tenants), random_(sim.seed) {
    for (std::size_t t = 0; t < tenants.size(); ++t) {
      Runner runner;
      runner.cores = tenants[t].cores;
      runner.share = tenants[t].share;
      runner.priority = tenants[t].priority;
      runners_.push_back(runner);
      for (int p = 0; p < tenants[t].processes; ++p) {
        Process process;
        process.tenant = static_cast<int>(t);
        processes_.push_back(process);
        At(tenants[t].starts + static_cast<Ns>(processes_.size()) * 3 * kUs,
           static_cast<int>(processes_.size()) - 1);
      }
      window_from_ = std::max(window_from_, tenants[t].starts);
      if (tenants[t].stops > 0) window_to_ = std::min(window_to_, tenants[t].stops);
    }
    window_from_ += 200 * kMs;  // Let the start settle.
    window_to_ = std::min(window_to_, sim.length);
    result_.tenants.resize(tenants.size());
    tokens_.assign(tenants.size(), 0);
    polled_gpu_.assign(tenants.size(), 0);
    grant_.assign(tenants.size(), 0);
    if (sim.limiter == Limiter::kPoll2018) At(0, -2);
  }

  CardResult Go() {
    while (!events_.empty() && events_.top().at <= sim_.length) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      if (event.process == -1) {
        if (event.version == card_version_) CardStops();
      } else if (event.process == -2) {
        Poll();
      } else {
        Act(event.process);
      }
      if (running_ < 0) CardStarts();
    }
    result_.window = window_to_ - window_from_;
    return std::move(result_);
  }

 private:
  void At(Ns when, int process, std::uint64_t version = 0) {
    events_.push({when, order_++, process, version});
  }

  double Uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

  Ns Idle(const Tenant& tenant) {
    if (!tenant.random_idle) return tenant.idle;
    return static_cast<Ns>(static_cast<double>(tenant.idle) * -std::log(1 - Uniform()));
  }

  // How late the host runs a process that is to wake.
  Ns Late() {
    if (sim_.host_late == 0) return 0;
    const auto late =
        static_cast<Ns>(static_cast<double>(sim_.host_late) * -std::log(1 - Uniform()));
    return late + (Uniform() < sim_.host_stalls ? kHostStall : 0);
  }

  // ---- the host's side -------------------------------------------------------------------------
  void Act(int index) {
    Process& process = processes_[index];
    const Tenant& tenant = tenants_[process.tenant];
    if (tenant.stops > 0 && now_ >= tenant.stops) return;
    const bool graph = tenant.pattern == Pattern::kGraph;
    const int outstanding_max = graph ? std::max(1, sim_.queue / sim_.graph_kernels) : sim_.queue;
    if (static_cast<int>(process.queue.size()) >= outstanding_max) {
      process.blocked = true;
      return;
    }
    if (tenant.request > 0 && process.request_began < 0) process.request_began = now_;
    double cost = static_cast<double>(tenant.kernel) * (graph ? sim_.graph_kernels : 1);
    cost *= 1 + tenant.spread * (2 * Uniform() - 1);
    const auto whole = static_cast<Ns>(cost);
    const double guess = 1 + sim_.prediction_bias + sim_.prediction_noise * (2 * Uniform() - 1);
    const auto predicted = static_cast<Ns>(cost * guess);
    const Ns wait_until = Ask(process.tenant, predicted);
    if (wait_until > 0) return At(wait_until + 50 * kUs + Late(), index);  // The timer's slack.
    const bool last = tenant.request > 0 && ++process.in_request == tenant.request;
    process.queue.push_back({whole, predicted, whole, last});
    if (last || tenant.pattern == Pattern::kSync) {
      process.blocked = true;  // Until its queue is empty.
    } else {
      At(now_ + sim_.launch_cost, index);
    }
  }

  // 0: launch; else when to ask again.
  Ns Ask(int tenant, Ns predicted) {
    if (sim_.limiter == Limiter::kNone) return 0;
    if (sim_.limiter == Limiter::kPoll2018) {
      if (tenants_[tenant].cores >= 100) return 0;
      if (tokens_[tenant] < 0) return now_ + 10 * kMs;
      tokens_[tenant] -= kGridTokens;
      return 0;
    }
    Runner& runner = runners_[tenant];
    const Decision decision = Decide(runners_, tenant, card_busy_until_, predicted, now_);
    if (!decision.launch) {
      runner = AfterRefusal(runner, decision, now_);
      return decision.again_at;
    }
    runner = AfterLaunch(runner, decision, card_busy_until_, predicted, now_);
    card_busy_until_ = BusyAfter(card_busy_until_, predicted, now_);
    return 0;
  }

  // Every 100 ms: more tokens to who used less than its share, fewer to who used more.
  void Poll() {
    for (std::size_t t = 0; t < tenants_.size(); ++t) {
      const Ns used = total_gpu_.empty() ? 0 : total_gpu_[t] - polled_gpu_[t];
      polled_gpu_[t] += used;
      const double percent = static_cast<double>(used) / (100.0 * kMs) * 100;
      const double want = tenants_[t].cores;
      const double step = kGridTokens * 50 * std::max(1.0, std::abs(want - percent)) / 10;
      grant_[t] += static_cast<Ns>(percent < want ? step : -step);
      grant_[t] = std::clamp<Ns>(grant_[t], kGridTokens, kGridTokens * 100'000);
      tokens_[t] = std::min<Ns>(tokens_[t] + grant_[t], grant_[t]);
    }
    At(now_ + 100 * kMs, -2);
  }

  // ---- the card's side -------------------------------------------------------------------------
  void CardStarts() {
    for (std::size_t i = 1; i <= processes_.size(); ++i) {
      const int index = static_cast<int>((last_run_ + i) % processes_.size());
      if (processes_[index].queue.empty()) continue;
      running_ = index;
      run_from_ = now_;
      slice_end_ = now_ + sim_.time_slice;
      return Continue();
    }
  }

  void Continue() {
    const Ns left = processes_[running_].queue.front().left;
    kernel_from_ = now_;
    At(std::min(now_ + left, slice_end_), -1, ++card_version_);
  }

  void CardStops() {
    Process& process = processes_[running_];
    const int index = running_;
    Launched& kernel = process.queue.front();
    Count(process.tenant, kernel_from_, now_);
    kernel.left -= now_ - kernel_from_;
    if (kernel.left <= 0) Finish(index);
    if (!process.queue.empty() && now_ < slice_end_) return Continue();
    last_run_ = index;
    running_ = -1;
  }

  void Finish(int index) {
    Process& process = processes_[index];
    const Launched kernel = process.queue.front();
    process.queue.pop_front();
    const Tenant& tenant = tenants_[process.tenant];
    if (now_ >= window_from_ && now_ < window_to_) ++result_.tenants[process.tenant].kernels;
    if (sim_.limiter == Limiter::kArbiter) {
      Runner& runner = runners_[process.tenant];
      runner = AfterMeasure(runner, kernel.predicted, kernel.whole);
      card_busy_until_ += kernel.whole - kernel.predicted;
    }
    if (kernel.last_of_request) {
      process.in_request = 0;
      if (now_ >= window_from_) {
        result_.tenants[process.tenant].requests.push_back(now_ + sim_.sync_cost -
                                                           process.request_began);
      }
      process.request_began = -1;
      process.blocked = false;
      return At(now_ + sim_.sync_cost + Late() + Idle(tenant), index);
    }
    if (!process.blocked) return;
    if (tenant.pattern == Pattern::kSync && !process.queue.empty()) return;
    if (tenant.request > 0 && process.in_request == tenant.request) return;
    process.blocked = false;
    At(now_ + sim_.sync_cost + Late(), index);
  }

  void Count(int tenant, Ns from, Ns to) {
    if (total_gpu_.empty()) total_gpu_.assign(tenants_.size(), 0);
    total_gpu_[tenant] += to - from;
    const Ns inside = std::min(to, window_to_) - std::max(from, window_from_);
    if (inside <= 0) return;
    result_.tenants[tenant].gpu += inside;
    result_.busy += inside;
  }

  static constexpr Ns kGridTokens = 1000;

  const CardSim& sim_;
  const std::vector<Tenant>& tenants_;
  std::mt19937_64 random_;
  std::vector<Process> processes_;
  std::vector<Runner> runners_;
  std::vector<Ns> tokens_, grant_, polled_gpu_, total_gpu_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0, card_version_ = 0;
  Ns now_ = 0, card_busy_until_ = 0, run_from_ = 0, kernel_from_ = 0, slice_end_ = 0;
  Ns window_from_ = 0, window_to_ = INT64_MAX;
  int running_ = -1;
  std::size_t last_run_ = 0;
  CardResult result_;
};

}  // namespace

CardResult RunCard(const CardSim& sim, const std::vector<Tenant>& tenants) {
  return Run(sim, tenants).Go();
}

}  // namespace brim::vgpu
