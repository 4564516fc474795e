#include "evaluation/pricing.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <set>
#include <stdexcept>
#include <variant>

#include "models/formats/tensor.h"
#include "sim/output_stationary/analytic.h"

namespace mlsim::evaluation {
namespace {

using energy::Operation;
using models::Operand;
using models::Pass;

energy::Baseline baseline_of(models::BaselineFormat format) {
  switch (format) {
    case models::BaselineFormat::kFp32:
      return energy::Baseline::kFp32;
    case models::BaselineFormat::kFp16:
      return energy::Baseline::kFp16;
    case models::BaselineFormat::kBf16:
      return energy::Baseline::kBf16;
    case models::BaselineFormat::kFp8E4m3:
      return energy::Baseline::kFp8E4m3;
    case models::BaselineFormat::kFp8E5m2:
      return energy::Baseline::kFp8E5m2;
    case models::BaselineFormat::kInt8:
      break;
  }
  return energy::Baseline::kInt8;
}

energy::MlsOperand operand_of(const models::MlsFormat& format) {
  return {format.element.exponent_bits, format.element.mantissa_bits, format.scale.exponent_bits,
          format.scale.fraction_bits};
}

energy::Datapath datapath_of(const models::Format& left, const models::Format& right, int accumulator_bits,
                             bool sums_in_fp16 = false) {
  if (const auto* mls = std::get_if<models::MlsFormat>(&left)) {
    return energy::MlsDatapath{operand_of(*mls), operand_of(std::get<models::MlsFormat>(right)), accumulator_bits};
  }
  return energy::BaselineDatapath{baseline_of(std::get<models::BaselineFormat>(left)),
                                  baseline_of(std::get<models::BaselineFormat>(right)), sums_in_fp16};
}

// Weights feed rows; so do errors where there are none.
bool left_feeds_rows(Pass pass) {
  return pass == Pass::kBackwardWeight;
}

energy::Surroundings surroundings_of(Pass pass, const models::Format& left, const models::Format& right,
                                     const sim::ArrayConfig& array, int random_bits) {
  const bool left_rows = left_feeds_rows(pass);
  const double row_bits = models::element_bits(left_rows ? left : right);
  const double column_bits = models::element_bits(left_rows ? right : left);
  energy::Surroundings surroundings;
  // A row's register is read by the elements of all columns.
  surroundings.left_fanout = left_rows ? array.columns : array.rows;
  surroundings.right_fanout = left_rows ? array.rows : array.columns;
  surroundings.buffer_bytes = std::max(row_bits * static_cast<double>(array.row_feeder.buffer_elements),
                                       column_bits * static_cast<double>(array.column_feeder.buffer_elements)) /
                              8;
  surroundings.sram_bytes = static_cast<double>(array.global_sram_bytes);
  surroundings.random_bits = random_bits;
  return surroundings;
}

energy::Units units_of(const sim::ArrayConfig& array) {
  energy::Units units;
  units.processing_elements = std::int64_t{array.rows} * array.columns;
  units.group_scale_units = (units.processing_elements + array.elements_per_scaler - 1) / array.elements_per_scaler;
  units.quantizers = array.quantize_results ? array.quantizer_lanes : 0;
  units.operand_buffers = 2;
  units.srams = 1;
  return units;
}

std::uint64_t stored_scales(const models::Format& format, const models::Shape& shape) {
  const auto* mls = std::get_if<models::MlsFormat>(&format);
  if (mls == nullptr) return 1;
  switch (mls->grouping) {
    case models::Grouping::kNc:
      return static_cast<std::uint64_t>(shape[0] * shape[1]);
    case models::Grouping::kN:
      return static_cast<std::uint64_t>(shape[0]);
    case models::Grouping::kC:
      return static_cast<std::uint64_t>(shape[1]);
    case models::Grouping::kNone:
      break;
  }
  return 1;
}

// What results and memory add to the multiply-adds, for every kind of machine.
void add_results_and_traffic(const LayerRecord& layer, Pass pass, const models::Format& next, bool stochastic,
                             const sim::Traffic& traffic, const sim::ArrayConfig& array, int random_bits,
                             energy::Counts& counts) {
  const models::Shape shape = layer.shape.result_shape(pass);
  const auto results = static_cast<std::uint64_t>(models::element_count(shape));
  if (array.quantize_results) {
    counts[Operation::kQuantize] = results;
    counts[Operation::kGroupQuantize] = stored_scales(next, shape);
    if (stochastic) counts[Operation::kRandomBits] = results * static_cast<std::uint64_t>(random_bits);
  }
  counts[Operation::kBufferRead] = traffic.row_buffer_reads + traffic.column_buffer_reads;
  counts[Operation::kBufferWrite] = traffic.row_buffer_writes + traffic.column_buffer_writes;
  counts[Operation::kSramRead] = traffic.sram_row_reads + traffic.sram_column_reads + traffic.sram_result_reads;
  counts[Operation::kSramWrite] = traffic.sram_operand_writes + traffic.sram_result_writes;
  counts[Operation::kDramRead] = traffic.dram_row_reads + traffic.dram_column_reads;
  counts[Operation::kDramWrite] = traffic.dram_result_writes + traffic.dram_code_writes;
}

// A machine and what it does in one pass.
struct PricedPass {
  energy::Breakdown energy;
  energy::UnitArea area;
  sim::CycleCounts cycles;
};

PricedPass price_pass(const Results& results, const LayerRecord& layer, const PassRecord& record,
                      const PerOperand<models::Format>& formats, int accumulator_bits, const energy::Laws& laws,
                      const OwnPrices& known, Activity activity, std::uint64_t zeros, bool sums_in_fp16 = false) {
  const Pass pass = record.pass;
  const models::Format& left = formats[models::left_operand(pass)];
  const models::Format& right = formats[models::right_operand(pass)];
  const models::Format& next = formats[models::result_operand(pass)];
  const bool mls = std::holds_alternative<models::MlsFormat>(left);
  const bool own = formats == layer.formats;

  const energy::Datapath datapath = datapath_of(left, right, accumulator_bits, sums_in_fp16);
  energy::Counts counts = energy::multiply_add_counts(datapath, record.multiply_adds);
  sim::Traffic traffic = record.traffic;
  sim::CycleCounts cycles = record.cycles;
  if (mls) {
    assert(own && counts[Operation::kMantissaMultiply] == record.counts.mantissa_multiplies);
    counts[Operation::kGroupExponentAdd] = record.counts.group_exponent_adds;
    counts[Operation::kShiftAndAdd] = record.counts.shift_adds;
    counts[Operation::kConvertToFloat] = record.counts.conversions;
    counts[Operation::kFloatAdd] = record.counts.float_adds;
    counts[Operation::kTensorScale] = record.counts.tensor_scale_multiplies;
  } else {
    const auto results_count = static_cast<std::uint64_t>(models::element_count(layer.shape.result_shape(pass)));
    counts[Operation::kTensorScale] = results_count;
    if (std::get<models::BaselineFormat>(left) == models::BaselineFormat::kInt8) {
      counts[Operation::kConvertToFloat] = results_count;
    }
    if (!own) {
      const sim::PassPrediction prediction = sim::predict_pass(pass, layer.shape, left, right, results.array, next);
      traffic = prediction.traffic;
      cycles = prediction.cycles;
    }
  }
  const bool stochastic = mls && layer.rounding[models::result_operand(pass)] == models::Rounding::kStochastic;
  add_results_and_traffic(layer, pass, next, stochastic, traffic, results.array, results.random_bits, counts);

  energy::Surroundings surroundings =
      surroundings_of(pass, left, right, results.array, stochastic ? results.random_bits : 0);
  surroundings.zero_gating = activity == Activity::kGated;
  if (own && activity != Activity::kDense && record.toggles) {
    if (const auto share = toggle_share(*record.toggles, record.traffic)) {
      constexpr double kRandom = 0.5;
      surroundings.left_activity = (left_feeds_rows(pass) ? share->rows : share->columns) / kRandom;
      surroundings.right_activity = (left_feeds_rows(pass) ? share->columns : share->rows) / kRandom;
    }
  }
  energy::DatapathCost cost = energy::price_datapath(laws, datapath, surroundings);
  for (const auto& [operation, pj] : known) {
    // What a zero leaves of an operation is a share of its price.
    const double price = cost.price_pj[operation].value;
    const double zero_pj = price > 0 ? pj * cost.zero_price_pj[operation].value / price : pj;
    cost.price_pj[operation] = {pj, pj, pj};
    cost.zero_price_pj[operation] = {zero_pj, zero_pj, zero_pj};
  }
  return {energy::price(counts, cost, activity == Activity::kDense ? 0 : zeros),
          energy::machine_area(cost, units_of(results.array)), cycles};
}

// Of the array: the widest of its passes.
int accumulator_bits(const Results& results) {
  int widest = 0;
  for (const LayerRecord& layer : results.layers) {
    for (const PassRecord& pass : layer.passes) widest = std::max(widest, pass.accumulator_bits);
  }
  return widest;
}

void keep_larger(energy::UnitArea& largest, const energy::UnitArea& area) {
  if (largest.blocks.empty() || area.total() > largest.total()) largest = area;
}

}  // namespace

std::optional<ToggleShare> toggle_share(const sim::OperandToggles& toggles, const sim::Traffic& traffic) {
  ToggleTotals totals;
  totals.add(toggles, traffic);
  return totals.share();
}

void ToggleTotals::add(const sim::OperandToggles& toggles, const sim::Traffic& traffic) {
  row_bits += toggles.row_bits;
  column_bits += toggles.column_bits;
  row_reads += traffic.row_buffer_reads;
  column_reads += traffic.column_buffer_reads;
}

std::optional<ToggleShare> ToggleTotals::share() const {
  if (row_reads == 0 || column_reads == 0) return std::nullopt;
  return ToggleShare{static_cast<double>(row_bits) / static_cast<double>(row_reads),
                     static_cast<double>(column_bits) / static_cast<double>(column_reads)};
}

CycleTotals::CycleTotals(const sim::CycleCounts& cycles)
    : array(cycles.array),
      quantizer(cycles.quantizer),
      fill_stalls(cycles.fill_stalls),
      scaler_stalls(cycles.scaler_stalls) {}

CycleTotals& CycleTotals::operator+=(const CycleTotals& other) {
  array += other.array;
  quantizer += other.quantizer;
  fill_stalls += other.fill_stalls;
  scaler_stalls += other.scaler_stalls;
  return *this;
}

PassPrice& PassPrice::operator+=(const PassPrice& other) {
  energy += other.energy;
  baselines.resize(baseline_machines().size());
  baseline_cycles.resize(baseline_machines().size());
  for (std::size_t b = 0; b < other.baselines.size(); ++b) {
    baselines[b] += other.baselines[b];
    baseline_cycles[b] += other.baseline_cycles[b];
  }
  return *this;
}

PassPrice Price::sum(const Results& results, Pass pass) const {
  PassPrice total;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    for (std::size_t p = 0; p < layers[l].size(); ++p) {
      if (results.layers[l].passes[p].pass != pass) continue;
      total += layers[l][p];
    }
  }
  return total;
}

