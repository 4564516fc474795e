// One pass of one layer, as the host loads it into the registers of the accelerator.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/convolution/datapath.h"
#include "models/formats/scaled_tensor.h"
#include "models/quantizer/quantizer.h"
#include "sim/exchange.h"
#include "sim/schedule.h"

namespace mlsim::sim {

// Structural: a module for every block, a signal for every wire. Cycle: the array is one module over flat arrays. Both
// give the same bits, cycles, counts and traffic.
enum class Detail : std::uint8_t { kStructural, kCycle };

// How results become operands of later passes: a format for each of them, with its own layout, or one for all that
// share it. Every quantization starts from the same binary32 numbers and takes the same random words. Beside it, what
// of the pass does not pass through DRAM.
struct ResultQuantization {
  std::vector<models::ScaledFormat> formats;
  models::QuantizerOptions options;
  Residence residence{};
};

// How wide the accumulators of a job are in this program, at cycle detail: as wide as they need be.
enum class AccumulatorWidth : std::uint8_t { k32, k64, k64Checked };

struct Job {
  models::Pass pass = models::Pass::kForward;
  const Schedule* schedule = nullptr;
  const models::ScaledTensor* row_operand = nullptr;
  const models::ScaledTensor* column_operand = nullptr;
  int accumulator_bits = 0;  // 2..64
  int sum_word_bits = 32;    // weight-stationary: of a partial sum inside a group, in its memory
  models::Overflow overflow = models::Overflow::kSaturate;
  bool can_overflow = false;  // the accumulator is narrower than the widest sum
  bool has_exponents = true;  // of at least one operand
  models::GroupScaler scaler;
  float tensor_scale = 0;  // T
  std::optional<ResultQuantization> quantization;
  Residence residence;
  ResultPath results;

  AccumulatorWidth accumulator_width() const {
    if (can_overflow) return AccumulatorWidth::k64Checked;
    return accumulator_bits <= 32 ? AccumulatorWidth::k32 : AccumulatorWidth::k64;
  }
  // Whether a sum times both scales is exact in binary64: it has less than 53 bits.
  bool scales_in_binary64() const {
    return accumulator_bits + row_operand->format.scale.fraction_bits + column_operand->format.scale.fraction_bits + 1 <
           53;
  }
};

}  // namespace mlsim::sim
