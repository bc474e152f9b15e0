// Finds compiled graphs whose fused attention may answer wrongly.
//
// OpenVINO's CPU device fuses the products, softmax and transposes of attention into one generated
// kernel (a "Subgraph" of its snippets). As for an element-wise one it lets that kernel write its
// output over its first input when both have the same static shape. The input is queries
// [batch, heads, tokens, size], the output [batch, tokens, heads, size]: with as many tokens as
// heads the shapes are equal, the layouts are not, and answers are off by 4 to 170 % of the largest
// value (seen in 2026.4.1: OCR's recogniser at widths of 61 to 68; a transformer of 8 heads and 8
// tokens). Dynamic shapes never share memory so.
//
// A compiled graph where that could be is compiled again without such kernels (brim_model::Guard).
// The looks cost nothing measurable where there is no attention, else the list of the compiled
// graph's nodes (2 ms for the recogniser, whose compilation takes 200). Doing without the kernels
// in all graphs would be simpler, but costs a fixed-shape MLP up to 23 % and attention over 1,500
// tokens 11 %. Threads: values.
#pragma once

#include "openvino/core/model.hpp"
#include "openvino/runtime/compiled_model.hpp"

namespace brim::runtimes {

// Whether the model multiplies matrices that are both computed, or has what becomes that.
bool HasAttention(const ov::Model& model);

// The same in a body of an If, a Loop or the like, whose compiled graph cannot be looked at.
bool HidesAttention(const ov::Model& model);

// Whether a fused kernel of several inputs has a first input and an output of one static shape
// with two equal dimensions, so that the shape cannot tell whether they are in the same order.
// REQUIRES: HasAttention; without it such kernels are element-wise and right.
bool MayMixUpHeads(const ov::CompiledModel& compiled);

}  // namespace brim::runtimes
