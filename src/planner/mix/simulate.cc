#include "planner/mix/simulate.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <queue>

#include "planner/cluster/random.h"

namespace brim::planner {

namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

struct Event {
  double at_ms = 0;
  std::uint64_t order = 0;    // Equal times: first come, first served.
  std::int32_t model = -1;    // An arrival, or
  std::int32_t process = -1;  // a process that is free again.
  bool operator>(const Event& other) const {
    return at_ms != other.at_ms ? at_ms > other.at_ms : order > other.order;
  }
};

// Latencies by bucket: 64 to a factor of two, so a percentile is read 1.1 % high at most.
class Latencies {
 public:
  void Add(double ms) {
    const int bucket = ms <= kLeastMs ? 0 : static_cast<int>(std::log2(ms / kLeastMs) * kPerOctave);
    const std::size_t at = static_cast<std::size_t>(std::min(bucket, kBuckets - 1));
    if (at >= counts_.size()) counts_.resize(at + 1);
    ++counts_[at];
    ++sum_;
  }
  // The bucket's upper end.
  double Percentile(std::int64_t percent) const {
    const std::int64_t rank = (sum_ * percent + 99) / 100;
    std::int64_t seen = 0;
    for (std::size_t at = 0; at < counts_.size(); ++at) {
      seen += counts_[at];
      if (seen >= rank && seen > 0)
        return kLeastMs * std::exp2(static_cast<double>(at + 1) / kPerOctave);
    }
    return 0;
  }

 private:
  static constexpr double kLeastMs = 1.0 / 64;
  static constexpr int kPerOctave = 64;
  static constexpr int kBuckets = 36 * kPerOctave;  // To a day and more.
  std::vector<std::int64_t> counts_;
  std::int64_t sum_ = 0;
};

// The batch that answers most requests per millisecond, by how many wait.
std::vector<int> BestTakes(const SimulatedTenant& tenant) {
  std::vector<int> takes(static_cast<std::size_t>(tenant.batch_max) + 1, 1);
  int best = 1;
  for (int n = 1; n <= tenant.batch_max; ++n) {
    const double best_ms = (*tenant.batch_ms)[static_cast<std::size_t>(best)];
    if (n * best_ms >= best * (*tenant.batch_ms)[static_cast<std::size_t>(n)]) best = n;
    takes[static_cast<std::size_t>(n)] = best;
  }
  return takes;
}

class Simulation {
 public:
  Simulation(std::span<const SimulatedModel> models, std::span<const SimulatedProcess> processes,
             SimulatedTime time, std::uint64_t seed)
      : models_(models), end_ms_(time.seconds * 1000), warm_ms_(time.warm_s * 1000) {
    for (std::size_t m = 0; m < models.size(); ++m) {
      states_.emplace_back(seed * 0x9E3779B97F4A7C15ull + m * 0xD1B54A32D192ED03ull + 1);
    }
    for (std::size_t p = 0; p < processes.size(); ++p) {
      processes_.emplace_back().what = &processes[p];
      for (std::size_t t = 0; t < processes[p].tenants.size(); ++t) {
        const SimulatedTenant& tenant = processes[p].tenants[t];
        processes_[p].takes.push_back(BestTakes(tenant));
        states_[static_cast<std::size_t>(tenant.model)].servers.push_back(
            {static_cast<std::int32_t>(p), (*tenant.batch_ms)[1] * processes[p].slowdown});
      }
    }
    for (std::size_t m = 0; m < models.size(); ++m) {
      std::vector<Server>& servers = states_[m].servers;
      std::stable_sort(servers.begin(), servers.end(),
                       [](const Server& a, const Server& b) { return a.first_ms < b.first_ms; });
      NextArrival(static_cast<std::int32_t>(m), 0);
    }
  }

  std::vector<Outcome> Run(const Progress& progress) {
    constexpr std::uint64_t kEventsPerReport = 1 << 20;
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      if (progress && order_ % kEventsPerReport == 0) {
        progress("simulated seconds", static_cast<std::int64_t>(event.at_ms / 1000),
                 static_cast<std::int64_t>(end_ms_ / 1000));
      }
      if (event.process >= 0) {
        processes_[static_cast<std::size_t>(event.process)].busy = false;
        Dispatch(event.process, event.at_ms);
      } else {
        Arrive(event.model, event.at_ms);
      }
    }
    for (std::size_t m = 0; m < states_.size(); ++m) {  // A model that nothing serves.
      for (const double arrived : states_[m].queue)
        Answer(&states_[m], m, arrived, kNoLimit, 0, true);
    }
    std::vector<Outcome> outcomes;
    for (State& state : states_) outcomes.push_back(Sum(&state));
    return outcomes;
  }

 private:
  struct Server {
    std::int32_t process = 0;
    double first_ms = 0;  // Of a batch of one.
  };
  struct State {  // Of a model.
    explicit State(std::uint64_t seed) : random(seed) {}
    Random random;
    std::deque<double> queue;  // Arrival times. At most rate * objective stay: later ones are shed.
    std::vector<Server> servers;
    Latencies latencies;
    std::size_t recorded = 0;
    Outcome outcome;
    double wait_sum = 0, latency_sum = 0, batch_sum = 0;
    std::int64_t batches = 0;
  };
  struct Process {
    const SimulatedProcess* what = nullptr;
    std::vector<std::vector<int>> takes;  // Per tenant.
    bool busy = false;
    std::int32_t swapped_in = -1;  // Tenant.
  };

