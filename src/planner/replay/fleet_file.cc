#include "planner/replay/fleet_file.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

namespace brim::planner {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kTextBytesMax = std::size_t{16} << 20;
constexpr std::size_t kListMax = 100'000;
constexpr double kRequestsMax = 50e6;  // In one simulated day, before bursts.

// One object of the file: typed look-ups that remember which keys were asked for.
class Section {
 public:
  Section(std::string where, dom::object object)
      : where_(std::move(where)), object_(object), present_(true) {}
  // One that is not there: nothing is found in it.
  explicit Section(std::string where) : where_(std::move(where)) {}

  // The first error of all look-ups so far; also one for keys that nobody asked for.
  Status Done() {
    if (!status_.ok()) return status_;
    if (!present_) return {};
    for (const auto& field : object_) {
      if (asked_.count(std::string(field.key)) != 0) continue;
      return Bad(std::string(field.key), fmt::format("unknown; known here: {}", Known()));
    }
    return {};
  }

  double Number(const char* key, double min, double max) {
    const double value = Optional(key, std::nan(""), min, max);
    if (std::isnan(value)) Fail(key, "missing, expected a number");
    return value;
  }
  double Optional(const char* key, double fallback, double min, double max) {
    dom::element element;
    if (!Find(key, &element)) return fallback;
    double value = 0;
    if (element.get(value) != simdjson::SUCCESS) {
      Fail(key, "expected a number");
      return fallback;
    }
    if (!(value >= min && value <= max)) {
      Fail(key, fmt::format("{} is out of range, expected {} to {}", value, min, max));
    }
    return value;
  }
  std::int32_t Whole(const char* key, double min, double max) {
    const double value = Number(key, min, max);
    if (value != std::floor(value)) Fail(key, "expected a whole number");
    // What is out of range has failed above, and may not fit.
    return value >= min && value <= max ? static_cast<std::int32_t>(value) : 0;
  }
  std::vector<double> Numbers(const char* key, double min, double max) {
    std::vector<double> values;
    dom::element element;
    dom::array array;
    if (!Find(key, &element) || element.get(array) != simdjson::SUCCESS) {
      Fail(key, "missing, expected a list of numbers");
      return values;
    }
    for (const dom::element item : array) {
      double value = 0;
      if (item.get(value) != simdjson::SUCCESS || !(value >= min && value <= max)) {
        Fail(key,
             fmt::format("entry {}: expected a number from {} to {}", values.size(), min, max));
        return values;
      }
      values.push_back(value);
      if (values.size() > kListMax) {
        Fail(key, fmt::format("more than {} entries", kListMax));
        return values;
      }
    }
    if (values.empty()) Fail(key, "is empty, expected a list of numbers");
    return values;
  }
  std::string Text(const char* key) {
    dom::element element;
    std::string_view value;
    if (!Find(key, &element) || element.get(value) != simdjson::SUCCESS || value.empty()) {
      Fail(key, "missing, expected a text");
    }
    return std::string(value);
  }
  // Text for people; may be absent.
  void Comment(const char* key) {
    dom::element element;
    Find(key, &element);
  }
  // Elements are copied out: an array that was not found must not be walked.
  std::vector<dom::element> List(const char* key) {
    std::vector<dom::element> items;
    dom::element element;
    dom::array array;
    if (!Find(key, &element) || element.get(array) != simdjson::SUCCESS) {
      Fail(key, "missing, expected a list");
      return items;
    }
    for (const dom::element item : array) items.push_back(item);
    return items;
  }
  Section Sub(const char* key) {
    dom::element element;
    dom::object object;
    if (!Find(key, &element) || element.get(object) != simdjson::SUCCESS) {
      Fail(key, "missing, expected an object");
      return Section(fmt::format("{}{}.", where_, key));
    }
    return Section(fmt::format("{}{}.", where_, key), object);
  }
  void Fail(const std::string& key, const std::string& what) {
    if (status_.ok()) status_ = Bad(key, what);
  }
  bool ok() const { return status_.ok(); }

