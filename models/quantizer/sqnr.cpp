#include "models/quantizer/sqnr.h"

#include <algorithm>
#include <array>

#include "models/baseline/baseline.h"
#include "models/formats/scaled_tensor.h"

namespace mlsim::models {

// Not inline, and in copies of the sums: beside calls the compiler keeps them in memory, which takes three times as
// long.
template <typename Exact, typename Computed>
void ErrorSums::add(std::span<const Exact> exact, std::span<const Computed> computed) {
  double exact_square = exact_square_;
  double computed_square = computed_square_;
  double dot = dot_;
  double noise = noise_;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const auto e = static_cast<double>(exact[i]);
    const auto c = static_cast<double>(computed[i]);
    const double difference = c - e;
    exact_square += e * e;
    computed_square += c * c;
    dot += e * c;
    noise += difference * difference;
  }
  exact_square_ = exact_square;
  computed_square_ = computed_square;
  dot_ = dot;
  noise_ = noise;
}

template void ErrorSums::add(std::span<const float>, std::span<const double>);
template void ErrorSums::add(std::span<const double>, std::span<const float>);
template void ErrorSums::add(std::span<const double>, std::span<const double>);

// A block in the first-level cache at a time.
void add_errors(std::span<const float> input, const ScaledTensor& quantized, ErrorSums& sums) {
  constexpr std::size_t kPart = 1024;
  const Dequantizer dequantizer(quantized);
  std::array<double, kPart> block;
  for (std::size_t first = 0; first < input.size(); first += kPart) {
    const std::span<double> values(block.data(), std::min(kPart, input.size() - first));
    dequantizer.run(first, values);
    sums.add(input.subspan(first, values.size()), std::span<const double>(values));
  }
}

void add_errors(std::span<const float> input, const BaselineTensor& quantized, ErrorSums& sums) {
  sums.add(input, std::span<const double>(dequantize(quantized).values));
}

}  // namespace mlsim::models
