#include "models/quantizer/finite.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace mlsim::models {

void check_finite(std::span<const float> values, const Shape& shape, const std::string& name) {
  const auto bad = std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
  if (bad == values.end()) return;
  std::string index;
  std::int64_t flat = bad - values.begin();
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    index.insert(0, std::to_string(flat % shape[axis]) + (index.empty() ? "" : ", "));
    flat /= shape[axis];
  }
  throw std::runtime_error(name + ": the element at [" + index + "] is " + (std::isnan(*bad) ? "NaN" : "infinite") +
                           ", expected a finite number");
}

void check_finite(const Tensor<float>& tensor, const std::string& name) {
  check_finite(tensor.values, tensor.shape, name);
}

}  // namespace mlsim::models
