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
  tracks_maxima_ = job.quantization.has_value();
  if (!tracks_maxima_) return;
  layout_ = job.quantization->format.layout;
  extent1_ = results_.shape[1];
  inner_size_ = static_cast<std::uint64_t>(results_.shape[2] * results_.shape[3]);
  group_maximum_.assign(static_cast<std::size_t>(results_.shape[0] * results_.shape[1]), 0);
}

void ResultBanks::store(std::uint64_t at, float result) {
  results_.values[at] = result;
  written_bits_ += 32;
  if (!tracks_maxima_) return;
  const float magnitude = std::fabs(result);
  finite_ = finite_ && std::isfinite(result);
  tensor_maximum_ = std::max(tensor_maximum_, magnitude);
  float& maximum = group_maximum_[group_of(at)];
  maximum = std::max(maximum, magnitude);
}

void ResultBanks::tick() {
  for (std::size_t unit = 0; unit < valid.size(); ++unit) {
    if (valid[unit].read()) store(address[unit].read(), std::bit_cast<float>(value[unit].read()));
  }
}

std::size_t ResultBanks::group_of(std::uint64_t at) const {
  const auto pair = static_cast<std::int64_t>(at / inner_size_);
  return static_cast<std::size_t>(layout_.index(pair / extent1_, pair % extent1_, extent1_));
}

}  // namespace mlsim::sim
