// The fleet simulation. Servers do not wait for each other, so each is played alone over the whole
// day: arrivals of its models in time order, a heap of executors by the time they are free. What
// ran when is kept per card, then swept once: busy time is the union, and each instant is shared
// equally by the processes that ran in it. O(requests x models per server + batches log batches).
#include "planner/replay/fleet_simulate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <tuple>

namespace brim::planner {
namespace {

struct Run {  // A batch on a card.
  double begin, end;
  std::int32_t share_milli;
  std::int32_t model;
};

// Which requests of a model go to which of its servers: each next one to the server that is
// furthest behind its part.
class Router {
 public:
  Router(const Fleet& fleet, const FleetPlan& plan) : targets_(fleet.models.size()) {
    for (std::size_t s = 0; s < plan.servers.size(); ++s) {
      for (const PlanMember& member : plan.servers[s].members) {
        targets_[member.model].push_back({static_cast<std::int32_t>(s), member.part, 0});
      }
    }
  }

  // For each server and each of its members the arrivals, ascending.
  std::vector<std::vector<std::vector<double>>> Split(const FleetPlan& plan,
                                                      const Streams& streams) {
    std::vector<std::vector<std::vector<double>>> out(plan.servers.size());
    for (std::size_t s = 0; s < out.size(); ++s) out[s].resize(plan.servers[s].members.size());
    for (std::size_t m = 0; m < streams.size(); ++m) {
      for (Target& target : targets_[m]) {
        const auto& members = plan.servers[target.server].members;
        for (std::size_t i = 0; i < members.size(); ++i) {
          if (members[i].model == static_cast<std::int32_t>(m))
            target.slot = &out[target.server][i];
        }
      }
      for (const double t : streams[m]) Next(m)->push_back(t);
    }
    return out;
  }

 private:
  struct Target {
    std::int32_t server;
    double part;
    double credit;
    std::vector<double>* slot = nullptr;
  };

  std::vector<double>* Next(std::size_t m) {
    Target* best = nullptr;
    for (Target& target : targets_[m]) {
      target.credit += target.part;
      if (best == nullptr || target.credit > best->credit + 1e-12) best = &target;
    }
    best->credit -= 1;
    return best->slot;
  }

  std::vector<std::vector<Target>> targets_;
};

class ServerPlay {
 public:
  ServerPlay(const FleetSpec& spec, const Fleet& fleet, const PlanServer& server, double slowdown,
             const std::vector<std::vector<double>>& arrivals, FleetOutcome* outcome,
             std::vector<double>* latencies, std::vector<Run>* runs)
      : server_(server),
        slowdown_(slowdown),
        arrivals_(arrivals),
        outcome_(*outcome),
        latencies_(*latencies),
        runs_(*runs) {
    for (const PlanMember& member : server.members) {
      const ServiceProfile& p = spec.profiles[fleet.models[member.model].profile];
      curves_.push_back(server.card < 0 ? nullptr : p.At(server.share_milli));
      cpu_s_.push_back(p.cpu_s);
      slo_s_.push_back(p.slo_s);
    }
    head_.assign(server.members.size(), 0);
    tail_.assign(server.members.size(), 0);
    for (std::int32_t i = 0; i < server.executors; ++i) free_.push(0);
  }

  void Play() {
    for (;;) {
      double now = free_.top();
      Arrive(now);
      std::int32_t next = Earliest();
      if (next < 0) {
        now = NextArrival();
        if (now == kNever) return;
        Arrive(now);
        next = Earliest();
      }
      free_.pop();
      free_.push(Serve(next, now));
    }
  }

 private:
  static constexpr double kNever = 1e300;

  double Service(std::size_t i, std::size_t n) const {
    if (curves_[i] == nullptr) return cpu_s_[i] * static_cast<double>(n);
    return curves_[i]->service_s[n - 1] * slowdown_;
  }

