// Bits and bytes of operands and results, and the time in which a memory moves them (docs/memory.md).
// Tested in tests/sim/analytic_test.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include "base/integers.h"
#include "models/convolution/convolution.h"
#include "models/convolution/datapath.h"
#include "models/formats/format.h"
#include "sim/array_config.h"
#include "sim/dataflow.h"
#include "sim/exchange.h"

namespace mlsim::sim::closed_form {

inline constexpr std::int64_t kFloatBytes = 4;  // of a result in binary32

// Bits of the shares of all convolution groups, each a part of the channels, packed with the scales that it needs.
std::uint64_t packed_shares(const models::Format& format, const models::Shape& shape, std::int64_t conv_groups);

// Cycles in which so many bytes pass.
std::int64_t cycles_of(const ByteRate& rate, base::Int128 bytes);

// Bytes of a sequence of the channel, and with what its bursts carry beyond them.
struct Moved {
  std::int64_t bytes = 0;
  base::Int128 in_bursts = 0;
};
Moved operator+(const Moved& a, const Moved& b);
Moved moved(std::int64_t bytes, const ArrayConfig& config);
// Cycles of a sequence that goes through a port of the SRAM, too.
std::int64_t sequence(const Moved& moved, const ByteRate& port, const ArrayConfig& config);

// Throws std::runtime_error where a pass takes 2^62 cycles or more.
void check_time(models::Pass pass, std::int64_t cycles);

// Of bits that are spread evenly over `parts`, the bytes of so many of them; none where there is no part.
std::int64_t bytes_of_share(std::uint64_t bits, std::int64_t share, std::int64_t parts);

// The way of the results of a pass, which are `count`.
ResultPath path_of(const Exchange& exchange, std::int64_t count, const ArrayConfig& config);

// What is moved of the results, of which so many are computed, and the quantizer's cycles.
void add_results(const models::Shape& shape, std::uint64_t computed, const Exchange& exchange,
                 const ArrayConfig& config, PassPrediction& prediction);

}  // namespace mlsim::sim::closed_form
