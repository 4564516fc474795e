// What a pass costs on the array besides its operations: cycles and moved bits.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>

namespace mlsim::sim {

struct CycleCounts {
  std::uint64_t array = 0;      // from the first fill to the last result in its bank
  std::uint64_t quantizer = 0;  // after the array; 0 where results are not quantized
  // Parts of `array` in which no element adds anything:
  std::uint64_t fill_stalls = 0;  // the next operands are not in their buffer yet
  // The group-scale units still serve the sums before or, weight-stationary, a fold's partial sums are on their way.
  std::uint64_t scaler_stalls = 0;
  std::uint64_t dram_stalls = 0;  // operands are not in the SRAM yet, or the last results not in DRAM
  std::uint64_t sram_stalls = 0;  // a port of the SRAM is slower than what it serves
  // A part of `quantizer`: results are not out of the SRAM, or codes not in DRAM yet.
  std::uint64_t quantizer_stalls = 0;

  std::uint64_t total() const { return array + quantizer; }
  CycleCounts& operator+=(const CycleCounts& other) {
    array += other.array;
    quantizer += other.quantizer;
    fill_stalls += other.fill_stalls;
    scaler_stalls += other.scaler_stalls;
    dram_stalls += other.dram_stalls;
    sram_stalls += other.sram_stalls;
    quantizer_stalls += other.quantizer_stalls;
    return *this;
  }
  bool operator==(const CycleCounts&) const = default;
};

// Moved bits, each counted where it crosses a port. Which operand feeds rows and which columns depends on the pass:
// docs/dataflow.md.
struct Traffic {
  // DRAM
  std::uint64_t dram_row_reads = 0;      // the operand of the rows, packed, with its scales
  std::uint64_t dram_column_reads = 0;   // the operand of the columns, likewise
  std::uint64_t dram_result_writes = 0;  // binary32
  std::uint64_t dram_result_reads = 0;   // binary32 on their way back to the quantizer
  std::uint64_t dram_code_writes = 0;    // quantized results with their scales, for each of their formats
  // Global SRAM
  std::uint64_t sram_operand_writes = 0;  // what comes from DRAM
  std::uint64_t sram_row_reads = 0;       // fills of the row feeder, with a scale for each group
  std::uint64_t sram_column_reads = 0;    // fills of the column feeder, likewise
  std::uint64_t sram_result_writes = 0;   // banks of the group-scale units, results that come back, codes that stay
  std::uint64_t sram_result_reads = 0;    // results on their way to DRAM, and into the quantizer
  // Weight-stationary: partial sums between the folds of a tile.
  std::uint64_t sram_sum_writes = 0;
  std::uint64_t sram_sum_reads = 0;
  // Feeder buffers
  std::uint64_t row_buffer_writes = 0;
  std::uint64_t row_buffer_reads = 0;
  std::uint64_t column_buffer_writes = 0;
  std::uint64_t column_buffer_reads = 0;

  std::uint64_t dram() const {
    return dram_row_reads + dram_column_reads + dram_result_writes + dram_result_reads + dram_code_writes;
  }
  std::uint64_t sram() const {
    return sram_operand_writes + sram_row_reads + sram_column_reads + sram_result_writes + sram_result_reads +
           sram_sum_writes + sram_sum_reads;
  }
  std::uint64_t buffers() const {
    return row_buffer_writes + row_buffer_reads + column_buffer_writes + column_buffer_reads;
  }
  Traffic& operator+=(const Traffic& other) {
    dram_row_reads += other.dram_row_reads;
    dram_column_reads += other.dram_column_reads;
    dram_result_writes += other.dram_result_writes;
    dram_result_reads += other.dram_result_reads;
    dram_code_writes += other.dram_code_writes;
    sram_operand_writes += other.sram_operand_writes;
    sram_row_reads += other.sram_row_reads;
    sram_column_reads += other.sram_column_reads;
    sram_result_writes += other.sram_result_writes;
    sram_result_reads += other.sram_result_reads;
    sram_sum_writes += other.sram_sum_writes;
    sram_sum_reads += other.sram_sum_reads;
    row_buffer_writes += other.row_buffer_writes;
    row_buffer_reads += other.row_buffer_reads;
    column_buffer_writes += other.column_buffer_writes;
    column_buffer_reads += other.column_buffer_reads;
    return *this;
  }
  bool operator==(const Traffic&) const = default;
};

// Bits that change in the operand registers of the array's rows and columns, of the codes that they take. A register
// holds where a tap is padding, and is 0 before a pass.
struct OperandToggles {
  std::uint64_t row_bits = 0;
  std::uint64_t column_bits = 0;

  OperandToggles& operator+=(const OperandToggles& other) {
    row_bits += other.row_bits;
    column_bits += other.column_bits;
    return *this;
  }
  bool operator==(const OperandToggles&) const = default;
};

// Cycles from a group's last tap to the last result in its bank, besides those in which the group-scale units serve
// their elements: operand register, hand-over register, conversion, binary32 sum, tensor scale, bank.
inline constexpr int kArrayPipeline = 6;
// The same of the dynamic quantizer: value, scale of its tile, rounded code, packed code.
inline constexpr int kQuantizerPipeline = 4;

}  // namespace mlsim::sim
