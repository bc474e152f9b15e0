// The replay of requests. Each request is given to a card when it arrives: to the one on which it
// is expected to start first, counting the mean load time where the model is absent; among equals
// to the one that loses least by it. What is expected is only what a scheduler could know: the mean
// service time that the model has shown so far, whether a card is idle, what stands in its queue.
// What happens is the recorded service time and a measured load time drawn by the seed.
//
// Forecasts are per model and hour: the requests of the same hour one day before (of the hour
// before, on the first day), times a log-normal error of the given deviation and median 1. They
// steer which model goes (cost) and how many cards are in use (resizing). A card that is given back
// finishes its queue first; of its models those that no other card holds and that are forecast to
// be used are loaded onto cards that stay: counted as migrations, and their loads take card time.
// O(requests x cards x resident models).
#include "planner/replay/model_replay.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <tuple>

#include "planner/cluster/random.h"

namespace brim::planner {
namespace {

constexpr double kHourS = 3600;
constexpr double kOwnCardsMax = 10'000;  // Of one model.

struct Resident {
  std::int32_t model;
  double used_s;  // Last put to use.
};

struct Card {
  double free_s = 0;      // When its queue is really done.
  double expected_s = 0;  // When a scheduler expects that.
  bool active = true;
  std::vector<Resident> residents;
};

struct Running {  // Or still waiting; ordered by when it is answered.
  double end_s;
  std::int32_t model;
  double service_s;
  friend bool operator>(const Running& a, const Running& b) { return a.end_s > b.end_s; }
};

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

class ModelPlayer {
 public:
  ModelPlayer(const RequestStream& stream, const ModelReplayOptions& options)
      : stream_(stream),
        options_(options),
        random_(options.seed),
        load_mean_(Mean(options.load_s)),
        served_(stream.models.size()),
        served_s_(stream.models.size()) {
    replay_.models.resize(stream.models.size());
    if (!stream.requests.empty()) {
      replay_.begin_s = stream.requests.front().t_s;
      replay_.end_s = stream.requests.back().t_s;
    }
    Forecast();
    if (options.own_cards) {
      OwnCards();
    } else {
      cards_.resize(options.cards);
    }
  }

  ModelReplay Play(const Progress& progress) {
    double since = replay_.begin_s;
    double next_resize = replay_.begin_s;
    const auto total = static_cast<std::int64_t>(stream_.requests.size());
    std::int64_t done = 0;
    NoteCards(since);
    for (const ModelRequest& request : stream_.requests) {
      if (progress && done % 1024 == 0) progress("requests", done, total);
      ++done;
      while (Resizes() && next_resize <= request.t_s) {
        Count(&since, next_resize);
        Resize(next_resize);
        next_resize += options_.resize_every_s;
      }
      Serve(request);
    }
    Count(&since, replay_.end_s);
    Waits();
    return std::move(replay_);
  }

 private:
  bool Resizes() const { return options_.resize_every_s > 0 && !options_.own_cards; }
  std::int32_t Active() const {
    return static_cast<std::int32_t>(
        std::count_if(cards_.begin(), cards_.end(), [](const Card& c) { return c.active; }));
  }

  void OwnCards() {
    std::vector<std::vector<double>> work(stream_.models.size(),
                                          std::vector<double>(forecast_.size()));
    for (const ModelRequest& r : stream_.requests) work[r.model][HourOf(r.t_s)] += r.service_s;
    for (std::size_t m = 0; m < work.size(); ++m) {
      const double busiest = *std::max_element(work[m].begin(), work[m].end()) / kHourS;
      const double cards = std::clamp(std::ceil(options_.headroom * busiest), 1.0, kOwnCardsMax);
      for (int i = 0; i < static_cast<int>(cards); ++i) {
        cards_.push_back({});
        cards_.back().residents.push_back({static_cast<std::int32_t>(m), 0});
      }
    }
  }

  // Requests per model in each hour of the window, then as forecast from the day before.
  void Forecast() {
    const auto hours = static_cast<std::size_t>((replay_.end_s - replay_.begin_s) / kHourS) + 1;
    std::vector<std::vector<double>> counts(hours, std::vector<double>(stream_.models.size()));
    std::vector<double> work(hours);
    for (const ModelRequest& r : stream_.requests) {
      const std::size_t h = HourOf(r.t_s);
      counts[h][r.model] += 1;
      work[h] += r.service_s;
    }
    forecast_ = counts;
    forecast_work_s_ = work;
    for (std::size_t h = hours; h-- > 0;) {
      for (std::size_t m = 0; m < stream_.models.size(); ++m) {
        const double seen = h >= 24 ? counts[h - 24][m] : h >= 1 ? counts[h - 1][m] : 0;
        forecast_[h][m] = seen * Error();
      }
      const double seen = h >= 24 ? std::max(work[h - 24], work[h - 1]) : h >= 1 ? work[h - 1] : 0;
      forecast_work_s_[h] = seen * Error();
    }
  }
  double Error() {
    return options_.forecast_error > 0 ? std::exp(options_.forecast_error * random_.Normal()) : 1;
  }
  std::size_t HourOf(double t) const {
    return static_cast<std::size_t>(std::max(0.0, t - replay_.begin_s) / kHourS);
  }
  double ForecastOf(std::int32_t model, double t) const {
    return forecast_[std::min(HourOf(t), forecast_.size() - 1)][model];
  }

