#include "workloads/convolution_check.h"

#include <stdexcept>

#include "base/error.h"
#include "base/json.h"

namespace mlsim::workloads {

void check_convolution(const models::ConvolutionShape& shape, const std::string& file, const std::string& pointer) {
  try {
    shape.check();
  } catch (const std::runtime_error& error) {
    // The sentence starts with the name of the field.
    const std::string sentence = error.what();
    const std::size_t field_end = sentence.find(' ');
    base::refuse(file, pointer + "/" + sentence.substr(0, field_end), sentence.substr(field_end + 1));
  }
  double largest = 1;
  for (const models::Pass pass : models::kPasses) {
    double count = static_cast<double>(shape.outer_count(pass)) * static_cast<double>(shape.inner_taps(pass));
    for (const std::int64_t extent : shape.result_shape(pass)) count *= static_cast<double>(extent);
    largest = std::max(largest, count);
  }
  for (const models::Operand operand : models::kOperands) {
    double count = 1;
    for (const std::int64_t extent : shape.shape_of(operand)) count *= static_cast<double>(extent);
    largest = std::max(largest, count);
  }
  if (largest > 0x1p56) base::refuse(file, pointer, "has more than 2^56 multiply-adds or elements");
}

std::array<models::Padding, 2> padding_from_json(const nlohmann::json& json) {
  std::array<models::Padding, 2> padding;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const nlohmann::json& sides = json.at(axis);
    padding[axis] = sides.is_array() ? models::Padding(sides.at(0).get<std::int64_t>(), sides.at(1).get<std::int64_t>())
                                     : models::Padding(sides.get<std::int64_t>());
  }
  return padding;
}

nlohmann::ordered_json padding_to_json(const std::array<models::Padding, 2>& padding) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  const bool symmetric = padding[0].begin == padding[0].end && padding[1].begin == padding[1].end;
  for (const models::Padding& sides : padding) {
    if (symmetric) {
      json.push_back(sides.begin);
    } else {
      json.push_back(nlohmann::ordered_json::array({sides.begin, sides.end}));
    }
  }
  return json;
}

}  // namespace mlsim::workloads
