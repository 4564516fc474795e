// The C++ calls that python_overhead.py sets its own beside: the median time of each in microseconds, a line for each.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "models/convolution/cpu/functional_convolution.h"
#include "models/quantizer/quantizer.h"

namespace {

using mlsim::models::ConvolutionShape;
using mlsim::models::Pass;
using mlsim::models::ScaledTensor;
using mlsim::models::Shape;
using Clock = std::chrono::steady_clock;

ScaledTensor ones(const Shape& shape) {
  mlsim::models::Tensor<float> tensor{shape, {}};
  tensor.values.assign(static_cast<std::size_t>(mlsim::models::element_count(shape)), 1.0F);
  return mlsim::models::quantize(tensor, mlsim::models::parse_scaled_format("e2m4"), {}, "ones").tensor;
}

double median_microseconds(const ConvolutionShape& shape) {
  const ScaledTensor activation = ones(shape.activation_shape());
  const ScaledTensor weight = ones(shape.weight_shape());
  std::vector<std::int64_t> times;
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(500);
  while (Clock::now() < end) {
    const Clock::time_point begin = Clock::now();
    const auto result = mlsim::models::functional_convolution(Pass::kForward, shape, activation, weight, {});
    times.push_back((Clock::now() - begin).count());
    if (result.values.values.empty()) return 0;
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::int64_t>(times.size() / 2), times.end());
  return static_cast<double>(times[times.size() / 2]) / 1000;
}

}  // namespace

int main() {
  // As LAYERS of python_overhead.py.
  ConvolutionShape smallest;
  ConvolutionShape small;
  small.in_channels = small.out_channels = 8;
  small.in_size = {8, 8};
  small.kernel = {3, 3};
  small.padding = {1, 1};
  ConvolutionShape layer = small;
  layer.batch = 8;
  layer.in_channels = layer.out_channels = 16;
  layer.in_size = {32, 32};
  for (const ConvolutionShape& shape : {smallest, small, layer}) fmt::print("{:.3f}\n", median_microseconds(shape));
}