 private:
  bool Find(const char* key, dom::element* element) {
    asked_.insert(key);
    return present_ && object_.at_key(key).get(*element) == simdjson::SUCCESS;
  }
  std::string Known() const {
    std::string all;
    for (const std::string& key : asked_) all += (all.empty() ? "" : ", ") + key;
    return all;
  }
  Status Bad(const std::string& key, const std::string& what) const {
    return Status(Code::kInvalidArgument, "bad_fleet", fmt::format("{}{}: {}", where_, key, what));
  }

  std::string where_;
  dom::object object_;
  bool present_ = false;
  std::set<std::string> asked_;
  Status status_;
};

// rows: [share_milli, batch, latency_ms] each.
Status ReadRows(Section* section, std::vector<MeasuredRow>* rows) {
  for (const dom::element item : section->List("rows")) {
    dom::array triple;
    double value[3] = {};
    std::size_t n = 0;
    if (item.get(triple) == simdjson::SUCCESS) {
      for (const dom::element number : triple) {
        if (n < 3 && number.get(value[n]) != simdjson::SUCCESS) n = 9;
        ++n;
      }
    }
    const bool whole = value[0] == std::floor(value[0]) && value[1] == std::floor(value[1]);
    if (n != 3 || !whole || !(value[0] >= 1 && value[0] <= 1000) ||
        !(value[1] >= 1 && value[1] <= kBatchMax) || !(value[2] > 0 && value[2] <= 3.6e6)) {
      section->Fail(
          fmt::format("rows[{}]", rows->size()),
          fmt::format("expected [share 1 to 1000, batch 1 to {}, latency in ms]", kBatchMax));
      break;
    }
    rows->push_back({static_cast<std::int32_t>(value[0]), static_cast<std::int32_t>(value[1]),
                     value[2] / 1000});
    if (rows->size() > kListMax) {
      section->Fail("rows", fmt::format("more than {} entries", kListMax));
      break;
    }
  }
  return section->Done();
}

Status ReadProfiles(const std::string& file, Section* top, FleetSpec* spec) {
  std::set<std::string> names;
  for (const dom::element item : top->List("profiles")) {
    const std::string where = fmt::format("profiles[{}]", spec->profiles.size());
    dom::object object;
    if (item.get(object) != simdjson::SUCCESS) {
      top->Fail(where, "expected an object");
      break;
    }
    Section section(fmt::format("{}: {}.", file, where), object);
    ServiceProfile profile;
    profile.name = section.Text("name");
    section.Comment("note");
    profile.slo_s = section.Number("slo_ms", 0.001, 3.6e6) / 1000;
    profile.cpu_s = section.Optional("cpu_ms", 0, 0, 3.6e6) / 1000;
    std::vector<MeasuredRow> rows;
    BRIM_RETURN_IF_ERROR(ReadRows(&section, &rows));
    if (!names.insert(profile.name).second) top->Fail(where, "its name is taken");
    const std::string wrong = BuildShares(std::move(rows), &profile);
    if (!wrong.empty()) top->Fail(where, wrong);
    if (!top->ok()) break;
    spec->profiles.push_back(std::move(profile));
  }
  if (spec->profiles.empty()) top->Fail("profiles", "is empty, expected at least one profile");
  return {};
}

Status ReadTraffic(Section section, FleetSpec* spec) {
  section.Comment("note");
  spec->zipf = section.Number("zipf", 0, 10);
  spec->zipf_shift = section.Optional("zipf_shift", 0, 0, 1000);
  spec->requests_per_s = section.Number("requests_per_s", 1e-6, 1e6);
  const std::vector<double> hours = section.Numbers("hours", 0, 1e9);
  if (hours.size() != kHours || *std::max_element(hours.begin(), hours.end()) <= 0) {
    section.Fail("hours", "expected 24 numbers, not all of them 0");
  } else {
    std::copy(hours.begin(), hours.end(), spec->hours.begin());
  }
  spec->phase_sd_h = section.Optional("phase_sd_h", 0, 0, 24);
  spec->burst_cv = section.Optional("burst_cv", 0, 0, 10);
  spec->drift = section.Optional("drift", 0, 0, 3);
  spec->seconds_per_hour = section.Number("seconds_per_hour", 1, 3600);
  if (spec->requests_per_s * spec->seconds_per_hour * kHours > kRequestsMax) {
    section.Fail("seconds_per_hour",
                 fmt::format("a day would have more than {:.0f} requests", kRequestsMax));
  }
  return section.Done();
}

Status ReadMemory(Section section, FleetSpec* spec) {
  section.Comment("note");
  spec->card_memory_gib = section.Number("card_gib", 0.1, 10'000);
  spec->context_gib = section.Optional("context_gib", 0, 0, 1000);
  spec->resident_gib = section.Numbers("resident_gib", 0, 10'000);
  spec->peak_gib = section.Numbers("peak_gib", 0, 10'000);
  if (spec->resident_gib.size() != spec->peak_gib.size()) {
    section.Fail("peak_gib", "must be as long as resident_gib: one pair for each measured process");
    return section.Done();
  }
  for (std::size_t i = 0; i < spec->peak_gib.size(); ++i) {
    if (spec->peak_gib[i] > spec->card_memory_gib || spec->resident_gib[i] > spec->peak_gib[i]) {
      section.Fail(fmt::format("peak_gib[{}]", i),
                   "must be at least resident_gib and at most card_gib");
    }
  }
  return section.Done();
}

Status ReadRest(Section declared, Section cpu, Section right_size, FleetSpec* spec) {
  declared.Comment("note");
  spec->declared_headroom = declared.Number("headroom", 1, 100);
  for (const double share : declared.Numbers("shares", 1, 1000)) {
    spec->declared_shares.push_back(static_cast<std::int32_t>(share));
  }
  BRIM_RETURN_IF_ERROR(declared.Done());
  cpu.Comment("note");
  spec->cpu_cores = cpu.Whole("cores", 0, 1024);
  spec->cores_per_card = cpu.Number("cores_per_card", 0.01, 1e6);
  BRIM_RETURN_IF_ERROR(cpu.Done());
  right_size.Comment("note");
  spec->margin = right_size.Number("margin", 1, 100);
  spec->memory_margin = right_size.Number("memory_margin", 1, 10);
  spec->safety_z = right_size.Number("safety_z", 0, 100);
  return right_size.Done();
}

}  // namespace

Result<FleetSpec> ReadFleet(const std::string& file, std::string_view text) {
  if (text.size() > kTextBytesMax) {
    return Status(
        Code::kInvalidArgument, "bad_fleet",
        fmt::format("{}: {} bytes, expected at most {}", file, text.size(), kTextBytesMax));
  }
  dom::parser parser;
  dom::object object;
  const auto error = parser.parse(text.data(), text.size()).get(object);
  if (error != simdjson::SUCCESS) {
    return Status(Code::kInvalidArgument, "bad_fleet",
                  fmt::format("{}: not a JSON object: {}", file, simdjson::error_message(error)));
  }
  FleetSpec spec;
  Section top(file + ": ", object);
  top.Comment("note");
  spec.models = top.Whole("models", 1, 2000);
  spec.interference = top.Optional("interference", 0, 0, 10);
  spec.adoption = top.Optional("adoption", 1, 0, 1);
  Section traffic = top.Sub("traffic"), memory = top.Sub("memory"), cpu = top.Sub("cpu");
  Section declared = top.Sub("declared"), right_size = top.Sub("right_size");
  BRIM_RETURN_IF_ERROR(ReadProfiles(file, &top, &spec));
  BRIM_RETURN_IF_ERROR(top.Done());
  BRIM_RETURN_IF_ERROR(ReadTraffic(std::move(traffic), &spec));
  BRIM_RETURN_IF_ERROR(ReadMemory(std::move(memory), &spec));
  BRIM_RETURN_IF_ERROR(ReadRest(std::move(declared), std::move(cpu), std::move(right_size), &spec));
  return spec;
}

}  // namespace brim::planner