  void Arrive(double now) {
    for (std::size_t i = 0; i < arrivals_.size(); ++i) {
      while (tail_[i] < arrivals_[i].size() && arrivals_[i][tail_[i]] <= now) ++tail_[i];
    }
  }
  double NextArrival() const {
    double next = kNever;
    for (std::size_t i = 0; i < arrivals_.size(); ++i) {
      if (tail_[i] < arrivals_[i].size()) next = std::min(next, arrivals_[i][tail_[i]]);
    }
    return next;
  }
  // The member whose oldest waiting request is due first; -1: nobody waits.
  std::int32_t Earliest() const {
    std::int32_t best = -1;
    double due = kNever;
    for (std::size_t i = 0; i < arrivals_.size(); ++i) {
      if (head_[i] == tail_[i]) continue;
      const double deadline = arrivals_[i][head_[i]] + slo_s_[i];
      if (deadline < due) best = static_cast<std::int32_t>(i), due = deadline;
    }
    return best;
  }

  // Runs one batch from `now`; when its executor is free again.
  double Serve(std::int32_t member, double now) {
    const auto i = static_cast<std::size_t>(member);
    const std::int32_t model = server_.members[i].model;
    ModelOutcome& out = outcome_.models[model];
    while (head_[i] < tail_[i] && arrivals_[i][head_[i]] + slo_s_[i] < now + Service(i, 1)) {
      ++head_[i];
      ++out.requests;
      ++out.dropped;
    }
    std::size_t n = std::min<std::size_t>(tail_[i] - head_[i], server_.members[i].batch_max);
    if (n == 0) return now;
    // Not so large a batch that its oldest request is late for the company.
    while (n > 1 && arrivals_[i][head_[i]] + slo_s_[i] < now + Service(i, n)) --n;
    const double end = now + Service(i, n);
    for (std::size_t k = 0; k < n; ++k, ++head_[i]) {
      const double latency = end - arrivals_[i][head_[i]];
      ++out.requests;
      ++(latency <= slo_s_[i] ? out.in_time : out.late);
      latencies_.push_back(latency);
    }
    if (server_.card < 0) {
      outcome_.cpu_busy_s += end - now;
    } else {
      runs_.push_back({now, end, server_.share_milli, model});
    }
    return end;
  }

  const PlanServer& server_;
  const double slowdown_;
  const std::vector<std::vector<double>>& arrivals_;
  FleetOutcome& outcome_;
  std::vector<double>& latencies_;
  std::vector<Run>& runs_;
  std::vector<const ShareProfile*> curves_;
  std::vector<double> cpu_s_, slo_s_;
  std::vector<std::size_t> head_, tail_;  // Waiting: [head, tail).
  std::priority_queue<double, std::vector<double>, std::greater<>> free_;
};

// One card's runs, cut at the window's end.
void Sweep(std::vector<Run> runs, double window_s, CardOutcome* card,
           std::vector<ModelOutcome>* models) {
  std::vector<std::tuple<double, int, std::size_t>> edges;  // Time, 0 ends before 1 begins, run.
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].begin >= window_s) continue;
    edges.emplace_back(runs[i].begin, 1, i);
    edges.emplace_back(std::min(runs[i].end, window_s), 0, i);
  }
  std::sort(edges.begin(), edges.end());
  std::vector<std::size_t> active;
  double since = 0;
  for (const auto& [time, begins, run] : edges) {
    const double span = time - since;
    if (!active.empty() && span > 0) {
      card->busy_s += span;
      for (const std::size_t a : active) {
        card->active_s += span * runs[a].share_milli / 1000;
        (*models)[runs[a].model].work_s += span / static_cast<double>(active.size());
      }
    }
    since = time;
    if (begins != 0) {
      active.push_back(run);
    } else {
      active.erase(std::find(active.begin(), active.end(), run));
    }
  }
}

double Percentile99(std::vector<double>* values) {
  if (values->empty()) return 0;
  const auto at = values->begin() + static_cast<std::ptrdiff_t>((values->size() - 1) * 99 / 100);
  std::nth_element(values->begin(), at, values->end());
  return *at;
}

}  // namespace

