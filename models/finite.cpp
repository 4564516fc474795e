#include "models/finite.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace mlsim::models {

void check_finite(const Tensor<float>& tensor, const std::string& name) {
  const auto bad = std::find_if(tensor.values.begin(), tensor.values.end(), [](float x) { return !std::isfinite(x); });
  if (bad == tensor.values.end()) return;
  std::string index;
  std::int64_t flat = bad - tensor.values.begin();
  for (std::size_t axis = tensor.shape.size(); axis-- > 0;) {
    index = std::to_string(flat % tensor.shape[axis]) + (index.empty() ? "" : ", ") + index;
    flat /= tensor.shape[axis];
  }
  throw std::runtime_error(name + ": the element at [" + index + "] is " + (std::isnan(*bad) ? "NaN" : "infinite") +
                           ", expected a finite number");
}

}  // namespace mlsim::models