std::vector<Sharing> sharings(const Results& results, const Price& price) {
  const int elements = results.array.rows * results.array.columns;
  std::set<int> shares{elements, results.array.elements_per_scaler};
  for (int share = 1; share < elements; share *= 2) shares.insert(share);
  std::vector<Sharing> all;
  for (const int share : shares) {
    Sharing sharing;
    sharing.elements_per_scaler = share;
    sharing.area = price.area;
    sim::ArrayConfig array = results.array;
    array.elements_per_scaler = share;
    sharing.units = units_of(array).group_scale_units;
    for (const LayerRecord& layer : results.layers) {
      for (const PassRecord& record : layer.passes) {
        const models::Format& left = layer.formats[models::left_operand(record.pass)];
        const models::Format& right = layer.formats[models::right_operand(record.pass)];
        if (!std::holds_alternative<models::MlsFormat>(left)) return {};
        const models::Format& next = layer.formats[models::result_operand(record.pass)];
        sharing.cycles += sim::predict_pass(record.pass, layer.shape, left, right, array, next).cycles;
      }
    }
    const std::int64_t own_units = units_of(results.array).group_scale_units;
    for (energy::AreaBlock& block : sharing.area.blocks) {
      if (block.name != "group_scale_units") continue;
      block.area_um2 *= static_cast<double>(sharing.units) / static_cast<double>(own_units);
    }
    all.push_back(std::move(sharing));
  }
  return all;
}

