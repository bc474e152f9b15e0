// The planner's two pictures. Coordinates are SVG user units (pixels at 100 %); colours are classes
// in one style sheet, so that a reader's dark mode applies.
#include "planner/report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <string_view>

#include "base/text.h"
#include "planner/report/report_text.h"

namespace brim::planner {
namespace {

constexpr int kColours = 12;
constexpr std::size_t kPointsMax = 2000;

// Twelve colours that stay apart on white and on black (after Okabe and Ito, and Paul Tol).
constexpr std::array<std::string_view, kColours> kPalette = {
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00",
    "#7a5195", "#999933", "#44aa99", "#ef5675", "#6c757d", "#b8860b"};

// No CSS variables: picture viewers that are no browsers do not know them.
std::string Style() {
  std::string style =
      "<style>"
      "svg{font:12px system-ui,sans-serif}text{fill:#1f2328}.t{font-size:16px}.s{font-size:9px}"
      ".p{fill:#fff}.f{fill:none;stroke:#8c959f}.g{stroke:#8c959f;stroke-opacity:.3}"
      ".e{fill:#8c959f;fill-opacity:.15}.b{stroke:#fff;stroke-width:.6}"
      ".l{fill:none;stroke-width:1.8}.d{stroke-dasharray:6 4}";
  for (std::size_t i = 0; i < kPalette.size(); ++i) {
    fmt::format_to(std::back_inserter(style), ".b.c{0}{{fill:{1}}}.l.c{0}{{stroke:{1}}}", i,
                   kPalette[i]);
  }
  return style +
         "@media(prefers-color-scheme:dark){.p{fill:#0d1117}text{fill:#e6edf3}.b{stroke:#0d1117}}"
         "</style>\n";
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = Utf8SequenceLength(text.substr(at));
    const char c = text[at];
    if (length == 0 || (length == 1 && static_cast<unsigned char>(c) < 0x20)) {
      out += length == 0 ? "\xEF\xBF\xBD" : " ";  // XML 1.0 has no control characters.
      ++at;
      continue;
    }
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += text.substr(at, length);
    }
    at += length;
  }
  return out;
}

// The end of a long label, where nodes' and cards' numbers are.
std::string LabelEnd(std::string_view label) {
  constexpr std::size_t kShown = 17;  // What fits beside and under the bars.
  if (TextWidth(label) <= kShown) return Escaped(label);
  while (TextWidth(label) >= kShown) {
    label.remove_prefix(std::max<std::size_t>(Utf8SequenceLength(label), 1));
  }
  return "\xE2\x80\xA6" + Escaped(label);
}

template <typename... Args>
void Add(std::string* out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(*out), format, std::forward<Args>(args)...);
}

int ColourOf(int group) { return ((group % kColours) + kColours) % kColours; }

void Begin(std::string* out, double width, double height, const std::string& title) {
  Add(out,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" role=\"img\">\n",
      width, height);
  *out += Style();
  Add(out, "<rect class=\"p\" width=\"{:.0f}\" height=\"{:.0f}\"/>\n", width, height);
  const std::string text = Escaped(title);
  Add(out, "<title>{}</title>\n<text class=\"t\" x=\"16\" y=\"26\">{}</text>\n", text, text);
}

// The step of a scale with about `marks` marks: 1, 2 or 5 times a power of ten.
double NiceStep(double range, int marks) {
  if (!(range > 0)) return 1;
  const double raw = range / marks;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power) return factor * power;
  }
  return 10 * power;
}