  // Card-hours of what was in use since the last call: active cards, and others still at work.
  void Count(double* since, double now) {
    for (const Card& card : cards_) {
      const double until = card.active ? now : std::min(now, card.free_s);
      replay_.card_h += std::max(0.0, until - *since) / kHourS;
    }
    *since = now;
  }
  void NoteCards(double t) {
    const std::int32_t active = Active();
    replay_.cards = std::max(replay_.cards, active);
    replay_.cards_over_time.emplace_back(t, active);
  }

  static bool Holds(const Card& card, std::int32_t model) {
    return std::any_of(card.residents.begin(), card.residents.end(),
                       [model](const Resident& r) { return r.model == model; });
  }

  // How much it matters that this model goes.
  double Worth(const Resident& r, double now) const {
    return options_.eviction == Eviction::kLru ? r.used_s : ForecastOf(r.model, now) * load_mean_;
  }
  // The worth of what a load onto the card would throw out; -1: there is room.
  double Loses(const Card& card, double now) const {
    if (static_cast<std::int32_t>(card.residents.size()) < options_.resident_max) return -1;
    double least = Worth(card.residents.front(), now);
    for (const Resident& r : card.residents) least = std::min(least, Worth(r, now));
    return least;
  }

  // The card on which the request is expected to start first; sets when.
  std::size_t Choose(const ModelRequest& request, double* start) const {
    std::size_t best = 0;
    std::tuple<double, bool, double> best_key;
    bool found = false;
    for (std::size_t c = 0; c < cards_.size(); ++c) {
      const Card& card = cards_[c];
      if (!card.active) continue;
      const bool holds = Holds(card, request.model);
      if (options_.own_cards && !holds) continue;
      // An idle card is seen to be idle. One that is busy for longer than expected has, for all
      // that is known, another mean service before it.
      const bool busy = card.free_s > request.t_s;
      double free = request.t_s;
      if (busy) free = card.expected_s > free ? card.expected_s : free + MeanOfAll();
      const double loses = holds ? -2 : Loses(card, request.t_s);
      const std::tuple<double, bool, double> key(free + (holds ? 0 : load_mean_), busy, loses);
      if (!found || key < best_key) best = c, best_key = key, found = true;
    }
    *start = std::get<0>(best_key);
    return best;
  }

  double Load(Card* card, std::int32_t model, double now) {
    if (static_cast<std::int32_t>(card->residents.size()) >= options_.resident_max) {
      const auto goes = std::min_element(card->residents.begin(), card->residents.end(),
                                         [&](const Resident& a, const Resident& b) {
                                           return std::make_pair(Worth(a, now), a.used_s) <
                                                  std::make_pair(Worth(b, now), b.used_s);
                                         });
      card->residents.erase(goes);
    }
    card->residents.push_back({model, now});
    return options_.load_s[random_.Below(options_.load_s.size())];
  }

  // The part of [begin, end) within the window, in hours.
  double Within(double begin, double end) const {
    return std::max(0.0, std::min(end, replay_.end_s) - begin) / kHourS;
  }

  // A service time is known once the request is answered.
  void Learn(double now) {
    while (!running_.empty() && running_.top().end_s <= now) {
      answers_ += 1;
      answers_s_ += running_.top().service_s;
      served_[running_.top().model] += 1;
      served_s_[running_.top().model] += running_.top().service_s;
      running_.pop();
    }
  }

