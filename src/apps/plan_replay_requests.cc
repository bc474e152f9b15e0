// `brim plan replay --requests`: requests for models on shared cards.
#include <fmt/format.h>

#include <algorithm>

#include "apps/plan_replay.h"
#include "io/text_file.h"
#include "planner/cluster/gap.h"
#include "planner/formats/nearest_name.h"
#include "planner/replay/stream_format.h"
#include "planner/report/svg.h"

namespace brim::apps {
namespace {

using planner::ModelReplay;
using planner::ModelService;

// A model with fewer requests is not called the worst: one miss would be chance.
constexpr std::int64_t kWorstRequestsMin = 100;

struct Played {
  std::string name;
  ModelReplay replay;
};

// Work that was done, over the window: no fewer cards could have done it.
std::vector<planner::Bound> BoundsOf(const ModelReplay& replay) {
  const double hours = (replay.end_s - replay.begin_s) / 3600;
  return {{"work, fluid", hours > 0 ? replay.busy_h / hours : 0,
           "the seconds served, spread evenly over the window"}};
}

void AddPlans(const planner::RequestStream& stream, const std::vector<Played>& played,
              planner::Report* report) {
  planner::ReportTable& table = report->Table(
      "plans",
      {{"plan"},
       {"cards"},
       {"saved", "%"},
       {"card_hours"},
       {"bound", "cards"},
       {"busy", "%"},
       {"loading", "%"},
       {"goodput", "1/h"},
       {"attainment", "%"},
       {"worst_model"},
       {"worst", "%"},
       {"cold_starts"},
       {"cold", "%"},
       {"late"},
       {"refused"},
       {"in_flight"},
       {"wait_p50", "s"},
       {"wait_p99", "s"},
       {"migrations"}},
      "saved: card-hours against the first plan. worst_model: least attainment of a model with 100 "
      "requests. cold: share of requests that waited for a load");
  const double base = played.front().replay.card_h;
  for (const Played& p : played) {
    const ModelReplay& r = p.replay;
    const ModelService all = r.all();
    const std::int32_t worst = r.worst_model(kWorstRequestsMin);
    table.Row({p.name, std::int64_t{r.cards}, base > 0 ? 100 * (1 - r.card_h / base) : 0, r.card_h,
               BoundsOf(r)[0].value, r.card_h > 0 ? 100 * r.busy_h / r.card_h : 0,
               r.card_h > 0 ? 100 * r.load_h / r.card_h : 0, r.goodput_per_h(),
               100 * all.attainment(), worst < 0 ? std::string("-") : stream.models[worst],
               worst < 0 ? 100 : 100 * r.models[worst].attainment(), all.cold_starts,
               100.0 * static_cast<double>(all.cold_starts) / std::max(1.0, double(all.requests)),
               all.late, all.refused, all.in_flight, r.wait_p50_s, r.wait_p99_s, r.migrations});
  }
}

void AddModels(const planner::RequestStream& stream, const std::vector<Played>& played,
               planner::Report* report) {
  planner::ReportTable& table = report->Table("models",
                                              {{"model"},
                                               {"plan"},
                                               {"requests"},
                                               {"in_time"},
                                               {"late"},
                                               {"refused"},
                                               {"in_flight"},
                                               {"cold_starts"},
                                               {"attainment", "%"}},
                                              "of every plan, most requests first");
  std::vector<std::size_t> order(stream.models.size());
  for (std::size_t m = 0; m < order.size(); ++m) order[m] = m;
  const auto& first = played.front().replay.models;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return first[a].requests > first[b].requests;
  });
  for (const std::size_t m : order) {
    for (const Played& p : played) {
      const ModelService& s = p.replay.models[m];
      table.Row({stream.models[m], p.name, s.requests, s.in_time, s.late, s.refused, s.in_flight,
                 s.cold_starts, 100 * s.attainment()});
    }
  }
}

