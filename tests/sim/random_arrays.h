// Random small arrays, whose layers have many tiles and steps.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sim/array_config.h"
#include "sim/exchange.h"
#include "tests/support/random_tensors.h"

namespace mlsim::sim {

// No operand fits in its SRAM. Every other one puts convolution groups side by side.
inline ArrayConfig random_array(tests::Random& random) {
  using tests::between;
  ArrayConfig config;
  config.rows = static_cast<int>(between(random, 1, 6));
  config.columns = static_cast<int>(between(random, 1, 6));
  config.elements_per_scaler = static_cast<int>(between(random, 1, config.rows * config.columns));
  config.row_feeder.buffer_elements = between(random, 2, 40) * config.rows;
  config.row_feeder.fill_ports = between(random, 1, 9);
  config.column_feeder.buffer_elements = between(random, 2, 40) * config.columns;
  config.column_feeder.fill_ports = between(random, 1, 9);
  config.global_sram_bytes = 1;
  if (between(random, 0, 1) == 0) config.depthwise = DepthwiseMapping::kRows;
  return config;
}

// The same with elements of several multipliers, and buffers of a few words.
inline ArrayConfig with_random_multipliers(tests::Random& random, ArrayConfig config) {
  using tests::between;
  config.taps_per_cycle = static_cast<int>(between(random, 2, between(random, 0, 1) == 0 ? 9 : 64));
  const std::int64_t fewest = std::int64_t{2} * config.taps_per_cycle;
  config.row_feeder = {between(random, fewest, 12 * fewest) * config.rows, between(random, 1, 60)};
  config.column_feeder = {between(random, fewest, 12 * fewest) * config.columns, between(random, 1, 60)};
  return config;
}

// The same with a memory that takes time, and operands that fit or do not. `slowest` is of the channel to DRAM, in
// thousandths of bytes a cycle.
inline ArrayConfig random_array_with_memory(tests::Random& random, std::int64_t slowest) {
  using tests::between;
  ArrayConfig config = random_array(random);
  config.quantizer_lanes = static_cast<int>(between(random, 1, 9));
  constexpr std::array<std::int64_t, 4> kBytes{1, 100, 2000, 100000};
  config.global_sram_bytes = kBytes[static_cast<std::size_t>(between(random, 0, 3))];
  // Any number of thousandths, or whole bytes.
  const auto rate = [&](std::int64_t low, std::int64_t high, std::int64_t whole) -> ByteRate {
    return {between(random, 0, 1) == 0 ? between(random, low, high) : between(random, 1, whole) * 1000};
  };
  if (between(random, 0, 7) > 0) config.dram_bytes_per_cycle = rate(slowest, 40000, 20);
  if (between(random, 0, 2) > 0) config.dram_latency_cycles = between(random, 0, between(random, 0, 1) == 0 ? 20 : 300);
  if (between(random, 0, 2) > 0) config.dram_burst_bytes = between(random, 1, 64);
  if (between(random, 0, 2) == 0) config.sram_read_bytes_per_cycle = rate(1000, 20000, 30);
  if (between(random, 0, 2) == 0) config.sram_write_bytes_per_cycle = rate(1000, 20000, 30);
  constexpr std::array<ResultForm, 5> kForms{ResultForm::kBoth, ResultForm::kBoth, ResultForm::kBinary32,
                                             ResultForm::kCodes, ResultForm::kCodes};
  config.results = kForms[static_cast<std::size_t>(between(random, 0, 4))];
  return config;
}

// For layers of convolution groups, which it puts side by side: of more rows, with or without such a memory, of
// elements of one multiplier or of several.
inline ArrayConfig random_array_of_groups(tests::Random& random, std::uint64_t seed) {
  using tests::between;
  ArrayConfig config = seed % 3 == 0 ? random_array(random) : random_array_with_memory(random, 500);
  if (seed % 4 == 0) config = with_random_multipliers(random, config);
  config.depthwise = DepthwiseMapping::kRows;
  config.rows = static_cast<int>(between(random, 2, 9));
  config.elements_per_scaler = static_cast<int>(between(random, 1, config.rows * config.columns));
  config.row_feeder.buffer_elements = 2 * config.taps_per_cycle * config.rows * between(random, 1, 20);
  return config;
}

// What a pass with results in so many formats finds in the SRAM, and leaves there.
inline Residence random_residence(tests::Random& random, std::size_t formats) {
  using tests::between;
  Residence residence;
  residence.rows = between(random, 0, 2) == 0;
  residence.columns = between(random, 0, 2) == 0;
  if (between(random, 0, 1) == 0) return residence;
  for (std::size_t i = 0; i < formats; ++i) {
    const auto way = between(random, 0, 2);
    residence.codes.push_back({way != 0, way != 1});
  }
  return residence;
}

}  // namespace mlsim::sim
