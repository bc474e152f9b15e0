// The option fixed_shapes: input shapes for which a model gets a graph of its own beside the one
// for every shape.
//
// OpenVINO plans memory and kernels of such a graph once, where a dynamic one infers shapes node by
// node in each run: measured 3 % (a recogniser of 7 ms) to 25 % (a classifier of 0.4 ms) less CPU.
// It costs as much memory again, and its answers may differ from the dynamic graph's by rounding
// (1e-6), so it is for the owner to ask for. As OpenVINO 2026.4.1 was seen to answer wrongly from
// static graphs (attention_guard.h), each such graph must first agree with the dynamic one.
// Threads: values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "openvino/core/partial_shape.hpp"
#include "openvino/runtime/compiled_model.hpp"
#include "runtimes/openvino/shape_check.h"

namespace brim::runtimes {

constexpr std::size_t kFixedShapesMax = 8;

struct FixedShape {
  std::string text;  // As the option says it.
  ShapeKey key;
  std::map<std::size_t, ov::PartialShape> shapes;  // By port.
};

// Reads "x:1x3x48x320; x:1x3x48x192" (shapes apart by ';', a shape's inputs by ',', the name of a
// model's only input may be left out). `names`: of the inputs by port. False: why says what is
// wrong.
bool ReadFixedShapes(const std::string& text, const std::vector<std::string>& names,
                     std::vector<FixedShape>* shapes, std::string* why);

// Runs both graphs once, float inputs with repeatable noise and others with zeros. False when an
// answer is off by more than `tolerance` of its output's largest value; why says by how much.
// Throws what OpenVINO throws.
bool AnswersAlike(ov::CompiledModel& all, ov::CompiledModel& fixed, const FixedShape& shape,
                  double tolerance, std::string* why);

}  // namespace brim::runtimes
