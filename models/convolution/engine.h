// The engines of the functional convolution: an ordered list, of which the first that takes a request runs.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/integers.h"
#include "models/convolution/convolution.h"
#include "models/convolution/datapath.h"

namespace mlsim::models {

// All integers up to these, of either sign, are binary32 and binary64 numbers.
inline constexpr base::Int128 kFloatIntegers = base::Int128{1} << 24;
inline constexpr base::Int128 kDoubleIntegers = base::Int128{1} << 53;

// How large the integers of a pass can become.
struct SumBounds {
  base::Int128 product = 0;  // |k_left · k_right|
  base::Int128 sum = 0;      // of a group: |P|, within the register that was asked for
  base::Int128 scaled = 0;   // |Q|
  bool narrow = false;       // a register was asked for that a sum might leave
};

// The powers of two that are the smallest and the largest among the units g · 2^(s - U) of tiles that have values.
struct UnitRange {
  int smallest = 0;
  int largest = 0;
};

// A pass to compute, with what engines look at. Refers to what it was made from.
struct ConvolutionRequest {
  // Throws std::runtime_error where the product of the tensor scales overflows.
  ConvolutionRequest(Pass the_pass, const ConvolutionShape& the_shape, const ScaledTensor& the_left,
                     const ScaledTensor& the_right, const Accumulator& the_accumulator);

  Pass pass;
  const ConvolutionShape& shape;
  const ScaledTensor& left;
  const ScaledTensor& right;
  const Accumulator& accumulator;
  Reduction reduction;
  SumBounds bounds;
  UnitRange left_units;
  UnitRange right_units;
  float tensor_scale;       // T
  bool fits_float;          // no element and no sum can leave binary32 above
  bool results_fit_float;   // no result can leave binary32 above
  bool products_fit_float;  // elements and their products are multiples of the smallest binary32 number
  bool exact_float;         // every group's contribution is a binary32 number
};

struct Engine {
  std::string_view name;
  // Why it does not take a request, as what is said after its name; nothing where it takes it.
  std::optional<std::string> (*refusal)(const ConvolutionRequest& request);
  // Writes every result that has taps, and returns how many additions have overflowed.
  std::uint64_t (*run)(const ConvolutionRequest& request, float* results);
};

// Fastest first; the last takes everything.
std::span<const Engine> engines();

// For each engine up to the one that runs, a line "NAME: REASON", of that one "NAME: runs".
std::vector<std::string> explain_choice(const ConvolutionRequest& request);

}  // namespace mlsim::models