// One axis of a line chart: values to user units.
struct Axis {
  double low = 0, high = 1;
  double from = 0, to = 1;
  double At(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

bool Finite(const std::pair<double, double>& point) {
  return std::isfinite(point.first) && std::isfinite(point.second);
}

void AddMarks(std::string* out, const Axis& x, const Axis& y) {
  const double x_step = NiceStep(x.high - x.low, 8), y_step = NiceStep(y.high - y.low, 6);
  // Counted by whole steps: adding a step to itself might never move a large value.
  for (int i = 0; i <= 20; ++i) {
    const double value = (std::ceil(x.low / x_step) + i) * x_step;
    if (value > x.high + x_step * 1e-9) break;
    Add(out, "<line class=\"g\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>",
        x.At(value), y.from, y.to);
    Add(out, "<text class=\"s\" text-anchor=\"middle\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
        x.At(value), y.from + 14, NumberText(value));
  }
  for (int i = 0; i <= 20; ++i) {
    const double value = (std::ceil(y.low / y_step) + i) * y_step;
    if (value > y.high + y_step * 1e-9) break;
    Add(out, "<line class=\"g\" x1=\"{1:.1f}\" x2=\"{2:.1f}\" y1=\"{0:.1f}\" y2=\"{0:.1f}\"/>",
        y.At(value), x.from, x.to);
    Add(out, "<text class=\"s\" text-anchor=\"end\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
        x.from - 6, y.At(value) + 3, NumberText(value));
  }
}

void AddLine(std::string* out, const Line& line, int colour, const Axis& x, const Axis& y) {
  const std::size_t every = (line.points.size() + kPointsMax - 1) / kPointsMax;
  Add(out, "<polyline class=\"l c{}{}\" points=\"", colour, line.dashed ? " d" : "");
  double last_y = 0;
  bool first = true;
  for (std::size_t i = 0; i < line.points.size(); ++i) {
    if (i % std::max<std::size_t>(every, 1) != 0 && i + 1 != line.points.size()) continue;
    if (!Finite(line.points[i])) continue;
    const double at_x = x.At(line.points[i].first), at_y = y.At(line.points[i].second);
    if (line.steps && !first) Add(out, "{:.1f},{:.1f} ", at_x, last_y);
    Add(out, "{:.1f},{:.1f} ", at_x, at_y);
    last_y = at_y;
    first = false;
  }
  Add(out, "\"><title>{}</title></polyline>\n", Escaped(line.name));
}

}  // namespace

std::string BarsSvg(const std::string& title, const std::string& unit, const std::vector<Bar>& bars,
                    std::size_t bars_max) {
  constexpr double kPitch = 18, kBarWidth = 15, kBarHeight = 120, kLabel = 74, kLeft = 48,
                   kTop = 44;
  constexpr std::size_t kAcross = 60;
  const std::size_t shown = std::min(bars.size(), bars_max);
  const std::size_t across = std::clamp<std::size_t>(shown, 1, kAcross);
  const std::size_t lines = (shown + kAcross - 1) / kAcross;
  const double width = std::max(420.0, kLeft * 2 + static_cast<double>(across) * kPitch);
  const double height = kTop + static_cast<double>(lines) * (kBarHeight + kLabel) + 28;
  std::string out;
  Begin(&out, width, height, title);
  for (std::size_t i = 0; i < shown; ++i) {
    const Bar& bar = bars[i];
    const double x = kLeft + static_cast<double>(i % kAcross) * kPitch;
    const double top = kTop + static_cast<double>(i / kAcross) * (kBarHeight + kLabel);
    double sum = 0;
    for (const BarPart& part : bar.parts) sum += std::max(0.0, part.value);
    // An overfull bar is drawn to its own sum, so that nothing is hidden; its title says so.
    const double scale = kBarHeight / std::max({bar.capacity, sum, 1e-9});
    const std::string label = Escaped(bar.label);
    Add(&out,
        "<g><rect class=\"e\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{}\"><title>{}: {} "
        "of {} {}",
        x, top, kBarWidth, kBarHeight, label, NumberText(sum), NumberText(bar.capacity),
        Escaped(unit));
    out += "</title></rect>\n";
    double filled = 0;
    for (const BarPart& part : bar.parts) {
      if (!(part.value > 0)) continue;
      filled += part.value;
      Add(&out,
          "<rect class=\"b c{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" "
          "height=\"{:.1f}\"><title>{}: {} "
          "{}</title></rect>\n",
          ColourOf(part.group), x, top + kBarHeight - filled * scale, kBarWidth, part.value * scale,
          Escaped(part.title), NumberText(part.value), Escaped(unit));
    }
    Add(&out,
        "<text class=\"s\" text-anchor=\"end\" transform=\"translate({:.1f} {:.1f}) "
        "rotate(-60)\">{}</text></g>\n",
        x + kBarWidth / 2 + 3, top + kBarHeight + 9, LabelEnd(bar.label));
  }
  std::string last = fmt::format("each bar: {}", unit);
  if (shown < bars.size()) {
    last += fmt::format("; {} more of {} bars are not drawn",
                        CountText(static_cast<std::int64_t>(bars.size() - shown)),
                        CountText(static_cast<std::int64_t>(bars.size())));
  }
  Add(&out, "<text x=\"{}\" y=\"{:.0f}\">{}</text>\n</svg>\n", kLeft, height - 12, Escaped(last));
  return out;
}

std::string LinesSvg(const std::string& title, const std::string& x_axis, const std::string& y_axis,
                     const std::vector<Line>& lines) {
  constexpr double kWidth = 900, kLeft = 70, kRight = 20, kTop = 60, kPlot = 380;
  const double legend = 20.0 * static_cast<double>((lines.size() + 2) / 3);
  const double height = kTop + kPlot + 50 + legend;
  Range xs, ys;
  for (const Line& line : lines) {
    for (const auto& point : line.points) {
      if (!Finite(point)) continue;
      xs.Take(point.first);
      ys.Take(point.second);
    }
  }
  if (xs.empty()) {
    xs.Take(0);
    ys.Take(0);
  }
  ys.Take(0);  // Cards and shares are read from zero.
  if (xs.high <= xs.low) xs.high = xs.low + std::max(1.0, std::fabs(xs.low) * 0.1);
  if (ys.high <= ys.low) ys.high = ys.low + 1;
  ys.high += (ys.high - ys.low) * 0.04;
  const Axis x{xs.low, xs.high, kLeft, kWidth - kRight};
  const Axis y{ys.low, ys.high, kTop + kPlot, kTop};
  std::string out;
  Begin(&out, kWidth, height, title);
  AddMarks(&out, x, y);
  Add(&out, "<rect class=\"f\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n", kLeft, kTop,
      kWidth - kRight - kLeft, kPlot);
  Add(&out, "<text text-anchor=\"end\" x=\"{}\" y=\"{}\">{}</text>\n", kWidth - kRight,
      kTop + kPlot + 32, Escaped(x_axis));
  Add(&out, "<text x=\"{}\" y=\"{}\">{}</text>\n", 16, kTop - 10, Escaped(y_axis));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const int colour = ColourOf(static_cast<int>(i % kColours));
    AddLine(&out, lines[i], colour, x, y);
    const double at_x = kLeft + static_cast<double>(i % 3) * 270;
    const double at_y = kTop + kPlot + 52 + 20.0 * static_cast<double>(i / 3);
    Add(&out, "<line class=\"l c{}{}\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.0f}\" y2=\"{:.0f}\"/>",
        colour, lines[i].dashed ? " d" : "", at_x, at_x + 24, at_y - 4, at_y - 4);
    Add(&out, "<text x=\"{:.0f}\" y=\"{:.0f}\">{}</text>\n", at_x + 30, at_y,
        Escaped(lines[i].name));
  }
  out += "</svg>\n";
  return out;
}

}  // namespace brim::planner
