// The output buffer: a bank for each group-scale unit, with the comparators that follow the largest magnitudes.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>
#include <vector>

#include "models/formats/scale_layout.h"
#include "models/formats/tensor.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

// The tile of a result, by its number in C order.
std::size_t tile_of(const models::TileGrid& grid, const models::Shape& shape, std::uint64_t at);

class ResultBanks : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  // One of each for every group-scale unit that is a module of its own.
  sc_core::sc_vector<sc_core::sc_in<bool>> valid;
  sc_core::sc_vector<sc_core::sc_in<std::uint64_t>> address;
  sc_core::sc_vector<sc_core::sc_in<std::uint32_t>> value;  // bits of a binary32

  ResultBanks(const sc_core::sc_module_name& name, std::size_t units);

  void load(const Job& job);
  // One bank takes one result.
  void store(std::uint64_t at, float result);

  const models::Tensor<float>& results() const { return results_; }
  // Of what was stored, while all of it is finite.
  bool finite() const { return finite_; }
  float tensor_maximum() const { return tensor_maximum_; }
  // Of each tile of a format that results are quantized to.
  float tile_maximum(std::size_t format, std::size_t tile) const { return maxima_[format].of_tile[tile]; }
  std::uint64_t written_bits() const { return written_bits_; }

 private:
  struct Maxima {
    models::TileGrid grid;
    std::vector<float> of_tile;
  };

  void tick();

  models::Tensor<float> results_;
  bool finite_ = true;
  float tensor_maximum_ = 0;
  std::vector<Maxima> maxima_;
  std::uint64_t written_bits_ = 0;
};

}  // namespace mlsim::sim
