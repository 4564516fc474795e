// The parameters of an array: what a file of sim/configs/ holds.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "energy/dram_technology.h"
#include "sim/byte_rate.h"

namespace mlsim::sim {

// Which tensor stays in the elements of the array (docs/dataflow.md).
enum class DataflowKind : std::uint8_t {
  kOutputStationary,  // results
  kWeightStationary,  // the operand of the rows
};
// Their names, in that order.
inline constexpr std::array<std::string_view, 2> kDataflowKinds{"output-stationary", "weight-stationary"};
std::string to_string(DataflowKind kind);                   // output-stationary, weight-stationary
DataflowKind parse_dataflow_kind(const std::string& text);  // throws std::runtime_error for another name

// How convolution groups of few rows share the array.
enum class DepthwiseMapping : std::uint8_t {
  kOff,   // one group after the other
  kRows,  // as many side by side as its rows hold (docs/dataflow.md)
};
const char* to_string(DepthwiseMapping mapping);  // off, rows

// The buffer of the feeder that supplies the rows, or the columns, of the array.
struct FeederConfig {
  std::int64_t buffer_elements = 8192;  // both halves together
  std::int64_t fill_ports = 16;         // elements a cycle, from the global SRAM
  bool operator==(const FeederConfig&) const = default;
};

// In what form results leave for DRAM.
enum class ResultForm : std::uint8_t {
  kBoth,      // in binary32, and quantized into the format of their next role
  kBinary32,  // as they are: there is no quantizer
  kCodes,     // quantized alone
};
const char* to_string(ResultForm form);  // both, binary32, codes

struct ArrayConfig {
  DataflowKind dataflow = DataflowKind::kOutputStationary;
  int rows = 16;
  int columns = 16;
  int elements_per_scaler = 8;  // processing elements that share one group-scale unit
  // Multipliers of an element, whose products are one addition to its accumulator. It changes what narrow accumulators
  // do. Feeders read as many elements a lane at once: a word of their buffers.
  int taps_per_cycle = 1;
  DepthwiseMapping depthwise = DepthwiseMapping::kOff;
  FeederConfig row_feeder;
  FeederConfig column_feeder;
  int quantizer_lanes = 16;  // results a cycle
  ResultForm results = ResultForm::kBoth;
  bool keep_between_layers = false;             // codes of results that the next layer takes, where they fit
  std::int64_t global_sram_bytes = 512 * 1024;  // a third each for left operand, right operand and results
  double clock_ghz = 1;                         // for reports only
  // What an access to DRAM is priced as; none: as a table's own figure has it.
  std::optional<energy::DramTechnology> dram_technology;
  // The channel to DRAM (docs/memory.md).
  ByteRate dram_bytes_per_cycle;
  std::int64_t dram_latency_cycles = 0;  // from a request for operands to their first byte
  std::int64_t dram_burst_bytes = 1;     // what is moved is a multiple of it
  // The ports of each third of the global SRAM.
  ByteRate sram_read_bytes_per_cycle;
  ByteRate sram_write_bytes_per_cycle;
  bool operator==(const ArrayConfig&) const = default;

  // Of the whole array: the most multiply-adds of a cycle.
  std::int64_t multipliers() const { return std::int64_t{rows} * columns * taps_per_cycle; }
  // Of `groups` convolution groups with `group_rows` rows of results each, how many stand side by side in the rows of
  // the array where they are cut alike: half of the columns' buffer holds a word for each lane of theirs.
  std::int64_t groups_at_once(std::int64_t group_rows, std::int64_t groups) const;
  // Rows that have wires and registers of their own for the operand of the columns; 1 where all share them.
  int rows_with_column_wires() const { return depthwise == DepthwiseMapping::kOff ? 1 : rows; }
  // That half of both feeders' buffers holds for each lane, with so many lanes for each column of the array.
  std::int64_t words_of_half(std::int64_t groups_at_once = 1) const;

  bool quantizes_results() const { return results != ResultForm::kBinary32; }
  // Whether memory takes time at all.
  bool waits_for_memory() const {
    return dram_bytes_per_cycle.limited() || dram_latency_cycles > 0 || sram_read_bytes_per_cycle.limited() ||
           sram_write_bytes_per_cycle.limited();
  }
  // Whether what crosses the channel is slowed down by a port of the SRAM rather than by DRAM.
  bool ports_slow_the_channel() const {
    return sram_read_bytes_per_cycle.below(dram_bytes_per_cycle) ||
           sram_write_bytes_per_cycle.below(dram_bytes_per_cycle);
  }

  // Throws std::runtime_error "FILE: POINTER/rows: is 0, expected an integer from 1 to 1024" for a member out of range.
  void check(const std::string& file, const std::string& pointer = "") const;
};

// Reads a JSON object whose keys are the members above; one that is left out keeps its default. `elements_per_scaler`
// may be "all": one unit for the whole array; its default is that, too, for an array of fewer elements. Keys of the
// memory may be null, which is their default: a memory that takes no time. Throws
// std::runtime_error with a sentence that names the file, the key and what was expected: for a file that cannot be
// read, broken JSON, an unknown key, a value of another type or out of range.
ArrayConfig load_array_config(const std::string& path);

// The same of an object at a place of a file.
ArrayConfig read_array_config(const nlohmann::json& json, const std::string& file, const std::string& pointer = "");

}  // namespace mlsim::sim
