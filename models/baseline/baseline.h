// The formats that MLS is compared with: quantization of operands, and convolutions with their own accumulators.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/formats/format.h"
#include "models/formats/tensor.h"
#include "models/quantizer/quantizer.h"

namespace mlsim::models {

// Codes of one number, rounded to nearest even. fp32, fp16 and bf16 are the IEEE 754 and truncated-exponent encodings
// (an overflow becomes an infinity); fp8-e4m3 and fp8-e5m2 are those of the OCP 8-bit Floating Point Specification
// (OFP8, revision 1.0) with saturation to the largest finite number, 448 and 57344; int8 is an integer from -127 to
// 127.
std::uint32_t encode_baseline(BaselineFormat format, float value);
float decode_baseline(BaselineFormat format, std::uint32_t code);

// A tensor in a baseline format. A real value is scale × value. The scale is
// - fp32, bf16: 1 (their range is binary32's),
// - fp16, fp8: the power of two that puts the largest magnitude into the format's top binade without overflow, as loss
//   scaling and per-tensor scaling do in training,
// - int8: max |X| / 127 (symmetric, per tensor);
// and 1 for a tensor of zeros.
struct BaselineTensor {
  BaselineFormat format = BaselineFormat::kFp32;
  Shape shape;
  float scale = 1;
  std::vector<float> values;  // without the scale
  QuantizationCounts counts;
};

// Rounds every element divided by the scale: to nearest even, or stochastically as the numeric contract has it for MLS,
// with the last place of the element's binade (int8: 1) as the unit and the same random words.
// Throws std::runtime_error for a NaN or an infinity, with `name` and the index of the first one.
BaselineTensor quantize_baseline(std::span<const float> input, const Shape& shape, BaselineFormat format,
                                 const QuantizerOptions& options, const std::string& name);
BaselineTensor quantize_baseline(const Tensor<float>& input, BaselineFormat format, const QuantizerOptions& options,
                                 const std::string& name);
// The same, to nearest.
BaselineTensor quantize_baseline(const Tensor<float>& input, BaselineFormat format, const std::string& name);

// The same numbers without codes, threaded: writes every value to `output`, which may be `input`, and returns the
// scale.
float quantize_baseline_scaled(std::span<const float> input, const Shape& shape, BaselineFormat format,
                               const QuantizerOptions& options, const std::string& name, std::span<float> output);

// How a tensor's largest magnitude gives its scale.
enum class BaselineScaling : std::uint8_t { kNone, kPowerOfTwo, kInteger };

// The numbers of a format other than fp32 as rounding needs them; bits are those of binary32.
struct BaselineGrid {
  BaselineScaling scaling = BaselineScaling::kNone;
  int mantissa_bits = 0;              // of normal numbers
  std::uint32_t smallest_normal = 0;  // bits; below it numbers are multiples of `step`
  float step = 0;
  float inverse_step = 0;
  std::uint32_t largest = 0;  // bits of the largest magnitude; of infinity where an overflow becomes one
  bool negative_zero = false;
};
BaselineGrid grid_of(BaselineFormat format);

std::vector<std::uint32_t> encode_baseline(const BaselineTensor& tensor);
// Every element's value, exact in binary64.
Tensor<double> dequantize(const BaselineTensor& tensor);

// Products are rounded to binary32 (exact for every format but fp32) and summed in binary32, in ascending order of the
// outer index and of the taps; int8 products are summed in a 32-bit integer, which wraps, and sums that leave it are
// counted as overflows. The result is the sum times the product of the scales. Both operands are floating-point formats
// (which may differ) or both are int8. Counts hold multiplies, adds and overflows alone.
// Throws std::runtime_error for a mixture of int8 and floating point, and where the product of the scales overflows.
ConvolutionResult baseline_convolution(Pass pass, const ConvolutionShape& shape, const BaselineTensor& left,
                                       const BaselineTensor& right);

}  // namespace mlsim::models