FleetOutcome SimulateFleet(const FleetSpec& spec, const Fleet& fleet, const FleetPlan& plan,
                           const Streams& streams) {
  FleetOutcome outcome;
  outcome.window_s = kHours * spec.seconds_per_hour;
  outcome.models.resize(fleet.models.size());
  outcome.cards.resize(plan.cards);
  std::vector<std::int32_t> servers(plan.cards);
  for (const PlanServer& server : plan.servers) {
    if (server.card >= 0) ++servers[server.card];
  }
  const auto arrivals = Router(fleet, plan).Split(plan, streams);
  std::vector<double> latencies;
  std::vector<std::vector<Run>> runs(plan.cards);
  std::vector<Run> cpu_runs;
  for (std::size_t s = 0; s < plan.servers.size(); ++s) {
    const PlanServer& server = plan.servers[s];
    const double slowdown =
        server.card < 0 ? 1 : 1 + spec.interference * (servers[server.card] - 1);
    ServerPlay(spec, fleet, server, slowdown, arrivals[s], &outcome, &latencies,
               server.card < 0 ? &cpu_runs : &runs[server.card])
        .Play();
  }
  for (std::int32_t c = 0; c < plan.cards; ++c) {
    Sweep(std::move(runs[c]), outcome.window_s, &outcome.cards[c], &outcome.models);
  }
  outcome.p99_s = Percentile99(&latencies);
  return outcome;
}

std::int64_t FleetOutcome::requests() const {
  std::int64_t sum = 0;
  for (const ModelOutcome& model : models) sum += model.requests;
  return sum;
}

std::int64_t FleetOutcome::violations() const {
  std::int64_t sum = 0;
  for (const ModelOutcome& model : models) sum += model.late + model.dropped;
  return sum;
}

double FleetOutcome::goodput_per_s() const {
  return static_cast<double>(requests() - violations()) / window_s;
}

double FleetOutcome::attainment() const {
  const std::int64_t all = requests();
  return all == 0 ? 1 : static_cast<double>(all - violations()) / static_cast<double>(all);
}

double FleetOutcome::model_attainment() const {
  double sum = 0;
  std::int64_t counted = 0;
  for (const ModelOutcome& model : models) {
    if (model.requests > 0) sum += model.attainment(), ++counted;
  }
  return counted == 0 ? 1 : sum / static_cast<double>(counted);
}

double FleetOutcome::mean_busy() const {
  double sum = 0;
  for (const CardOutcome& card : cards) sum += card.busy_s / window_s;
  return cards.empty() ? 0 : sum / static_cast<double>(cards.size());
}

double FleetOutcome::mean_active() const {
  double sum = 0;
  for (const CardOutcome& card : cards) sum += card.active_s / window_s;
  return cards.empty() ? 0 : sum / static_cast<double>(cards.size());
}

double FleetOutcome::work_s() const {
  double sum = 0;
  for (const ModelOutcome& model : models) sum += model.work_s;
  return sum;
}

std::int32_t FleetOutcome::worst_model(std::int64_t requests_min) const {
  std::int32_t worst = -1;
  for (std::size_t m = 0; m < models.size(); ++m) {
    if (models[m].requests < requests_min) continue;
    if (worst < 0 || models[m].attainment() < models[worst].attainment()) {
      worst = static_cast<std::int32_t>(m);
    }
  }
  return worst;
}

Identity CheckIdentity(const FleetOutcome& before, std::int32_t cards_before,
                       const FleetOutcome& after, std::int32_t cards_after) {
  Identity identity;
  if (before.work_s() <= 0 || before.mean_busy() <= 0 || cards_before <= 0) {
    identity.error = 1;
    return identity;
  }
  identity.u_ratio = after.mean_busy() / before.mean_busy();
  identity.work_ratio = after.work_s() / before.work_s();
  identity.cards_ratio = static_cast<double>(cards_after) / cards_before;
  // Without cards there is no mean; then no work may be left either.
  const double expected =
      cards_after == 0 ? identity.work_ratio : identity.work_ratio / identity.cards_ratio;
  identity.error = std::abs(identity.u_ratio - expected) / std::max(1e-12, std::abs(expected));
  if (identity.u_ratio == expected) identity.error = 0;
  return identity;
}

}  // namespace brim::planner
