// What each pass of each layer does to its machine: the figures of a heat map and of a roofline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/pricing.h"
#include "evaluation/results.h"

namespace mlsim::evaluation {

// What the cycles of a machine are spent on: array and quantizer together, stalls apart.
struct CycleShares {
  double compute = 0;    // cycles of the array without a stall
  double fill = 0;       // stalls of the feeders,
  double scaler = 0;     // of the group-scale units,
  double dram = 0;       // of DRAM, those of the quantizer too,
  double sram = 0;       // and of the ports of the SRAM
  double quantizer = 0;  // cycles of the quantizer without a stall

  bool operator==(const CycleShares&) const = default;
};
// Nothing without a cycle. The quantizer's stalls are those of what slows the channel down.
std::optional<CycleShares> cycle_shares(const CycleTotals& cycles, const sim::ArrayConfig& array);

// The resource that bounds a pass: what its array is waited for most by, or what it waits for most; the array itself
// where nothing else takes a tenth of the cycles.
enum class Bound : std::uint8_t { kCompute, kFill, kScaler, kDram, kSram, kQuantizer };
inline constexpr double kBoundShare = 0.1;
Bound bound_of(const CycleShares& shares);
std::string to_string(Bound bound);  // compute, fill, scaler, DRAM, SRAM, quantizer
// The same in a word, - without a cycle.
std::string bound_in_a_word(const std::optional<CycleShares>& shares);

// A multiply-add is two operations. Undefined is what divides by nothing.
struct PassFigures {
  std::size_t layer = 0;  // places in the results
  std::size_t pass = 0;
  double all_pj = 0;                   // with memory
  std::optional<double> energy_share;  // of all passes of all layers
  std::optional<double> utilization;   // multiply-adds for each multiplier and array cycle
  std::optional<double> stall_share;   // of the array's cycles, of any cause
  std::optional<CycleShares> cycles;
  std::optional<double> sqnr_db;
  double dram_bytes = 0;                      // read and written
  std::optional<double> operations_per_byte;  // of DRAM: the operational intensity
  std::optional<double> tops;                 // 1e12 operations a second, with the quantizer's cycles
  // 1e9 bytes a second that DRAM must give for the machine not to wait for it: all bytes in the cycles that are left
  // without its stalls.
  std::optional<double> needed_gigabytes_per_second;
};

// In the order of the results.
std::vector<PassFigures> pass_figures(const Results& results, const Price& price);

// Places in the figures of those that stand out, the first of equal ones; none where nothing is measured, where no
// array stalls, and where every result is exact.
struct HotSpots {
  std::optional<std::size_t> most_energy;
  std::optional<std::size_t> least_utilization;
  std::optional<std::size_t> most_stalls;
  std::optional<std::size_t> largest_error;  // lowest SQNR
};
HotSpots hot_spots(const std::vector<PassFigures>& figures);

// 1e12 operations a second with every element busy.
double peak_tops(const sim::ArrayConfig& array);

// A memory that a machine may have. The simulated one waits for its DRAM where the array says so (docs/memory.md).
struct Bandwidth {
  std::string name;
  double gigabytes_per_second = 0;  // 1e9 bytes
  std::string source;
};
const std::vector<Bandwidth>& example_bandwidths();

// The memory of the array itself, where it limits it.
std::optional<Bandwidth> own_bandwidth(const sim::ArrayConfig& array);

// Passes that need more than a memory gives.
std::size_t waiting_passes(const std::vector<PassFigures>& figures, const Bandwidth& memory);

}  // namespace mlsim::evaluation
