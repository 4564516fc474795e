// How often accumulators add where several products are one addition: in closed form, since padding decides which of
// them have a product at all.
#pragma once

#include <cstdint>
#include <vector>

#include "models/convolution/convolution.h"

namespace mlsim::models {

// The additions of a pass on elements that add up to `taps_per_cycle` consecutive nominal taps of a reduction group at
// once. One of which all taps are padding is none.
class AccumulatorAdditions {
 public:
  AccumulatorAdditions(Pass pass, const ConvolutionShape& shape, bool taps_apart, int taps_per_cycle);

  // Of a run of so many outer indices, over all results of one convolution group.
  std::uint64_t of_run(std::int64_t length) const;

 private:
  // Results along an axis that have the same taps: `begin` to `end` of `nominal` ones exist.
  struct AxisClass {
    std::int64_t nominal = 0;
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t results = 0;
  };
  // A place and another one meet where place · place_step + other · other_step - shift lies in an extent.
  struct Axis {
    std::int64_t places = 0;
    std::int64_t place_step = 1;
    std::int64_t others = 0;
    std::int64_t other_step = 1;
    std::int64_t shift = 0;
    std::int64_t extent = 0;
  };

  template <typename Use>
  static void for_each_class(const Axis& axis, const Use& use);
  template <typename Use>
  static void for_each_backward_data_class(const ConvolutionShape& shape, std::size_t axis, const Use& use);
  static std::vector<AxisClass> classes_of(Pass pass, const ConvolutionShape& shape, std::size_t axis);
  std::int64_t additions(std::int64_t length, const AxisClass& down, const AxisClass& across) const;

  bool taps_apart_;
  std::int64_t taps_per_cycle_;
  std::int64_t planes_;  // of results of a convolution group
  std::vector<AxisClass> down_;
  std::vector<AxisClass> across_;
};

// Of the whole pass.
std::uint64_t accumulator_additions(Pass pass, const ConvolutionShape& shape, const Reduction& reduction,
                                    int taps_per_cycle);

}  // namespace mlsim::models