  void Serve(const ModelRequest& request) {
    Learn(request.t_s);
    ModelService& out = replay_.models[request.model];
    ++out.requests;
    double expected_start = 0;
    Card& card = cards_[Choose(request, &expected_start)];
    if (expected_start - request.t_s > options_.refuse_wait_s) {
      ++out.refused;
      return;
    }
    double begin = std::max(request.t_s, card.free_s);
    if (!Holds(card, request.model)) {
      const double load = Load(&card, request.model, request.t_s);
      replay_.load_h += Within(begin, begin + load);
      begin += load;
      ++out.cold_starts;
    }
    for (Resident& resident : card.residents) {
      if (resident.model == request.model) resident.used_s = begin;
    }
    const double end = begin + request.service_s;
    replay_.busy_h += Within(begin, end);
    card.free_s = end;
    card.expected_s = expected_start + MeanService(request.model);
    running_.push({end, request.model, request.service_s});
    if (end > replay_.end_s) {
      ++out.in_flight;
      return;
    }
    waits_.push_back(begin - request.t_s);
    ++(begin - request.t_s <= options_.slo_wait_s ? out.in_time : out.late);
  }

  // What the model has shown so far; before its first answer, what all have; before any, 0.
  double MeanService(std::int32_t model) const {
    if (served_[model] > 0) return served_s_[model] / served_[model];
    return MeanOfAll();
  }
  double MeanOfAll() const { return answers_ > 0 ? answers_s_ / answers_ : 0; }

  void Resize(double now) {
    const std::size_t hour = std::min(HourOf(now), forecast_work_s_.size() - 1);
    const double cards = forecast_work_s_[hour] / kHourS * options_.headroom;
    const auto most = static_cast<std::int32_t>(cards_.size());
    const std::int32_t want =
        std::clamp(static_cast<std::int32_t>(std::ceil(std::min(cards, 1e6))), 1, most);
    for (Card& card : cards_) {
      if (Active() >= want) break;
      card.active = true;
    }
    while (Active() > want) GiveBack(now);
    NoteCards(now);
  }

  // The active card that is done first; its models that are needed and nowhere else move.
  void GiveBack(double now) {
    Card* back = nullptr;
    for (Card& card : cards_) {
      if (card.active && (back == nullptr || card.free_s < back->free_s)) back = &card;
    }
    back->active = false;
    const std::vector<Resident> residents = std::move(back->residents);
    back->residents.clear();
    for (const Resident& resident : residents) {
      if (ForecastOf(resident.model, now) < 0.5) continue;
      Card* to = nullptr;
      bool held = false;
      for (Card& card : cards_) {
        if (!card.active) continue;
        held = held || Holds(card, resident.model);
        if (static_cast<std::int32_t>(card.residents.size()) >= options_.resident_max) continue;
        if (to == nullptr || card.free_s < to->free_s) to = &card;
      }
      if (held || to == nullptr) continue;
      const double begin = std::max(now, to->free_s);
      const double load = Load(to, resident.model, now);
      replay_.load_h += Within(begin, begin + load);
      to->free_s = begin + load;
      to->expected_s = std::max(now, to->expected_s) + load_mean_;
      ++replay_.migrations;
    }
  }

  void Waits() {
    if (waits_.empty()) return;
    std::sort(waits_.begin(), waits_.end());
    replay_.wait_p50_s = waits_[(waits_.size() - 1) / 2];
    replay_.wait_p99_s = waits_[(waits_.size() - 1) * 99 / 100];
  }

  const RequestStream& stream_;
  const ModelReplayOptions& options_;
  Random random_;
  const double load_mean_;
  std::vector<Card> cards_;
  double answers_ = 0, answers_s_ = 0;
  std::vector<double> served_, served_s_;  // Per model: answers, their seconds.
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
  std::vector<std::vector<double>> forecast_;  // [hour][model], requests.
  std::vector<double> forecast_work_s_;
  std::vector<double> waits_;
  ModelReplay replay_;
};

}  // namespace

ModelService ModelReplay::all() const {
  ModelService sum;
  for (const ModelService& m : models) {
    sum.requests += m.requests;
    sum.in_time += m.in_time;
    sum.late += m.late;
    sum.refused += m.refused;
    sum.in_flight += m.in_flight;
    sum.cold_starts += m.cold_starts;
  }
  return sum;
}

double ModelReplay::goodput_per_h() const {
  const double hours = (end_s - begin_s) / kHourS;
  return hours > 0 ? static_cast<double>(all().in_time) / hours : 0;
}

std::int32_t ModelReplay::worst_model(std::int64_t requests_min) const {
  std::int32_t worst = -1;
  for (std::size_t m = 0; m < models.size(); ++m) {
    if (models[m].requests < requests_min) continue;
    if (worst < 0 || models[m].attainment() < models[worst].attainment()) {
      worst = static_cast<std::int32_t>(m);
    }
  }
  return worst;
}

ModelReplay ReplayModels(const RequestStream& stream, const ModelReplayOptions& options,
                         const Progress& progress) {
  return ModelPlayer(stream, options).Play(progress);
}

}  // namespace brim::planner
