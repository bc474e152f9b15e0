// Reading weights and nothing else: what an inference costs at least that finds its weights cold.
#include <openvino/op/constant.hpp>

#include "bare_copy.h"

namespace brim::bench {
namespace {

std::size_t WeightBytes(const ov::Model& model) {
  std::size_t bytes = 0;
  for (const std::shared_ptr<ov::Node>& node : model.get_ops()) {
    const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node);
    if (constant != nullptr && constant->get_element_type() == ov::element::f32) {
      bytes += constant->get_byte_size();
    }
  }
  return bytes;
}

}  // namespace

Copies MakeReaders(const std::string& file, int count) {
  ov::Core core;
  const std::size_t bytes = WeightBytes(*core.read_model(file));
  const std::size_t step = 4 * sizeof(CacheLine);
  const std::size_t lines = 4 * ((bytes + step - 1) / step);
  Copies copies;
  for (int i = 0; i < count; ++i) {
    copies.push_back(std::make_unique<Copy>());
    // Written, else all would be the one page of zeros.
    copies.back()->weights.assign(lines, CacheLine{1});
  }
  return copies;
}

// Four sums, so that loads need not wait for additions. Eight of them, software prefetch 1 and 4 KB
// ahead and huge pages were tried: 7 % and less.
__attribute__((target_clones("avx512f", "avx2", "default"))) void ReadWeights(const Copy& copy) {
  CacheLine a{}, b{}, c{}, d{};
  const CacheLine* const end = copy.weights.data() + copy.weights.size();
  for (const CacheLine* at = copy.weights.data(); at != end; at += 4) {
    a += at[0];
    b += at[1];
    c += at[2];
    d += at[3];
  }
  a += b + c + d;
  // So that no load can be left out.
  const volatile std::uint64_t used = a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
  static_cast<void>(used);
}

}  // namespace brim::bench
