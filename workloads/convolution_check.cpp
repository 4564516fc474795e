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

}  // namespace mlsim::workloads
