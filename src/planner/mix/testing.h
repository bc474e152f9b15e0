// Made models for the tests of planning: l(b, s) = (fixed + each b) / s of a card, never below a
// floor.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "planner/cluster/random.h"
#include "planner/mix/model.h"

namespace brim::planner::testing {

struct Shape {
  double fixed_ms = 1;  // On a whole card.
  double each_ms = 1;
  double floor_ms = 0.5;
  int batch_max = 32;
};

inline std::vector<ProfilePoint> PointsOf(const Shape& shape, Slices slices) {
  std::vector<ProfilePoint> points;
  const bool mig = slices == Slices::kMig;
  const std::vector<int> shares =
      mig ? std::vector<int>{1, 2, 3, 4, 7} : std::vector<int>{10, 25, 50, 100};
  for (const int share : shares) {
    for (int batch = 1; batch <= shape.batch_max; batch *= 2) {
      for (int processes = 1; processes <= (mig ? 2 : 1); ++processes) {
        const double part = static_cast<double>(share) / (mig ? kMigPerCard : kUnitsPerCard);
        ProfilePoint point{share, batch, processes, 0, 0};
        // Two processes in a slice do a tenth more than one.
        const double alone = (shape.fixed_ms + shape.each_ms * batch) / part;
        point.latency_ms = std::max(shape.floor_ms, processes == 1 ? alone : alone * 2 / 1.1);
        point.busy_ms = point.latency_ms;
        points.push_back(point);
      }
    }
  }
  return points;
}

inline MixModel RandomModel(Random* random, const std::string& name, Slices slices) {
  MixModel model;
  model.name = name;
  model.owner = "tests";
  Shape shape;
  shape.fixed_ms = 0.2 + 2 * random->Uniform();
  shape.each_ms = 0.1 + random->Uniform();
  model.points = PointsOf(shape, slices);
  model.rate = 0.5 + 100 * random->Uniform() * random->Uniform();
  model.slo_ms = 60 + 400 * random->Uniform();
  model.weights_mib = 200 + 4000 * random->Uniform();
  model.workspace_mib = 100 + 500 * random->Uniform();
  return model;
}

}  // namespace brim::planner::testing
