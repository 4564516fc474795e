// What a sweep varies, from what users write.
// Tested in tests/evaluation/sweep_points_test.cpp.
#pragma once

#include <string>
#include <vector>

#include "evaluation/sweep.h"

namespace mlsim::evaluation {

// Widths in bits, both ends included.
struct WidthRange {
  int low = 0;
  int high = 0;
};
inline constexpr WidthRange kExponentWidths{0, 4};
inline constexpr WidthRange kMantissaWidths{0, 10};
inline constexpr WidthRange kScaleExponentWidths{0, 8};
inline constexpr WidthRange kScaleFractionWidths{0, 3};
inline constexpr WidthRange kAccumulatorWidths{2, 64};
inline constexpr int kMostSharing = 1 << 20;
inline constexpr int kMostTapsPerCycle = 1024;

struct WidthRanges {
  WidthRange exponent;
  WidthRange mantissa;
  WidthRange scale_exponent{8, 8};
  WidthRange scale_fraction{1, 1};
};

// `F`, or `A+W+E` for activation, weight and error. Throws std::runtime_error with a sentence for anything else.
PerOperand<models::Format> parse_sweep_formats(const std::string& text);

// Throws std::runtime_error with a sentence for what is the name of no grouping.
void check_grouping(const std::string& text);

// The formats of a sweep, each with each of the groupings where it takes one: it has none yet and is no baseline.
std::vector<PerOperand<models::Format>> sweep_formats(const std::vector<std::string>& formats,
                                                      const std::vector<std::string>& groupings);
// MLS formats of all widths in the ranges, without the corners that are no format. Throws std::runtime_error where none
// is left.
std::vector<PerOperand<models::Format>> sweep_formats(const WidthRanges& ranges,
                                                      const std::vector<std::string>& groupings);

// Both, without what is there twice.
std::vector<PerOperand<models::Format>> joined(std::vector<PerOperand<models::Format>> formats,
                                               const std::vector<PerOperand<models::Format>>& more);

// Throws std::runtime_error for formats of which a pass of the workload multiplies two that do not go together.
void check_products(const PerOperand<models::Format>& formats, const workloads::Workload& workload);

}  // namespace mlsim::evaluation
