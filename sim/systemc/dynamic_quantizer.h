// The dynamic quantizer: turns the results in their banks into MLS codes, `quantizer_lanes` of them a cycle, once all
// are there and their largest magnitudes are known.
#pragma once

#include <cstdint>
#include <systemc>

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

  const models::ScaledTensor& tensor() const { return tensor_; }
  std::uint64_t read_bits() const { return read_bits_; }
  std::uint64_t written_bits() const { return written_bits_; }

 private:
  void tick();
  // The element of a lane in a batch, or none beyond the last result.
  bool has_element(std::int64_t batch, std::size_t lane) const;
  std::size_t element(std::int64_t batch, std::size_t lane) const;

  const ResultBanks& banks_;
  const std::int64_t lanes_;
  models::QuantizerOptions options_;
  models::ScaledTensor tensor_;
  bool running_ = false;
  std::int64_t batch_ = 0;  // the next to be read
  std::int64_t batches_ = 0;
  std::uint64_t read_bits_ = 0;
  std::uint64_t written_bits_ = 0;

  // Pipeline registers of each lane.
  sc_core::sc_vector<sc_core::sc_signal<float>> value_;
  sc_core::sc_vector<sc_core::sc_signal<float>> ratio_;   // |value| / S_t
  sc_core::sc_vector<sc_core::sc_signal<float>> scaled_;  // |value| / S_t / S_g
  sc_core::sc_vector<sc_core::sc_signal<std::uint16_t>> code_;
};

}  // namespace mlsim::sim
