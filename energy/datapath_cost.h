// Price of every operation and area of every block of one machine, from the formats of its operands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "energy/cost_table.h"
#include "energy/laws.h"
#include "energy/operations.h"
#include "models/formats/format.h"

namespace mlsim::energy {

// The elements of a machine that multiplies two block-scaled formats, and what scales their sums. Int8 is multiplied as
// sign and magnitude of 7 bits, as models/convolution/datapath.h does it.
struct ScaledDatapath {
  models::ScaledFormat left;
  models::ScaledFormat right;
  int accumulator_bits = 19;  // 2..128
  int taps_per_cycle = 1;     // multipliers of an element, 1..1024

  int product_bits() const { return left.element.integer_bits() + right.element.integer_bits(); }
  // Width of the exponents' adder: max(Ex), 0 where neither operand has an exponent.
  int exponent_adder_bits() const;
  // Bits of the sum of both exponent fields: max(Ex) + 1 where both operands have an exponent, max(Ex) where one has,
  // else 0. They cover the largest shift, the sum of 2^Ex - 2 (e5m2: 2^5 - 3) over the operands that have an exponent.
  int shifter_stages() const;
  // Bits of Q, the group's sum times both scales' integers g: accumulator bits, plus Mg + 1 for each scale that has a
  // fraction, 4 for E4M3.
  int scaled_sum_bits() const;
  // Whether results are multiplied by a tensor scale: that of MX is 1.
  bool has_tensor_scale() const;
};

// Operands of a conventional machine. Floats are summed in binary32 or in fp16, int8 in 32-bit integers.
struct BaselineDatapath {
  models::BaselineFormat left = models::BaselineFormat::kFp32;
  models::BaselineFormat right = models::BaselineFormat::kFp32;
  bool sums_in_fp16 = false;
  int taps_per_cycle = 1;
};

using Datapath = std::variant<ScaledDatapath, BaselineDatapath>;

// What surrounds the datapath; the same for every machine of a comparison.
struct Surroundings {
  int left_fanout = 1;          // processing elements fed by one register of the left operand
  int right_fanout = 1;         // and of the right operand
  double buffer_bytes = 8192;   // capacity of an operand buffer
  double sram_bytes = 1048576;  // capacity of the shared SRAM
  int random_bits = 16;         // of a stochastic rounding; 0: none
  // Each element holds its operands where one of them is zero, so that nothing in it switches.
  bool zero_gating = false;
  // Of the bits of the operands' registers, how many change with a new operand, relative to random ones (half).
  double left_activity = 1;
  double right_activity = 1;
  // Of an operand that stays in its element, which has a second register for the next one: how many of both registers'
  // loads come to a multiply-add, each. None: the operand is new with every multiply-add.
  std::optional<double> left_loads{};
  std::optional<double> right_loads{};
  // Binary32 sums over the groups lie in the shared SRAM instead of in a register for each element.
  bool sums_in_memory = false;
  // What results are quantized to, on a machine with a quantizer for each system of formats. None: it has one, the
  // dearer of its operands'.
  std::optional<models::Format> quantized{};
  std::optional<DramTechnology> dram{};  // none: the DRAM of the cost table
};

struct AreaBlock {
  std::string name;
  double area_um2 = 0;
};

// Whether it holds what is moved, and computes nothing.
bool is_memory(const AreaBlock& block);

struct UnitArea {
  std::vector<AreaBlock> blocks;
  double total() const;
};

struct DatapathCost {
  // pJ for one of each operation (a bit for random bits and memory); 0 for what the machine does not have.
  PerOperation<Range> price_pj;
  // The same where the product is zero; as above for what is not of a multiply-add (is_of_multiply_add), and for
  // additions of elements with several multipliers, which are seldom of zeros alone.
  PerOperation<Range> zero_price_pj;
  // Bits of a processing element's registers that a clock reaches where the element does nothing: its accumulator and
  // its share of the operands' registers. None where elements hold still at a zero, since that is what an idle one has.
  double idle_register_bits = 0;
  UnitArea processing_element;
  UnitArea group_scale_unit;           // for a baseline: what turns a sum into a result
  UnitArea quantizer;                  // one element a cycle
  double operand_buffer_area_um2 = 0;  // one buffer: an estimate, no area is published
  double sram_area_um2 = 0;            // an estimate, no area is published
};

// Throws std::runtime_error with one sentence for a number out of range and for int8 beside a float.
DatapathCost price_datapath(const Laws& laws, const Datapath& datapath, const Surroundings& surroundings = {});

// What so many multiply-adds are on that datapath, registers included: for a baseline all of a pass but its results.
Counts multiply_add_counts(const Datapath& datapath, std::uint64_t multiply_adds);
// The same where several are one addition to an accumulator, of which there are `additions`.
Counts multiply_add_counts(const Datapath& datapath, std::uint64_t multiply_adds, std::uint64_t additions);

// What is left of an element's energy, operand registers apart, in a multiply-add of a zero operand that is not gated.
// Measured on netlists: a stream behind a ReLU, taken as half zeros, costs an integer multiply-add a third less and an
// MLS one a fifth less. No figure of floating point is known; it is given the MLS one, so that a ratio of the two does
// not move.
inline constexpr double kZeroShareMls = 1 - 2.0 / 5;
inline constexpr double kZeroShareInteger = 1 - 2.0 / 3;
inline constexpr double kZeroShareFloat = kZeroShareMls;

// How many units a machine has.
struct Units {
  std::int64_t processing_elements = 0;
  std::int64_t group_scale_units = 0;
  std::int64_t quantizers = 0;
  std::int64_t operand_buffers = 0;
  std::int64_t srams = 0;
};

// Area of the whole machine, a block for every kind of unit.
UnitArea machine_area(const DatapathCost& cost, const Units& units);

}  // namespace mlsim::energy
