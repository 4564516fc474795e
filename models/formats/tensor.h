// Dense tensors in C order.
// Tested in tests/models/scaled_tensor_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mlsim::models {

using Shape = std::vector<std::int64_t>;

inline std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

// As Python writes it: "(2, 3)", "(3,)" of one extent, "()" of none.
inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (const std::int64_t extent : shape) text += (text.size() == 1 ? "" : ", ") + std::to_string(extent);
  return text + (shape.size() == 1 ? ",)" : ")");
}

template <typename T>
struct Tensor {
  Shape shape;
  std::vector<T> values;  // element_count(shape) of them

  std::int64_t size() const { return static_cast<std::int64_t>(values.size()); }
};

}  // namespace mlsim::models
