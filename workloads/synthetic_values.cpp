#include "workloads/synthetic_values.h"

#include <algorithm>
#include <array>

#include "base/integers.h"
#include "base/parallel.h"
#include "models/quantizer/quantizer_kernels.h"
#include "workloads/synthetic_kernels.h"

namespace mlsim::workloads {
namespace {

// Elements evaluated at a time: their random words stay in the first-level cache.
constexpr std::size_t kBlock = 1024;
// Blocks that are worth a thread's while.
constexpr std::size_t kGrain = 4;

}  // namespace

std::string to_string(Distribution distribution) {
  switch (distribution) {
    case Distribution::kNormal:
      return "normal";
    case Distribution::kReluNormal:
      return "relu-normal";
    case Distribution::kUniform:
      return "uniform";
    case Distribution::kLaplace:
      break;
  }
  return "laplace";
}

models::Tensor<float> synthetic_tensor(const models::Shape& shape, const SyntheticValues& values) {
  using Range = tbb::blocked_range<std::size_t>;
  const auto count = static_cast<std::size_t>(models::element_count(shape));
  models::Tensor<float> tensor{shape, std::vector<float>(count)};
  base::parallel_for(Range(0, base::ceiling(count, kBlock), kGrain), [&](const Range& blocks) {
    alignas(64) std::array<std::uint32_t, 2 * kBlock> words;
    for (std::size_t first = blocks.begin() * kBlock; first < std::min(blocks.end() * kBlock, count); first += kBlock) {
      const std::size_t elements = std::min(kBlock, count - first);
      models::random_words(values.seed, values.stream, 2 * first, (2 * elements + 3) / 4 * 4, words.data());
      synthetic_values(values.distribution, values.scale, words.data(), elements, tensor.values.data() + first);
    }
  });
  return tensor;
}

}  // namespace mlsim::workloads
