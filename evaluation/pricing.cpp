#include "evaluation/pricing.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <stdexcept>
#include <variant>

#include "energy/standing.h"
#include "evaluation/counted_operations.h"
#include "evaluation/residence.h"
#include "models/formats/tensor.h"
#include "sim/dataflow.h"

namespace mlsim::evaluation {
namespace {

using energy::Operation;
using models::Operand;
using models::Pass;

energy::Datapath datapath_of(const models::Format& left, const models::Format& right, const sim::ArrayConfig& array,
                             int accumulator_bits, bool sums_in_fp16 = false) {
  if (const auto* scaled = std::get_if<models::ScaledFormat>(&left)) {
    return energy::ScaledDatapath{*scaled, std::get<models::ScaledFormat>(right), accumulator_bits,
                                  array.taps_per_cycle};
  }
  return energy::BaselineDatapath{std::get<models::BaselineFormat>(left), std::get<models::BaselineFormat>(right),
                                  sums_in_fp16, array.taps_per_cycle};
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
  // A column's one is read by those of all rows, unless each row has one of its own for convolution groups side by
  // side.
  const int column_fanout = array.rows / array.rows_with_column_wires();
  surroundings.left_fanout = left_rows ? array.columns : column_fanout;
  surroundings.right_fanout = left_rows ? column_fanout : array.columns;
  surroundings.buffer_bytes = std::max(row_bits * static_cast<double>(array.row_feeder.buffer_elements),
                                       column_bits * static_cast<double>(array.column_feeder.buffer_elements)) /
                              8;
  surroundings.sram_bytes = static_cast<double>(array.global_sram_bytes);
  surroundings.dram = array.dram_technology;
  surroundings.random_bits = random_bits;
  if (const sim::Dataflow& dataflow = sim::dataflow_of(array); dataflow.rows_stay) {
    // The operand of the rows has no buffer but the elements' registers, and stays there for all columns of a tile.
    (left_rows ? surroundings.left_fanout : surroundings.right_fanout) = 1;
    (left_rows ? surroundings.left_loads : surroundings.right_loads) =
        1.0 / static_cast<double>(dataflow.tile_columns(array, 1));
    surroundings.buffer_bytes = column_bits * static_cast<double>(array.column_feeder.buffer_elements) / 8;
    surroundings.sums_in_memory = true;
  }
  return surroundings;
}

std::uint64_t stored_scales(const models::Format& format, const models::Shape& shape) {
  const auto* scaled = std::get_if<models::ScaledFormat>(&format);
  return scaled == nullptr ? 1 : static_cast<std::uint64_t>(scaled->layout.count(shape));
}

// Of a pass: what it computes and on what.
struct PassOf {
  const Results& results;
  const LayerRecord& layer;
  const PassRecord& record;
  const Residences& residences;
  std::size_t index = 0;  // of the layer
};

// A machine that a pass is priced on.
struct PricedMachine {
  PerOperand<models::Format> formats;
  int accumulator_bits = 0;  // of block-scaled formats
  bool sums_in_fp16 = false;

  // With the tiles that the pass takes.
  models::Format left(Pass pass) const { return of(models::left_operand(pass), pass); }
  models::Format right(Pass pass) const { return of(models::right_operand(pass), pass); }
  // Each once that the results are quantized to.
  std::vector<models::Format> results(Pass pass) const {
    return models::next_formats(formats[models::result_operand(pass)], pass);
  }

