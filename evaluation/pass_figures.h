// What each pass of each layer does to its machine: the figures of a heat map and of a roofline.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/pricing.h"
#include "evaluation/results.h"

namespace mlsim::evaluation {

// A multiply-add is two operations. Undefined is what divides by nothing.
struct PassFigures {
  std::size_t layer = 0;  // places in the results
  std::size_t pass = 0;
  double all_pj = 0;                   // with memory
  std::optional<double> energy_share;  // of all passes of all layers
  std::optional<double> utilization;   // multiply-adds for each element and array cycle
  std::optional<double> stall_share;   // of the array's cycles, of any cause
  std::optional<double> sqnr_db;
  double dram_bytes = 0;                      // read and written
  std::optional<double> operations_per_byte;  // of DRAM: the operational intensity
  std::optional<double> tops;                 // 1e12 operations a second, with the quantizer's cycles
  // 1e9 bytes a second that DRAM must give for the machine not to wait for it.
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

// Passes that need more than a memory gives.
std::size_t waiting_passes(const std::vector<PassFigures>& figures, const Bandwidth& memory);

}  // namespace mlsim::evaluation
