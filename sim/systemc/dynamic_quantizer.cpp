#include "sim/systemc/dynamic_quantizer.h"

#include <utility>

#include "base/integers.h"
#include "base/philox.h"
#include "sim/statistics.h"

namespace mlsim::sim {

DynamicQuantizer::DynamicQuantizer(const sc_core::sc_module_name& name, const ArrayConfig& config,
                                   const ResultBanks& banks)
    : sc_core::sc_module(name),
      banks_(banks),
      lanes_(config.quantizer_lanes),
      value_("value", static_cast<std::size_t>(config.quantizer_lanes)),
      held_("held", value_.size()),
      scale_exponent_("scale_exponent", value_.size()),
      scale_significand_("scale_significand", value_.size()),
      code_("code", value_.size()),
      packed_("packed", value_.size()) {
  SC_HAS_PROCESS(DynamicQuantizer);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void DynamicQuantizer::load(const Job& job) {
  running_ = false;
  read_bits_ = 0;
  written_bits_ = kept_bits_ = returned_bits_ = 0;
  residence_ = job.residence;
  results_return_ = job.results.come_back;
  formats_.clear();
  tensors_.clear();
  next_ = 0;
  if (!job.quantization) return;
  formats_ = job.quantization->formats;
  options_ = job.quantization->options;
  shape_ = job.schedule->shape().result_shape(job.schedule->pass());
  results_ = static_cast<std::size_t>(models::element_count(shape_));
  batches_ = base::ceiling(static_cast<std::int64_t>(results_), lanes_);
}

void DynamicQuantizer::tick() {
  if (reset.read()) running_ = false;
  if (start.read()) begin();
  if (!running_) return;
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(lanes_); ++lane) move_lane(lane);
  if (++batch_ == batches_ + kQuantizerPipeline) end();
}

void DynamicQuantizer::begin() {
  running_ = true;
  batch_ = 0;
  if (results_return_) returned_bits_ += 32 * static_cast<std::uint64_t>(results_);
  encodes_ = banks_.finite();
  const models::ScaledFormat& format = formats_[next_];
  unit_.emplace(format, banks_.tensor_maximum());
  tensor_ = {format, shape_, unit_->tensor_scale(), {}, std::vector<std::uint16_t>(results_)};
  grid_ = tensor_.grid();
  tensor_.scales.assign(static_cast<std::size_t>(grid_.count()), models::smallest_scale(format.scale));
}

void DynamicQuantizer::move_lane(std::size_t lane) {
  // 1. Codes leave, for DRAM or the SRAM.
  if (has_element(batch_ - 4, lane)) {
    tensor_.codes[element(batch_ - 4, lane)] = packed_[lane].read();
    count_codes(static_cast<std::uint64_t>(tensor_.format.element.code_bits()));
  }
  // 2. They are packed into words.
  if (has_element(batch_ - 3, lane)) packed_[lane].write(code_[lane].read());
  // 3. Division by the scales of tensor and tile, and the rounder.
  if (has_element(batch_ - 2, lane) && encodes_) {
    const std::size_t i = element(batch_ - 2, lane);
    const models::TileScale scale{scale_exponent_[lane].read(), scale_significand_[lane].read()};
    const float value = held_[lane].read();
    // Of a tensor of zeros there is no scale to divide by.
    code_[lane].write(
        value == 0 ? 0 : unit_->code_of(value, scale, {options_.rounding, options_.random_bits}, random_of(i)));
  }
  // 4. The scale of the tile, which the encoder makes of the tile's maximum.
  if (has_element(batch_ - 1, lane) && encodes_) {
    const std::size_t tile = tile_of(grid_, shape_, element(batch_ - 1, lane));
    const models::TileScale scale = scale_of(tile);
    tensor_.scales[tile] = scale;
    scale_exponent_[lane].write(scale.exponent);
    scale_significand_[lane].write(scale.significand);
    held_[lane].write(value_[lane].read());
  }
  // 5. Results leave their banks.
  if (has_element(batch_, lane)) {
    value_[lane].write(banks_.results().values[element(batch_, lane)]);
    read_bits_ += 32;
  }
}

void DynamicQuantizer::end() {
  running_ = false;
  count_codes(static_cast<std::uint64_t>(grid_.count() * tensor_.format.scale.stored_bits()));
  if (encodes_) tensors_.push_back(std::move(tensor_));
  ++next_;
}

void DynamicQuantizer::count_codes(std::uint64_t bits) {
  const CodePath path = residence_.path(next_);
  if (path.to_dram) written_bits_ += bits;
  if (path.stay) kept_bits_ += bits;
}

models::TileScale DynamicQuantizer::scale_of(std::size_t tile) const {
  if (banks_.tensor_maximum() == 0) return models::smallest_scale(tensor_.format.scale);
  return unit_->scale_of(banks_.tile_maximum(next_, tile));
}

std::uint32_t DynamicQuantizer::random_of(std::size_t element) const {
  if (options_.rounding == models::Rounding::kNearest) return 0;
  return base::random_word(options_.seed, options_.stream, element) >> (32 - options_.random_bits);
}

bool DynamicQuantizer::has_element(std::int64_t batch, std::size_t lane) const {
  return batch >= 0 && element(batch, lane) < results_;
}

std::size_t DynamicQuantizer::element(std::int64_t batch, std::size_t lane) const {
  return static_cast<std::size_t>(batch * lanes_) + lane;
}

void DynamicQuantizer::trace(sc_core::sc_trace_file* file) const {
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(lanes_); ++lane) {
    sc_core::sc_trace(file, value_[lane], value_[lane].name());
    sc_core::sc_trace(file, held_[lane], held_[lane].name());
    sc_core::sc_trace(file, scale_exponent_[lane], scale_exponent_[lane].name());
    sc_core::sc_trace(file, scale_significand_[lane], scale_significand_[lane].name());
    sc_core::sc_trace(file, code_[lane], code_[lane].name());
    sc_core::sc_trace(file, packed_[lane], packed_[lane].name());
  }
}

}  // namespace mlsim::sim