  void Push(double at_ms, std::int32_t model, std::int32_t process) {
    events_.push({at_ms, order_++, model, process});
  }

  void NextArrival(std::int32_t m, double after_ms) {
    const SimulatedModel& model = models_[static_cast<std::size_t>(m)];
    State& state = states_[static_cast<std::size_t>(m)];
    double at_ms = kNoLimit;
    if (model.arrivals != nullptr) {
      if (state.recorded < model.arrivals->size())
        at_ms = (*model.arrivals)[state.recorded++] * 1000;
    } else if (model.rate > 0) {
      at_ms = after_ms + state.random.Exponential() * 1000 / model.rate;
    }
    if (at_ms < end_ms_) Push(at_ms, m, -1);
  }

  void Arrive(std::int32_t m, double now) {
    State& state = states_[static_cast<std::size_t>(m)];
    state.queue.push_back(now);
    NextArrival(m, now);
    for (const Server& server : state.servers) {
      if (processes_[static_cast<std::size_t>(server.process)].busy) continue;
      Dispatch(server.process, now);
      return;
    }
  }

  void Answer(State* state, std::size_t m, double arrived, double begun, double done, bool shed) {
    if (arrived < warm_ms_) return;
    Outcome& outcome = state->outcome;
    ++outcome.requests;
    const double latency = shed && begun == kNoLimit ? models_[m].slo_ms : done - arrived;
    state->latencies.Add(latency);
    if (shed) {
      ++outcome.shed;
      return;
    }
    if (latency <= models_[m].slo_ms) ++outcome.in_slo;
    state->wait_sum += begun - arrived;
    state->latency_sum += latency;
  }

  void Shed(std::size_t m, double now) {
    State& state = states_[m];
    while (!state.queue.empty() && state.queue.front() + models_[m].slo_ms < now) {
      Answer(&state, m, state.queue.front(), now, now, true);
      state.queue.pop_front();
    }
  }

  void Dispatch(std::int32_t p, double now) {
    Process& process = processes_[static_cast<std::size_t>(p)];
    std::size_t chosen = process.what->tenants.size();
    double earliest = kNoLimit;
    for (std::size_t t = 0; t < process.what->tenants.size(); ++t) {
      const std::size_t m = static_cast<std::size_t>(process.what->tenants[t].model);
      Shed(m, now);
      if (states_[m].queue.empty()) continue;
      const double deadline = states_[m].queue.front() + models_[m].slo_ms;
      if (chosen < process.what->tenants.size() && deadline >= earliest) continue;
      earliest = deadline;
      chosen = t;
    }
    if (chosen == process.what->tenants.size()) return;
    const SimulatedTenant& tenant = process.what->tenants[chosen];
    const std::size_t m = static_cast<std::size_t>(tenant.model);
    State& state = states_[m];
    const std::size_t most =
        std::min(state.queue.size(), static_cast<std::size_t>(tenant.batch_max));
    const int batch = process.takes[chosen][most];
    double done =
        now + (*tenant.batch_ms)[static_cast<std::size_t>(batch)] * process.what->slowdown;
    if (tenant.load_ms > 0 && process.swapped_in != static_cast<std::int32_t>(chosen)) {
      done += tenant.load_ms;
      process.swapped_in = static_cast<std::int32_t>(chosen);
    }
    for (int i = 0; i < batch; ++i) {
      Answer(&state, m, state.queue.front(), now, done, false);
      state.queue.pop_front();
    }
    state.batch_sum += batch;
    ++state.batches;
    process.busy = true;
    Push(done, -1, p);
  }

  static Outcome Sum(State* state) {
    Outcome outcome = state->outcome;
    const double answered = static_cast<double>(outcome.requests - outcome.shed);
    if (answered > 0) {
      outcome.wait_mean_ms = state->wait_sum / answered;
      outcome.mean_ms = state->latency_sum / answered;
    }
    if (state->batches > 0)
      outcome.batch_mean = state->batch_sum / static_cast<double>(state->batches);
    outcome.p99_ms = state->latencies.Percentile(99);
    return outcome;
  }

  std::span<const SimulatedModel> models_;
  double end_ms_, warm_ms_;
  std::vector<State> states_;
  std::vector<Process> processes_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
};

}  // namespace

std::vector<Outcome> Simulate(std::span<const SimulatedModel> models,
                              std::span<const SimulatedProcess> processes, SimulatedTime time,
                              std::uint64_t seed, const Progress& progress) {
  return Simulation(models, processes, time, seed).Run(progress);
}

double SimulatedSeconds(std::span<const SimulatedModel> models, const MixOptions& options) {
  double sum = 0, least = kNoLimit, recorded_s = 0;
  for (const SimulatedModel& model : models) {
    if (model.arrivals != nullptr) {
      if (!model.arrivals->empty())
        recorded_s = std::max(recorded_s, model.arrivals->back() + 1e-9);
      continue;
    }
    if (model.rate <= 0) continue;
    sum += model.rate;
    least = std::min(least, model.rate);
  }
  if (recorded_s > 0 || sum <= 0) return recorded_s;
  const double wanted =
      std::max(options.seconds_min, static_cast<double>(options.requests_min) / least);
  const double allowed = static_cast<double>(options.requests_max) / sum;
  return std::min({wanted, options.seconds_max, allowed});
}

}  // namespace brim::planner
