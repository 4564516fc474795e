// A pass of the machine against the reference convolution, the closed form and the count of toggles.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "models/convolution/cpu/functional_convolution.h"
#include "models/convolution/reference/reference_convolution.h"
#include "models/convolution/zero_products.h"
#include "models/quantizer/quantizer.h"
#include "models/quantizer/reference_quantizer.h"
#include "sim/dataflow.h"
#include "sim/simulate.h"
#include "tests/sim/random_arrays.h"
#include "tests/sim/random_pass.h"
#include "tests/support/repetitions.h"

namespace mlsim::sim {

// A NaN is a NaN, whatever its bits.
inline bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

inline void expect_same(const models::Tensor<float>& actual, const models::Tensor<float>& expected) {
  ASSERT_EQ(actual.shape, expected.shape);
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    ASSERT_TRUE(same(actual.values[i], expected.values[i]))
        << "result " << i << " is " << actual.values[i] << ", expected " << expected.values[i];
  }
}

inline void expect_same(const models::ScaledTensor& actual, const models::ScaledTensor& expected) {
  ASSERT_TRUE(same(actual.tensor_scale, expected.tensor_scale)) << actual.tensor_scale << ", " << expected.tensor_scale;
  ASSERT_EQ(actual.shape, expected.shape);
  ASSERT_EQ(actual.scales.size(), expected.scales.size());
  for (std::size_t i = 0; i < expected.scales.size(); ++i) {
    const auto text = [](models::TileScale scale) {
      return std::to_string(scale.significand) + " * 2^" + std::to_string(scale.exponent);
    };
    ASSERT_EQ(actual.scales[i], expected.scales[i])
        << "scale " << i << " is " << text(actual.scales[i]) << ", expected " << text(expected.scales[i]);
  }
  for (std::size_t i = 0; i < expected.codes.size(); ++i) ASSERT_EQ(actual.codes[i], expected.codes[i]) << "code " << i;
}

inline void check(Simulator& simulator, const ArrayConfig& config, const RandomPass& random) {
  const models::ConvolutionResult expected =
      models::reference_convolution(random.pass, random.shape, random.left, random.right, random.accumulator);
  const PassResult result = simulator.simulate_pass(random.pass, random.shape, random.left, random.right,
                                                    random.accumulator, random.quantization);
  expect_same(result.values, expected.values);
  EXPECT_EQ(result.counts, expected.counts);
  EXPECT_EQ(result.zero_products,
            models::count_zero_products(random.pass, random.shape, models::nonzero_elements(random.left),
                                        models::nonzero_elements(random.right)));
  EXPECT_EQ(result.toggles,
            dataflow_of(config).count_toggles(random.pass, random.shape, random.left, random.right, config));

  const std::vector<models::ScaledFormat>& formats = random.quantization.formats;
  Exchange exchange(formats.begin(), formats.end());
  if (config.quantizes_results()) exchange.residence = random.quantization.residence;
  PassPrediction predicted =
      dataflow_of(config).predict(random.pass, random.shape, random.left.format, random.right.format, config, exchange);
  predicted.counts.overflows = expected.counts.overflows;
  predicted.counts.non_finite = expected.counts.non_finite;
  EXPECT_EQ(predicted.counts, expected.counts);
  EXPECT_EQ(result.cycles.array, predicted.cycles.array);
  EXPECT_EQ(result.cycles.fill_stalls, predicted.cycles.fill_stalls);
  EXPECT_EQ(result.cycles.scaler_stalls, predicted.cycles.scaler_stalls);
  EXPECT_EQ(result.cycles.dram_stalls, predicted.cycles.dram_stalls);
  EXPECT_EQ(result.cycles.sram_stalls, predicted.cycles.sram_stalls);
  EXPECT_EQ(result.cycles.quantizer, predicted.cycles.quantizer);
  EXPECT_EQ(result.cycles.quantizer_stalls, predicted.cycles.quantizer_stalls);
  const Traffic& t = result.traffic;
  const Traffic& p = predicted.traffic;
  EXPECT_EQ(t.dram_row_reads, p.dram_row_reads);
  EXPECT_EQ(t.dram_column_reads, p.dram_column_reads);
  EXPECT_EQ(t.dram_result_writes, p.dram_result_writes);
  EXPECT_EQ(t.dram_result_reads, p.dram_result_reads);
  EXPECT_EQ(t.dram_code_writes, p.dram_code_writes);
  EXPECT_EQ(t.sram_row_reads, p.sram_row_reads);
  EXPECT_EQ(t.sram_column_reads, p.sram_column_reads);
  EXPECT_EQ(t.sram_result_writes, p.sram_result_writes);
  EXPECT_EQ(t.sram_result_reads, p.sram_result_reads);
  EXPECT_EQ(t.sram_sum_writes, p.sram_sum_writes);
  EXPECT_EQ(t.sram_sum_reads, p.sram_sum_reads);
  EXPECT_EQ(t.row_buffer_writes, p.row_buffer_writes);
  EXPECT_EQ(t.row_buffer_reads, p.row_buffer_reads);
  EXPECT_EQ(t.column_buffer_writes, p.column_buffer_writes);
  EXPECT_EQ(t.column_buffer_reads, p.column_buffer_reads);
  EXPECT_TRUE(t == p);

  if (expected.counts.non_finite > 0 || !config.quantizes_results()) {
    EXPECT_TRUE(result.quantized.empty());
    return;
  }
  ASSERT_EQ(result.quantized.size(), formats.size());
  for (std::size_t i = 0; i < formats.size(); ++i) {
    SCOPED_TRACE("quantized to " + to_string(formats[i]));
    expect_same(result.quantized[i],
                models::reference_quantize(expected.values, formats[i], random.quantization.options, "result").tensor);
  }
}

