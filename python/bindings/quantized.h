// A quantized tensor as Python holds it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "models/baseline/baseline.h"
#include "models/formats/format.h"
#include "models/formats/scaled_tensor.h"
#include "models/quantizer/quantizer.h"

namespace mlsim::python {

struct Quantized {
  // Of four dimensions, the last ones 1 where the array had fewer.
  std::variant<models::ScaledTensor, models::BaselineTensor> tensor;
  models::Shape shape;  // of the array
  models::QuantizerOptions rounding;
  models::QuantizationCounts counts;
  std::optional<double> sqnr_db;           // where it was measured
  std::optional<models::Operand> operand;  // where they were said
  std::optional<models::Pass> pass;

  const models::ScaledTensor* scaled() const { return std::get_if<models::ScaledTensor>(&tensor); }
  const models::BaselineTensor* baseline() const { return std::get_if<models::BaselineTensor>(&tensor); }
  models::Format format() const {
    if (const auto* blocks = scaled()) return blocks->format;
    return baseline()->format;
  }
  float tensor_scale() const { return scaled() != nullptr ? scaled()->tensor_scale : baseline()->scale; }
};

}  // namespace mlsim::python
