// Svg: the two pictures the planner draws, as complete SVG documents: stacked bars (what stands on
// each card) and lines (allocation over demand, cards over time). Readable in light and dark, no
// script, no font fetched, every mark with a <title>. Pure; any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace brim::planner {

struct BarPart {
  double value = 0;
  std::string title;  // Shown when pointed at.
  int group = 0;      // Same group, same colour.
};
struct Bar {
  std::string label;
  double capacity = 0;
  std::vector<BarPart> parts;
};
struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;
  bool steps = false;   // Holds its value until the next point.
  bool dashed = false;  // For bounds and goals.
};

// At most bars_max bars are drawn; the last line says how many are not.
std::string BarsSvg(const std::string& title, const std::string& unit, const std::vector<Bar>& bars,
                    std::size_t bars_max = 400);
// At most 2,000 points a line are drawn (every k-th, and the last).
std::string LinesSvg(const std::string& title, const std::string& x_axis, const std::string& y_axis,
                     const std::vector<Line>& lines);

}  // namespace brim::planner
