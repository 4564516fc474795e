#include "models/convolution/accumulator_additions.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <utility>

namespace mlsim::models {
namespace {

std::int64_t floor_quotient(std::int64_t value, std::int64_t divisor) {
  return value / divisor - (value % divisor < 0 ? 1 : 0);
}

std::int64_t ceiling(std::int64_t value, std::int64_t divisor) {
  return -floor_quotient(-value, divisor);
}

// Σ ⌊(step · i + first) / divisor⌋ over 0 <= i < count, modulo 2^64, as Euclid's algorithm takes step and divisor
// apart.
std::uint64_t sum_of_floors(std::uint64_t count, std::uint64_t step, std::uint64_t first, std::uint64_t divisor) {
  std::uint64_t sum = 0;
  while (count > 0) {
    const std::uint64_t pairs = count % 2 == 0 ? count / 2 * (count - 1) : (count - 1) / 2 * count;
    sum += step / divisor * pairs + first / divisor * count;
    step %= divisor;
    first %= divisor;
    const std::uint64_t last = step * count + first;
    if (last < divisor) break;
    count = last / divisor;
    first = last % divisor;
    std::swap(step, divisor);
  }
  return sum;
}

// Words of `size` places, one behind the other, that a sequence of `rows` intervals touches: each of `length` places,
// the first from `begin` on, each `distance` behind the one before.
std::int64_t touched_words(std::int64_t begin, std::int64_t length, std::int64_t distance, std::int64_t rows,
                           std::int64_t size) {
  const auto floors = [&](std::int64_t count, std::int64_t first) {
    return sum_of_floors(static_cast<std::uint64_t>(count), static_cast<std::uint64_t>(distance),
                         static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(size));
  };
  const std::int64_t last = begin + length - 1;
  auto words = static_cast<std::int64_t>(floors(rows, last) - floors(rows, begin)) + rows;
  // Where the gap is shorter than a word, an interval may end in the word in which the next one begins.
  if (distance - length + 1 < size) {
    words -= rows - 1 - static_cast<std::int64_t>(floors(rows - 1, begin + distance) - floors(rows - 1, last));
  }
  return words;
}

}  // namespace

// use(begin, end, places) for runs of places of which the same others meet the extent. Both ends fall as places move
// on.
template <typename Use>
void AccumulatorAdditions::for_each_class(const Axis& axis, const Use& use) {
  for (std::int64_t place = 0; place < axis.places;) {
    const std::int64_t low = axis.shift - place * axis.place_step;  // of other · other_step
    const std::int64_t high = low + axis.extent - 1;
    const std::int64_t begin = std::clamp<std::int64_t>(ceiling(low, axis.other_step), 0, axis.others);
    const std::int64_t end = std::clamp<std::int64_t>(floor_quotient(high, axis.other_step) + 1, 0, axis.others);
    if (end == 0) return;
    // The first place at which one of them is less.
    const std::int64_t last = axis.shift + axis.extent - 1 - (end - 1) * axis.other_step;
    std::int64_t next = std::min(axis.places, floor_quotient(last, axis.place_step) + 1);
    if (begin > 0) {
      next = std::min(next, ceiling(axis.shift - (begin - 1) * axis.other_step, axis.place_step));
    }
    if (begin < end) use(begin, end, next - place);
    place = next;
  }
}

// use(taps, begin, end, results) for phases of results that meet the same kernel positions.
template <typename Use>
void AccumulatorAdditions::for_each_backward_data_class(const ConvolutionShape& shape, std::size_t axis,
                                                        const Use& use) {
  const std::int64_t in = shape.in_size[axis];
  const std::int64_t out = shape.out_size()[axis];
  const std::int64_t kernel = shape.kernel[axis];
  const std::int64_t stride = shape.stride[axis];
  const std::int64_t dilation = shape.dilation[axis];
  const std::int64_t padding = shape.padding[axis].begin;
  // Kernel positions that meet the same results lie `period` apart, and these results the stride.
  const std::int64_t period = stride / std::gcd(stride, dilation);
  for (std::int64_t first = 0; first < std::min(kernel, period); ++first) {
    const std::int64_t distance = first * dilation - padding;
    const std::int64_t result = distance - floor_quotient(distance, stride) * stride;
    if (result >= in) continue;
    const std::int64_t taps = ceiling(kernel - first, period);
    const std::int64_t step = period * dilation / stride;  // of the error, from tap to tap
    // Result i meets the error at i - (distance - result) / stride - tap · step. With the last tap first, both grow.
    const std::int64_t shift = (distance - result) / stride + (taps - 1) * step;
    for_each_class({ceiling(in - result, stride), 1, taps, step, shift, out},
                   [&](std::int64_t begin, std::int64_t end, std::int64_t results) {
                     use(taps, taps - end, taps - begin, results);
                   });
  }
}

std::vector<AccumulatorAdditions::AxisClass> AccumulatorAdditions::classes_of(Pass pass, const ConvolutionShape& shape,
                                                                              std::size_t axis) {
  std::map<std::array<std::int64_t, 3>, std::int64_t> results_of;
  if (pass == Pass::kBackwardData) {
    for_each_backward_data_class(shape, axis,
                                 [&](std::int64_t taps, std::int64_t begin, std::int64_t end, std::int64_t results) {
                                   results_of[{taps, begin, end}] += results;
                                 });
  } else {
    const std::int64_t out = shape.out_size()[axis];
    const std::int64_t kernel = shape.kernel[axis];
    const std::int64_t stride = shape.stride[axis];
    const std::int64_t dilation = shape.dilation[axis];
    const std::int64_t shift = shape.padding[axis].begin;
    const Axis forward{out, stride, kernel, dilation, shift, shape.in_size[axis]};
    const Axis backward{kernel, dilation, out, stride, shift, shape.in_size[axis]};
    const Axis& taken = pass == Pass::kForward ? forward : backward;
    for_each_class(taken, [&](std::int64_t begin, std::int64_t end, std::int64_t results) {
      results_of[{taken.others, begin, end}] += results;
    });
  }
  std::vector<AxisClass> classes;
  classes.reserve(results_of.size());
  for (const auto& [taps, results] : results_of) classes.push_back({taps[0], taps[1], taps[2], results});
  return classes;
}

AccumulatorAdditions::AccumulatorAdditions(Pass pass, const ConvolutionShape& shape, bool taps_apart,
                                           int taps_per_cycle)
    : taps_apart_(taps_apart),
      taps_per_cycle_(taps_per_cycle),
      planes_(shape.result_shape(pass)[0] * shape.result_shape(pass)[1] / shape.groups),
      down_(classes_of(pass, shape, 0)),
      across_(classes_of(pass, shape, 1)) {}

std::uint64_t AccumulatorAdditions::of_run(std::int64_t length) const {
  std::uint64_t sum = 0;
  for (const AxisClass& down : down_) {
    for (const AxisClass& across : across_) {
      sum += static_cast<std::uint64_t>(down.results * across.results) *
             static_cast<std::uint64_t>(additions(length, down, across));
    }
  }
  return static_cast<std::uint64_t>(planes_) * sum;
}

// Of one result. Taps are numbered through the planes of the run, so that an addition may reach from one into the next.
std::int64_t AccumulatorAdditions::additions(std::int64_t length, const AxisClass& down,
                                             const AxisClass& across) const {
  const std::int64_t rows = down.end - down.begin;
  const std::int64_t columns = across.end - across.begin;
  if (taps_apart_) return rows * columns * ceiling(length, taps_per_cycle_);
  const std::int64_t plane = down.nominal * across.nominal;
  if (rows * columns == plane) return ceiling(length * plane, taps_per_cycle_);
  const std::int64_t first = down.begin * across.nominal + across.begin;  // of those that exist
  const std::int64_t last = (down.end - 1) * across.nominal + across.end - 1;
  const auto word_of = [&](std::int64_t tap) { return tap / taps_per_cycle_; };
  // Planes that begin at the same place of a word are alike.
  const std::int64_t period = taps_per_cycle_ / std::gcd(taps_per_cycle_, plane);
  std::int64_t words = 0;
  for (std::int64_t i = 0; i < std::min(period, length); ++i) {
    const std::int64_t start = i * plane % taps_per_cycle_;
    const std::int64_t alike = ceiling(length - i, period);
    words += alike * touched_words(start + first, columns, across.nominal, rows, taps_per_cycle_);
    // With the next plane, but for the last one.
    const bool shared = word_of(start + last) == word_of(start + plane + first);
    if (shared) words -= ceiling(length - 1 - i, period);
  }
  return words;
}

std::uint64_t accumulator_additions(Pass pass, const ConvolutionShape& shape, const Reduction& reduction,
                                    int taps_per_cycle) {
  if (taps_per_cycle == 1) return shape.multiply_adds(pass);
  const std::int64_t outer = shape.outer_count(pass);
  std::map<std::int64_t, std::uint64_t> runs;  // of all convolution groups, by their length
  if (reduction.longest_run() == 1 || reduction.all_runs() == shape.groups) {
    runs[reduction.longest_run()] = static_cast<std::uint64_t>(reduction.all_runs());
  } else {
    for (std::int64_t group = 0; group < shape.groups; ++group) {
      for (std::int64_t begin = 0; begin < outer;) {
        const std::int64_t end = reduction.run_end(group, begin);
        ++runs[end - begin];
        begin = end;
      }
    }
  }
  const AccumulatorAdditions additions(pass, shape, reduction.taps_apart(), taps_per_cycle);
  std::uint64_t sum = 0;
  for (const auto& [length, count] : runs) sum += count * additions.of_run(length);
  return sum;
}

}  // namespace mlsim::models
