// One pass of one layer, as the host loads it into the registers of the accelerator.
#pragma once

#include <optional>
#include <string>

#include "models/convolution/convolution.h"
#include "models/convolution/datapath.h"
#include "models/formats/scaled_tensor.h"
#include "models/quantizer/quantizer.h"
#include "sim/output_stationary/schedule.h"

namespace mlsim::sim {

// Structural: a module for every block, a signal for every wire. Cycle: the array is one module over flat arrays. Both
// give the same bits, cycles, counts and traffic.
enum class Detail : std::uint8_t { kStructural, kCycle };

// How results become operands of a later pass.
struct ResultQuantization {
  std::vector<models::ScaledFormat> formats;  // distinct: results are quantized once in each
  models::QuantizerOptions options;
  std::string name;  // of the result, for errors
};

struct Job {
  models::Pass pass = models::Pass::kForward;
  const Schedule* schedule = nullptr;
  const models::ScaledTensor* row_operand = nullptr;
  const models::ScaledTensor* column_operand = nullptr;
  int accumulator_bits = 0;  // 2..64
  models::Overflow overflow = models::Overflow::kSaturate;
  bool can_overflow = false;  // the accumulator is narrower than the widest sum
  bool has_exponents = true;  // of at least one operand
  models::GroupScaler scaler;
  float tensor_scale = 0;  // T
  std::optional<ResultQuantization> quantization;
};

}  // namespace mlsim::sim