Machine machine_of(const Results& results, const energy::Laws& laws) {
  const LayerRecord& first = results.layers.at(0);
  const models::Format& format = first.formats[Operand::kActivation];
  int random_bits = 0;
  for (const LayerRecord& layer : results.layers) {
    for (const Operand operand : models::kOperands) {
      if (layer.rounding[operand] == models::Rounding::kStochastic) random_bits = results.random_bits;
    }
  }
  return {energy::price_datapath(laws, datapath_of(format, format, accumulator_bits(results)),
                                 surroundings_of(Pass::kForward, format, format, results.array, random_bits)),
          units_of(results.array)};
}

Activity parse_activity(const std::string& text) {
  for (const Activity activity : kActivities) {
    if (to_string(activity) == text) return activity;
  }
  throw std::runtime_error("activity '" + text + "' is none of dense, zeros, gated");
}

std::string to_string(Activity activity) {
  switch (activity) {
    case Activity::kDense:
      return "dense";
    case Activity::kZeros:
      return "zeros";
    case Activity::kGated:
      break;
  }
  return "gated";
}

ZeroProducts zero_products(const PassRecord& record) {
  if (record.zero_products) return {*record.zero_products, true};
  const bool activations = record.pass != Pass::kBackwardData;
  const double share = activations ? kAssumedZeroActivations : 0;
  return {static_cast<std::uint64_t>(std::llround(share * static_cast<double>(record.multiply_adds))), false};
}

