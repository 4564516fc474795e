// The dynamic quantizer: turns the results in their banks into the codes of a format, `quantizer_lanes` of them a
// cycle, once all are there and their largest magnitudes are known. Each start is a run for the next format of the job.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <systemc>
#include <vector>

#include "models/formats/scaled_tensor.h"
#include "models/quantizer/quantizer_datapath.h"
#include "sim/array_config.h"
#include "sim/systemc/job.h"
#include "sim/systemc/result_banks.h"

namespace mlsim::sim {

class DynamicQuantizer : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> start;

  DynamicQuantizer(const sc_core::sc_module_name& name, const ArrayConfig& config, const ResultBanks& banks);

  void load(const Job& job);
  void trace(sc_core::sc_trace_file* file) const override;

  // One for each format; none where a result is not finite.
  const std::vector<models::ScaledTensor>& tensors() const { return tensors_; }
  std::uint64_t read_bits() const { return read_bits_; }
  std::uint64_t written_bits() const { return written_bits_; }    // to DRAM
  std::uint64_t kept_bits() const { return kept_bits_; }          // to the SRAM
  std::uint64_t returned_bits() const { return returned_bits_; }  // results that came back from DRAM

 private:
  void tick();
  void begin();
  void end();
  void count_codes(std::uint64_t bits);
  void move_lane(std::size_t lane);
  // The element of a lane in a batch, or none beyond the last result.
  bool has_element(std::int64_t batch, std::size_t lane) const;
  std::size_t element(std::int64_t batch, std::size_t lane) const;
  models::TileScale scale_of(std::size_t tile) const;
  std::uint32_t random_of(std::size_t element) const;

  const ResultBanks& banks_;
  const std::int64_t lanes_;

  // Registers of the job.
  std::vector<models::ScaledFormat> formats_;
  models::QuantizerOptions options_;
  models::Shape shape_;
  std::size_t results_ = 0;
  std::int64_t batches_ = 0;
  std::size_t next_ = 0;  // format
  std::vector<models::ScaledTensor> tensors_;
  std::uint64_t read_bits_ = 0;
  std::uint64_t written_bits_ = 0;
  std::uint64_t kept_bits_ = 0;
  std::uint64_t returned_bits_ = 0;
  Residence residence_;
  bool results_return_ = false;

  // The run under way.
  bool running_ = false;
  bool encodes_ = false;    // results that are not finite pass without becoming codes
  std::int64_t batch_ = 0;  // the next to be read
  models::TileGrid grid_;
  models::ScaledTensor tensor_;
  std::optional<models::QuantizerUnit> unit_;

  // Pipeline registers of each lane.
  sc_core::sc_vector<sc_core::sc_signal<float>> value_;
  sc_core::sc_vector<sc_core::sc_signal<float>> held_;  // the value beside the scale of its tile
  sc_core::sc_vector<sc_core::sc_signal<std::int16_t>> scale_exponent_;
  sc_core::sc_vector<sc_core::sc_signal<std::uint8_t>> scale_significand_;
  sc_core::sc_vector<sc_core::sc_signal<std::uint16_t>> code_;
  sc_core::sc_vector<sc_core::sc_signal<std::uint16_t>> packed_;
};

}  // namespace mlsim::sim
