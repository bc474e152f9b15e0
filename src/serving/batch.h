// Joins the inputs of several requests along axis 0, and splits the outputs of the joined run
// again.
//
// Pure but for the buffer that it writes; any thread. Strings are joined and split in their
// encoding (model/tensor.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "model/tensor.h"

namespace brim::serving {

// Writes the joined tensors of `requests` (same count, names, dtypes and shapes apart from axis 0,
// each of rank 1 at least, data checked) into *scratch, each at a multiple of 64 bytes, and their
// views into *joined. Both are cleared first and keep their memory. Views are valid while *scratch
// is not changed. Each tensor gets `padding` rows more, which repeat its last row: so they are as
// valid as the rest. REQUIRES: without padding, or no strings and a row at least.
void JoinInputs(std::span<const std::span<const model::TensorView>> requests, std::uint32_t padding,
                ByteBuffer* scratch, std::vector<model::TensorView>* joined);

// Cuts each output into one piece per request, rows[r] rows each: pieces[r * outputs.size() + o],
// and drops the last `padding` rows. Views point into the outputs' data. kInternal when an output's
// first dimension is not the sum of rows and padding or its data does not fit its shape: then the
// model mixes or ignores axis 0 and must not be batched.
Status SplitOutputs(std::span<const model::TensorView> outputs, std::span<const std::uint32_t> rows,
                    std::uint32_t padding, std::vector<model::TensorView>* pieces);

}  // namespace brim::serving