ZeroProducts zero_products(const PassRecord& record, const BaselineMachine& machine) {
  // Machines of the same formats have the same zeros, however they sum.
  for (const BaselineMachine& measured : baseline_machines()) {
    if (measured.formats != machine.formats) continue;
    for (const MeasuredBaseline& baseline : record.baselines) {
      if (baseline.name == measured.name && baseline.zero_products) return {*baseline.zero_products, true};
    }
  }
  return {zero_products(record).count, false};
}

Price price(const Results& results, const energy::Laws& laws, const PricingOptions& options) {
  Price price;
  if (options.baselines) price.baseline_areas.resize(baseline_machines().size());
  price.accumulator_bits = accumulator_bits(results);
  for (const LayerRecord& layer : results.layers) {
    std::vector<PassPrice>& passes = price.layers.emplace_back();
    for (const PassRecord& record : layer.passes) {
      PassPrice& pass_price = passes.emplace_back();
      PricedPass own = price_pass(results, layer, record, layer.formats, price.accumulator_bits, laws, options.own,
                                  options.activity, zero_products(record).count);
      pass_price.energy = own.energy;
      keep_larger(price.area, own.area);
      for (std::size_t b = 0; b < price.baseline_areas.size(); ++b) {
        PerOperand<models::Format> formats;
        for (const Operand operand : models::kOperands) formats[operand] = baseline_machines()[b].formats[operand];
        PricedPass baseline =
            price_pass(results, layer, record, formats, 0, laws, {}, options.activity,
                       zero_products(record, baseline_machines()[b]).count, baseline_machines()[b].sums_in_fp16);
        pass_price.baselines.push_back(baseline.energy);
        pass_price.baseline_cycles.push_back(baseline.cycles);
        keep_larger(price.baseline_areas[b], baseline.area);
      }
    }
  }
  return price;
}

}  // namespace mlsim::evaluation
