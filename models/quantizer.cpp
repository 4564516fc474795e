#include "models/quantizer.h"

#include <stdexcept>

#include "models/reference_quantizer.h"

namespace mlsim::models {

Rounding parse_rounding(const std::string& text) {
  if (text == "nearest") return Rounding::kNearest;
  if (text == "stochastic") return Rounding::kStochastic;
  throw std::runtime_error("rounding '" + text + "' is neither nearest nor stochastic");
}

std::string to_string(Rounding rounding) {
  return rounding == Rounding::kNearest ? "nearest" : "stochastic";
}

QuantizedTensor quantize(const Tensor<float>& input, const MlsFormat& format, const QuantizerOptions& options,
                         const std::string& name) {
  return reference_quantize(input, format, options, name);
}

}  // namespace mlsim::models