// An array, and how many random passes of each kind of tile it is checked with.
struct ArrayCase {
  const char* name;
  ArrayConfig config;
  int cycle_passes;
  int structural_passes;
};

inline std::ostream& operator<<(std::ostream& stream, const ArrayCase& array_case) {
  return stream << array_case.name;
}

inline ArrayConfig array(int rows, int columns, int share, FeederConfig row_feeder, FeederConfig column_feeder) {
  ArrayConfig config;
  config.rows = rows;
  config.columns = columns;
  config.elements_per_scaler = share;
  config.row_feeder = row_feeder;
  config.column_feeder = column_feeder;
  return config;
}

inline ArrayConfig with_small_sram(ArrayConfig config) {
  config.global_sram_bytes = 600;
  config.quantizer_lanes = 3;
  return config;
}

// All passes of a layer with random operands, too large for the reference, against the functional engine, the closed
// form and the count of toggles.
inline void check_layer(Simulator& simulator, const ArrayConfig& config, const models::ConvolutionShape& shape,
                        const char* format_name, const models::Accumulator& accumulator, RandomPasses& random) {
  const models::ScaledFormat format = models::parse_scaled_format(format_name);
  for (const models::Pass pass : models::kPasses) {
    SCOPED_TRACE(to_string(pass) + " of " + std::to_string(shape.in_channels) + " channels in " + format_name);
    const auto operand = [&](models::Operand which) {
      return models::quantize(random.normal_values(shape.shape_of(which)), format.of(which, pass), {}, to_string(which))
          .tensor;
    };
    const models::ScaledTensor left = operand(left_operand(pass));
    const models::ScaledTensor right = operand(right_operand(pass));
    const models::ConvolutionResult expected = models::functional_convolution(pass, shape, left, right, accumulator);
    const PassResult result = simulator.simulate_pass(pass, shape, left, right, accumulator, std::nullopt);
    expect_same(result.values, expected.values);
    EXPECT_EQ(result.counts, expected.counts);
    EXPECT_EQ(result.toggles, dataflow_of(config).count_toggles(pass, shape, left, right, config));
    const PassPrediction predicted = dataflow_of(config).predict(pass, shape, left.format, right.format, config, {});
    EXPECT_EQ(result.cycles, predicted.cycles);
    EXPECT_EQ(result.traffic, predicted.traffic);
  }
}

inline void check_random_passes(Detail detail, const ArrayConfig& config, std::uint64_t seed, int passes,
                                bool grouped = false) {
  Simulator simulator(detail, config);
  for (int i = 0; i < test::repetitions(passes); ++i, ++seed) {
    for (const bool blocks : {false, true}) {
      RandomPasses random(seed, grouped);
      RandomPass pass = blocks ? random.next_of_blocks() : random.next();
      pass.accumulator.taps_per_cycle = config.taps_per_cycle;
      SCOPED_TRACE("RandomPasses(" + std::to_string(seed) + (grouped ? ", true)." : ").") +
                   (blocks ? "next_of_blocks" : "next") + "(): " + pass.describe());
      check(simulator, config, pass);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Layers of convolution groups, which a random array of the dataflow puts side by side.
inline void check_random_groups(Detail detail, DataflowKind dataflow, std::uint64_t seed, int passes) {
  tests::Random random(seed);
  ArrayConfig config = random_array_of_groups(random, seed);
  config.dataflow = dataflow;
  SCOPED_TRACE(std::to_string(config.rows) + "x" + std::to_string(config.columns) + " elements of " +
               std::to_string(config.taps_per_cycle) + " multipliers");
  check_random_passes(detail, config, 9000 + 1000 * seed, passes, true);
}

}  // namespace mlsim::sim
