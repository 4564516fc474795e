#include "sim/systemc/dynamic_quantizer.h"

#include <cmath>

#include "base/philox.h"
#include "sim/statistics.h"

namespace mlsim::sim {

DynamicQuantizer::DynamicQuantizer(const sc_core::sc_module_name& name, const ArrayConfig& config,
                                   const ResultBanks& banks)
    : sc_core::sc_module(name),
      banks_(banks),
      lanes_(config.quantizer_lanes),
      value_("value", static_cast<std::size_t>(config.quantizer_lanes)),
      ratio_("ratio", static_cast<std::size_t>(config.quantizer_lanes)),
      scaled_("scaled", static_cast<std::size_t>(config.quantizer_lanes)),
      code_("code", static_cast<std::size_t>(config.quantizer_lanes)) {
  SC_HAS_PROCESS(DynamicQuantizer);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void DynamicQuantizer::load(const Job& job) {
  running_ = false;
  read_bits_ = 0;
  written_bits_ = 0;
  tensor_ = {};
  if (!job.quantization) return;
  options_ = job.quantization->options;
  tensor_.format = job.quantization->format;
  tensor_.shape = job.schedule->shape().result_shape(job.schedule->pass());
  const auto results = static_cast<std::size_t>(models::element_count(tensor_.shape));
  const auto pairs = static_cast<std::size_t>(tensor_.shape[0] * tensor_.shape[1]);
  tensor_.codes.assign(results, 0);
  tensor_.group_exponent.assign(pairs, static_cast<std::uint8_t>(tensor_.format.scale.max_exponent()));
  tensor_.group_fraction.assign(pairs, 0);
  batches_ = (static_cast<std::int64_t>(results) + lanes_ - 1) / lanes_;
}

void DynamicQuantizer::tick() {
  if (reset.read()) running_ = false;
  if (start.read()) {
    running_ = banks_.finite();
    batch_ = 0;
    tensor_.tensor_scale = banks_.tensor_maximum();
  }
  if (!running_) return;

  const models::ScaledFormat& format = tensor_.format;
  const auto inner = static_cast<std::size_t>(tensor_.inner_size());
  const float tensor_scale = tensor_.tensor_scale;
  const auto code_bits = static_cast<std::uint64_t>(format.element.code_bits());
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(lanes_); ++lane) {
    // 1. Codes leave for DRAM.
    if (has_element(batch_ - 4, lane)) {
      tensor_.codes[element(batch_ - 4, lane)] = code_[lane].read();
      written_bits_ += code_bits;
    }
    // 2. The rounder.
    if (has_element(batch_ - 3, lane)) {
      const std::size_t i = element(batch_ - 3, lane);
      const std::uint32_t random =
          options_.rounding == models::Rounding::kStochastic
              ? base::random_word(options_.seed, options_.stream, i) >> (32 - options_.random_bits)
              : 0;
      code_[lane].write(models::round_to_code(format.element, scaled_[lane].read(),
                                              std::signbit(banks_.results().values[i]), options_.rounding,
                                              options_.random_bits, random));
    }
    // 3. Division by the group's scale, which the encoder makes of the group's maximum.
    if (has_element(batch_ - 2, lane)) {
      const std::size_t i = element(batch_ - 2, lane);
      const float group_ratio = tensor_scale == 0 ? 0 : banks_.group_maximum(i) / tensor_scale;
      const models::ScaleCode scale = models::encode_scale(format.scale, group_ratio);
      tensor_.group_exponent[i / inner] = scale.exponent;
      tensor_.group_fraction[i / inner] = scale.fraction;
      scaled_[lane].write(ratio_[lane].read() / models::scale_value(format.scale, scale));
    }
    // 4. Division by the tensor's scale.
    if (has_element(batch_ - 1, lane)) {
      ratio_[lane].write(tensor_scale == 0 ? 0 : std::fabs(value_[lane].read()) / tensor_scale);
    }
    // 5. Results leave their banks.
    if (has_element(batch_, lane)) {
      value_[lane].write(banks_.results().values[element(batch_, lane)]);
      read_bits_ += 32;
    }
  }
  if (++batch_ == batches_ + kQuantizerPipeline) {
    running_ = false;
    const std::int64_t scales = format.layout.count(tensor_.shape);
    written_bits_ += static_cast<std::uint64_t>(scales * (format.scale.exponent_bits + format.scale.fraction_bits));
  }
}

bool DynamicQuantizer::has_element(std::int64_t batch, std::size_t lane) const {
  return batch >= 0 && element(batch, lane) < tensor_.codes.size();
}

std::size_t DynamicQuantizer::element(std::int64_t batch, std::size_t lane) const {
  return static_cast<std::size_t>(batch * lanes_) + lane;
}

void DynamicQuantizer::trace(sc_core::sc_trace_file* file) const {
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(lanes_); ++lane) {
    sc_core::sc_trace(file, value_[lane], value_[lane].name());
    sc_core::sc_trace(file, ratio_[lane], ratio_[lane].name());
    sc_core::sc_trace(file, scaled_[lane], scaled_[lane].name());
    sc_core::sc_trace(file, code_[lane], code_[lane].name());
  }
}

}  // namespace mlsim::sim
