// A quantized tensor as Python holds it.
// Tested in tests/python/quantize_test.py.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <span>
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
    return std::visit([](const auto& quantized) -> models::Format { return quantized.format; }, tensor);
  }
  float tensor_scale() const {
    if (const auto* blocks = scaled()) return blocks->tensor_scale;
    return std::get<models::BaselineTensor>(tensor).scale;
  }
};

// The rounding that arguments of Python ask for. Throws std::runtime_error for what is none.
models::QuantizerOptions rounding_of(const std::string& rounding, const pybind11::object& random_bits,
                                     const pybind11::object& seed, const pybind11::object& stream);

// Writes the values without the scale of the tensor, which it returns. `name` is what errors call the input.
float quantize_values(std::span<const float> input, const models::Shape& shape, const models::Format& format,
                      const models::QuantizerOptions& rounding, const std::string& name, std::span<float> values);

}  // namespace mlsim::python