 private:
  models::Format of(Operand operand, Pass pass) const { return models::format_of(formats[operand], operand, pass); }
};

// Whether operands have scales of more than one system, each with a quantizer of its own.
bool mixes_systems(const PricedMachine& machine) {
  const auto kind = [&](Operand operand) {
    const auto* scaled = std::get_if<models::ScaledFormat>(&machine.formats[operand]);
    return scaled == nullptr ? models::ScaleKind::kMls : scaled->scale.kind;
  };
  return kind(Operand::kActivation) != kind(Operand::kWeight) || kind(Operand::kActivation) != kind(Operand::kError);
}

PricedMachine priced_machine(const BaselineMachine& baseline) {
  PricedMachine machine;
  for (const Operand operand : models::kOperands) machine.formats[operand] = baseline.formats[operand];
  machine.sums_in_fp16 = baseline.sums_in_fp16;
  return machine;
}

bool rounds_stochastically(const LayerRecord& layer, const PricedMachine& machine, Pass pass) {
  return is_scaled(machine.left(pass)) && layer.rounding[models::result_operand(pass)] == models::Rounding::kStochastic;
}

// What is done with sums: of block-scaled formats as it was counted, on another one once for a result.
void add_sums(const PassOf& of, const PricedMachine& machine, energy::Counts& counts) {
  const Pass pass = of.record.pass;
  if (is_scaled(machine.left(pass))) {
    assert(counts[Operation::kMantissaMultiply] == of.record.counts.mantissa_multiplies);
    visit_operations(of.record.counts, [&](Operation operation, std::uint64_t count) {
      if (!energy::is_of_multiply_add(operation)) counts[operation] = count;
    });
    return;
  }
  const auto results = static_cast<std::uint64_t>(models::element_count(of.layer.shape.result_shape(pass)));
  counts[Operation::kTensorScale] = results;
  if (models::layout_of(std::get<models::BaselineFormat>(machine.left(pass))).is_integer()) {
    counts[Operation::kConvertToFloat] = results;
  }
}

// What is done with results, for every kind of machine: all of it for each of their formats, as in a pass over them.
void add_quantization(const PassOf& of, const PricedMachine& machine, energy::Counts& counts) {
  if (!of.results.array.quantizes_results()) return;
  const Pass pass = of.record.pass;
  const models::Shape shape = of.layer.shape.result_shape(pass);
  const auto results = static_cast<std::uint64_t>(models::element_count(shape));
  for (const models::Format& format : machine.results(pass)) {
    counts[Operation::kQuantize] += results;
    counts[Operation::kGroupQuantize] += stored_scales(format, shape);
    if (rounds_stochastically(of.layer, machine, pass)) {
      counts[Operation::kRandomBits] += results * static_cast<std::uint64_t>(of.results.random_bits);
    }
  }
}

// What the traffic costs. A buffer that is registers in the elements costs what they do.
void add_traffic(const PassOf& of, const sim::Traffic& traffic, const models::Format& row_format, PassWork& work) {
  energy::Counts& counts = work.counts;
  if (sim::dataflow_of(of.results.array).rows_stay) {
    counts[Operation::kBufferRead] = traffic.column_buffer_reads;
    counts[Operation::kBufferWrite] = traffic.column_buffer_writes;
    if (of.record.multiply_adds > 0) {
      const double taken = static_cast<double>(traffic.row_buffer_reads) / models::element_bits(row_format);
      (left_feeds_rows(of.record.pass) ? work.surroundings.left_loads : work.surroundings.right_loads) =
          taken / static_cast<double>(of.record.multiply_adds);
    }
  } else {
    counts[Operation::kBufferRead] = traffic.row_buffer_reads + traffic.column_buffer_reads;
    counts[Operation::kBufferWrite] = traffic.row_buffer_writes + traffic.column_buffer_writes;
  }
  counts[Operation::kSramRead] =
      traffic.sram_row_reads + traffic.sram_column_reads + traffic.sram_result_reads + traffic.sram_sum_reads;
  counts[Operation::kSramWrite] = traffic.sram_operand_writes + traffic.sram_result_writes + traffic.sram_sum_writes;
  counts[Operation::kDramRead] = traffic.dram_row_reads + traffic.dram_column_reads + traffic.dram_result_reads;
  counts[Operation::kDramWrite] = traffic.dram_result_writes + traffic.dram_code_writes;
}

// Cycles and traffic are those of the results on a machine of their formats, else the closed form's.
PassWork work_of_pass(const PassOf& of, const PricedMachine& machine, std::uint64_t zero_products) {
  const Pass pass = of.record.pass;
  const models::Format left = machine.left(pass);
  const models::Format right = machine.right(pass);
  const bool own = machine.formats == of.layer.formats;

  PassWork work;
  work.datapath = datapath_of(left, right, of.results.array, machine.accumulator_bits, machine.sums_in_fp16);
  work.surroundings = surroundings_of(pass, left, right, of.results.array,
                                      rounds_stochastically(of.layer, machine, pass) ? of.results.random_bits : 0);
  if (mixes_systems(machine)) work.surroundings.quantized = machine.results(pass).front();
  work.zero_products = zero_products;
  std::optional<sim::PassPrediction> predicted;
  if (!own) {
    predicted = sim::dataflow_of(of.results.array)
                    .predict(pass, of.layer.shape, left, right, of.results.array,
                             of.residences.exchange(of.index, pass, &machine.formats));
  }
  const std::uint64_t multiply_adds = of.record.multiply_adds;
  std::uint64_t additions = multiply_adds;
  if (of.results.array.taps_per_cycle > 1) {
    additions = std::min(additions, predicted ? predicted->counts.integer_adds : of.record.counts.integer_adds);
  }
  work.counts = energy::multiply_add_counts(work.datapath, multiply_adds, additions);
  add_sums(of, machine, work.counts);
  add_quantization(of, machine, work.counts);
  if (predicted) {
    const sim::PassPrediction& prediction = *predicted;
    work.cycles = prediction.cycles;
    add_traffic(of, prediction.traffic, left_feeds_rows(pass) ? left : right, work);
    return work;
  }
  work.cycles = of.record.cycles;
  add_traffic(of, of.record.traffic, left_feeds_rows(pass) ? left : right, work);
  const std::optional<ToggleShare> share =
      of.record.toggles ? toggle_share(*of.record.toggles, of.record.traffic) : std::nullopt;
  if (share) {
    constexpr double kRandom = 0.5;
    work.left_activity = (left_feeds_rows(pass) ? share->rows : share->columns) / kRandom;
    work.right_activity = (left_feeds_rows(pass) ? share->columns : share->rows) / kRandom;
  }
  return work;
}

// Known prices are those of dense operands on elements that do not hold still, as is `dense`. What activity, gating and
// zeros make of them is in proportion to what they make of the table's.
void replace_prices(const OwnPrices& known, const energy::DatapathCost& dense, energy::DatapathCost& cost) {
  for (const auto& [operation, pj] : known) {
    const double table = dense.price_pj[operation].value;
    const auto replaced = [&, pj = pj](const energy::Range& price) {
      const double value = table > 0 ? price.value * (pj / table) : pj;
      return energy::Range{value, value, value};
    };
    cost.zero_price_pj[operation] = replaced(cost.zero_price_pj[operation]);
    cost.price_pj[operation] = replaced(cost.price_pj[operation]);
  }
}

energy::Duty duty_of(const PassWork& work, const Work& all) {
  // An element of several multipliers takes their products in one cycle.
  const bool at_once = std::visit([](const auto& any) { return any.taps_per_cycle > 1; }, work.datapath);
  return {work.cycles.total(), work.counts[at_once ? Operation::kAccumulatorRegister : Operation::kRegister],
          all.clock_ghz, all.units.processing_elements};
}

// What a pass takes, without leakage, and the area of a machine for it.
struct PricedPass {
  energy::Breakdown energy;
  energy::UnitArea area;
};

PricedPass price_pass(const PassWork& work, const Work& all, const energy::Laws& laws, Activity activity,
                      const OwnPrices& known = {}) {
  energy::Surroundings surroundings = work.surroundings;
  surroundings.zero_gating = activity == Activity::kGated;
  if (activity != Activity::kDense) {
    surroundings.left_activity = work.left_activity;
    surroundings.right_activity = work.right_activity;
  }
  energy::DatapathCost cost = energy::price_datapath(laws, work.datapath, surroundings);
  if (!known.empty()) replace_prices(known, energy::price_datapath(laws, work.datapath, work.surroundings), cost);
  PricedPass priced{energy::price(work.counts, cost, activity == Activity::kDense ? 0 : work.zero_products),
                    energy::machine_area(cost, all.units)};
  energy::add_idle_clocking(laws.table(), cost, duty_of(work, all), priced.energy);
  return priced;
}

// All of a machine leaks in every pass, also what another pass is for.
void add_leakage(const Work& work, const energy::CostTable& table, Price& price) {
  for (std::size_t l = 0; l < work.layers.size(); ++l) {
    for (std::size_t p = 0; p < work.layers[l].size(); ++p) {
      const Work::Pass& pass = work.layers[l][p];
      PassPrice& pass_price = price.layers[l][p];
      energy::add_leakage(table, price.area, duty_of(pass.own, work), pass_price.energy);
      for (std::size_t b = 0; b < pass.baselines.size(); ++b) {
        energy::add_leakage(table, price.baseline_areas[b], duty_of(pass.baselines[b], work), pass_price.baselines[b]);
      }
    }
  }
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
      scaler_stalls(cycles.scaler_stalls),
      dram_stalls(cycles.dram_stalls),
      sram_stalls(cycles.sram_stalls),
      quantizer_stalls(cycles.quantizer_stalls) {}

CycleTotals& CycleTotals::operator+=(const CycleTotals& other) {
  array += other.array;
  quantizer += other.quantizer;
  fill_stalls += other.fill_stalls;
  scaler_stalls += other.scaler_stalls;
  dram_stalls += other.dram_stalls;
  sram_stalls += other.sram_stalls;
  quantizer_stalls += other.quantizer_stalls;
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

PassPrice Price::sum() const {
  PassPrice total;
  for (const std::vector<PassPrice>& passes : layers) {
    for (const PassPrice& pass : passes) total += pass;
  }
  return total;
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

Machine machine_of(const Results& results, const energy::Laws& laws) {
  const LayerRecord& first = results.layers.at(0);
  const models::Format& format = first.formats[Operand::kActivation];
  int random_bits = 0;
  for (const LayerRecord& layer : results.layers) {
    for (const Operand operand : models::kOperands) {
      if (layer.rounding[operand] == models::Rounding::kStochastic) random_bits = results.random_bits;
    }
  }
  return {energy::price_datapath(laws, datapath_of(format, format, results.array, accumulator_bits(results)),
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

Work work_of(const Results& results, Machines machines) {
  Work work;
  work.accumulator_bits = accumulator_bits(results);
  work.units = units_of(results.array);
  work.clock_ghz = results.array.clock_ghz;
  const Residences residences(step_layers(results), results.array);
  for (std::size_t index = 0; index < results.layers.size(); ++index) {
    const LayerRecord& layer = results.layers[index];
    std::vector<Work::Pass>& passes = work.layers.emplace_back();
    for (const PassRecord& record : layer.passes) {
      const PassOf of{results, layer, record, residences, index};
      Work::Pass& pass = passes.emplace_back();
      pass.own = work_of_pass(of, {layer.formats, work.accumulator_bits}, zero_products(record).count);
      if (machines == Machines::kOwn) continue;
      for (const BaselineMachine& baseline : baseline_machines()) {
        pass.baselines.push_back(work_of_pass(of, priced_machine(baseline), zero_products(record, baseline).count));
      }
    }
  }
  return work;
}

Price price(const Work& work, const energy::Laws& laws, const PricingOptions& options) {
  Price price;
  price.accumulator_bits = work.accumulator_bits;
  for (const std::vector<Work::Pass>& layer : work.layers) {
    std::vector<PassPrice>& passes = price.layers.emplace_back();
    for (const Work::Pass& pass : layer) {
      PassPrice& pass_price = passes.emplace_back();
      PricedPass own = price_pass(pass.own, work, laws, options.activity, options.own);
      pass_price.energy = own.energy;
      keep_larger(price.area, own.area);
      price.baseline_areas.resize(pass.baselines.size());
      for (std::size_t b = 0; b < pass.baselines.size(); ++b) {
        PricedPass baseline = price_pass(pass.baselines[b], work, laws, options.activity);
        pass_price.baselines.push_back(baseline.energy);
        pass_price.baseline_cycles.emplace_back(pass.baselines[b].cycles);
        keep_larger(price.baseline_areas[b], baseline.area);
      }
    }
  }
  if (laws.table().leakage) add_leakage(work, laws.table(), price);
  return price;
}

energy::Units units_of(const sim::ArrayConfig& array) {
  const sim::Dataflow& dataflow = sim::dataflow_of(array);
  energy::Units units;
  units.processing_elements = std::int64_t{array.rows} * array.columns;
  units.group_scale_units = dataflow.group_scale_units(array);
  units.quantizers = array.quantizes_results() ? array.quantizer_lanes : 0;
  units.operand_buffers = dataflow.rows_stay ? 1 : 2;
  units.srams = 1;
  return units;
}

}  // namespace mlsim::evaluation
