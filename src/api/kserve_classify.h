// The classification extension: an output tensor as its k highest values, "value:index" strings.
//
// Source: Triton docs/protocol/extension_classification.md and src/classification.cc (value printed
// as C's %f; no labels are known here, so no third part). Pure; any thread.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/status.h"
#include "model/tensor.h"

namespace brim::api {

// Elements of one row that may be ranked, as Triton bounds it.
inline constexpr std::uint64_t kClassesMax = 1'000'000;

// Makes *result a BYTES tensor of shape [rows, k], or [k] when not `batched`, whose bytes are
// appended to *storage; k = min(classes, elements of a row). `batched`: axis 0 counts rows.
// kInvalidArgument for datatypes without order.
Status Classify(const model::TensorView& tensor, bool batched, std::uint64_t classes,
                ByteBuffer* storage, model::TensorView* result);

}  // namespace brim::api
