#include "models/convolution/cpu/functional_convolution.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <optional>

#include "models/convolution/accumulator_additions.h"
#include "models/convolution/cpu/padded_planes.h"
#include "models/convolution/engine.h"

namespace mlsim::models {
namespace {

// Along the planes of a pass: results for which at least one kernel position is in step with the stride, and all their
// nominal taps.
struct PlaneCounts {
  std::int64_t results = 1;
  std::int64_t taps = 1;
};

PlaneCounts plane_counts(Pass pass, const ConvolutionShape& shape) {
  if (pass != Pass::kBackwardData) {
    const std::int64_t results =
        pass == Pass::kForward ? shape.out_size()[0] * shape.out_size()[1] : shape.kernel[0] * shape.kernel[1];
    return {results, results * shape.inner_taps(pass)};
  }
  PlaneCounts counts;
  const PaddedPlanes planes(pass, shape, true);
  for (const SourceAxis* axis : {&planes.vertical, &planes.horizontal}) {
    std::int64_t results = 0;
    std::int64_t taps = 0;
    for (const ResultPhase& phase : axis->results) {
      results += phase.taps.empty() ? 0 : phase.count;
      taps += static_cast<std::int64_t>(phase.taps.size()) * phase.count;
    }
    counts.results *= results;
    counts.taps *= taps;
  }
  return counts;
}

// Planes of results of one convolution group.
std::int64_t result_planes(Pass pass, const ConvolutionShape& shape) {
  const Shape result = shape.result_shape(pass);
  return result[0] * result[1] / shape.groups;
}

std::uint64_t reduction_groups(Pass pass, const ConvolutionShape& shape, const Reduction& reduction) {
  const PlaneCounts planes = plane_counts(pass, shape);
  return static_cast<std::uint64_t>(reduction.all_runs() * result_planes(pass, shape) *
                                    (reduction.taps_apart() ? planes.taps : planes.results));
}

OperationCounts counts_of(const ConvolutionRequest& request) {
  const Pass pass = request.pass;
  const ConvolutionShape& shape = request.shape;
  const ScaledFormat& left = request.left.format;
  const ScaledFormat& right = request.right.format;
  OperationCounts counts;
  counts.mantissa_multiplies = shape.multiply_adds(pass);
  counts.integer_adds = accumulator_additions(pass, shape, request.reduction, request.accumulator.taps_per_cycle);
  counts.tree_adds = counts.mantissa_multiplies - counts.integer_adds;
  if (left.element.exponent_bits > 0 || right.element.exponent_bits > 0) {
    counts.exponent_adds = counts.mantissa_multiplies;
    counts.shifts = counts.mantissa_multiplies;
  }
  counts.tensor_scale_multiplies =
      static_cast<std::uint64_t>(plane_counts(pass, shape).results * result_planes(pass, shape) * shape.groups);
  counts.group_exponent_adds = reduction_groups(pass, shape, request.reduction);
  counts.shift_adds = counts.group_exponent_adds;
  counts.conversions = counts.group_exponent_adds;
  counts.float_adds = counts.group_exponent_adds;
  return counts;
}

}  // namespace

OperationCounts functional_convolution_into(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left,
                                            const ScaledTensor& right, const Accumulator& accumulator,
                                            std::span<float> values) {
  assert(static_cast<std::int64_t>(values.size()) == element_count(shape.result_shape(pass)));
  // Elements that their scales make zeros do not overflow a narrow accumulator.
  std::array<std::optional<ScaledTensor>, 2> gated;
  const auto taken = [&](const ScaledTensor& t, std::optional<ScaledTensor>& copy) -> const ScaledTensor& {
    if (accumulator.bits == 0 || !has_zero_scale(t)) return t;
    return copy.emplace(ScaledTensor{t.format, t.shape, t.tensor_scale, t.scales, gated_codes(t)});
  };
  const ConvolutionRequest request(pass, shape, taken(left, gated[0]), taken(right, gated[1]), accumulator);
  OperationCounts counts = counts_of(request);
  // Engines write the results that have taps.
  if (counts.tensor_scale_multiplies != values.size()) std::fill(values.begin(), values.end(), 0.0F);
  const auto takes = [&](const Engine& engine) { return !engine.refusal(request); };
  counts.overflows = std::find_if(engines().begin(), engines().end(), takes)->run(request, values.data());
  if (!request.results_fit_float) {
    counts.non_finite = static_cast<std::uint64_t>(
        std::count_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); }));
  }
  return counts;
}

ConvolutionResult functional_convolution(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left,
                                         const ScaledTensor& right, const Accumulator& accumulator) {
  ConvolutionResult result;
  result.values.shape = shape.result_shape(pass);
  result.values.values.resize(static_cast<std::size_t>(element_count(result.values.shape)));
  result.counts = functional_convolution_into(pass, shape, left, right, accumulator, result.values.values);
  return result;
}

}  // namespace mlsim::models