Status Explain(const planner::RequestStream& stream, const std::vector<Played>& played,
               const std::string& name, planner::Report* report) {
  std::vector<std::string_view> known(stream.models.begin(), stream.models.end());
  const auto at = std::find(known.begin(), known.end(), name);
  if (at == known.end()) {
    return Status(Code::kNotFound, "model_unknown",
                  fmt::format("--explain: there is no model '{}' in the stream{}", name,
                              planner::DidYouMean(name, known)));
  }
  const auto m = static_cast<std::size_t>(at - known.begin());
  double gaps = 0, service = 0, last = -1;
  std::int64_t n = 0;
  for (const planner::ModelRequest& request : stream.requests) {
    if (request.model != static_cast<std::int32_t>(m)) continue;
    if (last >= 0) gaps += request.t_s - last;
    last = request.t_s;
    service += request.service_s;
    ++n;
  }
  planner::ReportTable& table = report->Table("explain", {{name}});
  table.Row({fmt::format("{} requests, {:.1f} s of service each, {:.0f} s apart on average", n,
                         service / double(n), n > 1 ? gaps / double(n - 1) : 0)});
  for (const Played& p : played) {
    const ModelService& s = p.replay.models[m];
    table.Row(
        {fmt::format("{}: {} cold starts ({:.1f} % of its requests), {} in time, {} late, {} "
                     "refused",
                     p.name, s.cold_starts, 100.0 * double(s.cold_starts) / double(n), s.in_time,
                     s.late, s.refused)});
  }
  return OkStatus();
}

std::string Picture(const std::vector<Played>& played) {
  std::vector<planner::Line> lines;
  for (const Played& p : played) {
    planner::Line line{p.name, {}, true, false};
    for (const auto& [t, cards] : p.replay.cards_over_time) {
      line.points.emplace_back((t - p.replay.begin_s) / 3600, double(cards));
    }
    line.points.emplace_back((p.replay.end_s - p.replay.begin_s) / 3600, line.points.back().second);
    lines.push_back(std::move(line));
  }
  return planner::LinesSvg("Cards in use", "hours", "cards", lines);
}

}  // namespace

Status ReplayRequestStream(const ReplayFlags& flags, planner::Report* report, std::string* svg) {
  BRIM_ASSIGN_OR_RETURN(const std::string text, io::ReadTextFile(flags.requests));
  BRIM_ASSIGN_OR_RETURN(const planner::StreamInput input,
                        planner::ReadRequests(flags.requests, text));
  planner::ModelReplayOptions options = flags.model;
  if (!flags.loads.empty()) {
    BRIM_ASSIGN_OR_RETURN(const std::string loads, io::ReadTextFile(flags.loads));
    BRIM_ASSIGN_OR_RETURN(options.load_s, planner::ReadLoadTimes(flags.loads, loads));
  }
  std::vector<Played> played;
  if (!flags.no_base) {
    options.own_cards = true;
    played.push_back({"own cards", planner::ReplayModels(input.stream, options, StderrProgress())});
    options.own_cards = false;
  }
  for (const std::int32_t cards : flags.cards) {
    for (const std::string& eviction : flags.evictions) {
      options.cards = cards;
      options.eviction = eviction == "lru" ? planner::Eviction::kLru : planner::Eviction::kCost;
      played.push_back({fmt::format("{} cards, {}", cards, eviction),
                        planner::ReplayModels(input.stream, options, StderrProgress())});
    }
  }
  const ModelReplay& first = played.front().replay;
  report->Text("format", input.format, {});
  report->Count("requests", static_cast<std::int64_t>(input.stream.requests.size()), "",
                "replayed");
  report->Count("not_ended", input.not_ended, "requests",
                "failed or never ended in the recording: left out");
  report->Count("without_model", input.without_model, "requests", "name no model: left out");
  report->Count("model_count", static_cast<std::int64_t>(input.stream.models.size()), "", {});
  report->Number("window_h", (first.end_s - first.begin_s) / 3600, "h", "first to last request");
  report->Number("work_h", first.busy_h, "card-h", "of service in the window");
  AddPlans(input.stream, played, report);
  const planner::Gap gap =
      planner::GapTo(played.back().replay.cards, BoundsOf(played.back().replay));
  report->Count("gap_cards", gap.cards, "cards",
                fmt::format("of the last plan above the bound '{}': {}", gap.bound,
                            BoundsOf(played.back().replay)[0].means));
  AddModels(input.stream, played, report);
  if (!flags.plan.explain.empty()) {
    BRIM_RETURN_IF_ERROR(Explain(input.stream, played, flags.plan.explain, report));
  }
  if (!flags.plan.svg.empty()) *svg = Picture(played);
  return OkStatus();
}

}  // namespace brim::apps
