#include "sim/systemc/result_banks.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace mlsim::sim {

ResultBanks::ResultBanks(const sc_core::sc_module_name& name, std::size_t units)
    : sc_core::sc_module(name), valid("valid", units), address("address", units), value("value", units) {
  SC_HAS_PROCESS(ResultBanks);
  if (units == 0) return;
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void ResultBanks::load(const Job& job) {
  const Schedule& schedule = *job.schedule;
  results_.shape = schedule.shape().result_shape(schedule.pass());
  results_.values.assign(static_cast<std::size_t>(models::element_count(results_.shape)), 0);
  written_bits_ = 0;
  finite_ = true;
  tensor_maximum_ = 0;
  maxima_.clear();
  if (!job.quantization) return;
  for (const models::ScaledFormat& format : job.quantization->formats) {
    const models::TileGrid grid(format.layout, results_.shape);
    maxima_.push_back({grid, std::vector<float>(static_cast<std::size_t>(grid.count()), 0.0F)});
  }
}

void ResultBanks::store(std::uint64_t at, float result) {
  results_.values[at] = result;
  written_bits_ += 32;
  if (maxima_.empty()) return;
  const float magnitude = std::fabs(result);
  finite_ = finite_ && std::isfinite(result);
  tensor_maximum_ = std::max(tensor_maximum_, magnitude);
  for (Maxima& maxima : maxima_) {
    float& maximum = maxima.of_tile[tile_of(maxima.grid, results_.shape, at)];
    maximum = std::max(maximum, magnitude);
  }
}

void ResultBanks::tick() {
  for (std::size_t unit = 0; unit < valid.size(); ++unit) {
    if (valid[unit].read()) store(address[unit].read(), std::bit_cast<float>(value[unit].read()));
  }
}

std::size_t tile_of(const models::TileGrid& grid, const models::Shape& shape, std::uint64_t at) {
  const auto flat = static_cast<std::int64_t>(at);
  const std::int64_t position = flat % (shape[2] * shape[3]);
  const std::int64_t plane = flat / (shape[2] * shape[3]);
  return static_cast<std::size_t>(
      grid.index(plane / shape[1], plane % shape[1], position / shape[3], position % shape[3]));
}

}  // namespace mlsim::sim
