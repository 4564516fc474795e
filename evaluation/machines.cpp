#include "evaluation/machines.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <variant>

#include "evaluation/residence.h"
#include "sim/dataflow.h"

namespace mlsim::evaluation {
namespace {

double block_area(const energy::UnitArea& machine, std::string_view name) {
  double sum = 0;
  for (const energy::AreaBlock& block : machine.blocks) {
    if (block.name == name) sum += block.area_um2;
  }
  return sum;
}

// Images of the results: the batch that all layers share, if they share one.
std::optional<std::int64_t> images_of(const Results& results) {
  if (results.layers.empty()) return std::nullopt;
  const std::int64_t batch = results.layers.front().shape.batch;
  const bool shared = std::all_of(results.layers.begin(), results.layers.end(),
                                  [&](const LayerRecord& layer) { return layer.shape.batch == batch; });
  return shared ? std::optional(batch) : std::nullopt;
}

MachineFigures figures_of(const energy::UnitArea& area, const CycleTotals& cycles, const energy::Breakdown& energy,
                          const sim::ArrayConfig& array, double multiply_adds) {
  const double seconds = milliseconds_of(cycles, array) / 1e3;
  MachineFigures machine;
  machine.computing_area_um2 = computing_area(area);
  machine.seconds = seconds;
  machine.computing_pj = energy.computing();
  machine.memory_pj = energy.memory();
  machine.all_pj = energy.with_memory();
  machine.parts = energy_parts(energy);
  machine.energy_delay_js = energy_delay_js(machine.all_pj.value, seconds);
  machine.cycles = cycle_shares(cycles, array);
  if (machine.all_pj.value > 0) machine.memory_share = machine.memory_pj.value / machine.all_pj.value;
  if (cycles.array != 0) {
    machine.utilization =
        multiply_adds / (static_cast<double>(cycles.array) * static_cast<double>(array.multipliers()));
  }
  machine.watts = machine.computing_pj.value * 1e-12 / seconds;
  machine.tops = 2 * multiply_adds / seconds / 1e12;
  machine.tops_per_mm2 = machine.tops / (machine.computing_area_um2 / 1e6);
  machine.tops_per_watt = 2 * multiply_adds / machine.computing_pj.value;
  machine.tops_per_watt_with_memory = 2 * multiply_adds / machine.all_pj.value;
  machine.pj_each = machine.computing_pj.value / multiply_adds;
  machine.pj_each_with_memory = machine.all_pj.value / multiply_adds;
  return machine;
}

// Each kind is scaled as a whole and as well used.
void equalize(const MachineFigures& own, MachineFigures& machine) {
  const double by_area = own.computing_area_um2 / machine.computing_area_um2;
  machine.equal_area = {by_area, machine.tops * by_area, machine.seconds / by_area, machine.watts * by_area};
  const double by_rate = machine.seconds / own.seconds;
  machine.equal_throughput = {by_rate, machine.computing_area_um2 * by_rate, machine.watts * by_rate};
}

// Cycles of all passes by the closed form; none where a layer has no group-scale unit.
std::optional<CycleTotals> predicted_cycles(const Results& results, const sim::ArrayConfig& array) {
  CycleTotals cycles;
  const Residences residences(step_layers(results), array);
  for (std::size_t index = 0; index < results.layers.size(); ++index) {
    const LayerRecord& layer = results.layers[index];
    for (const PassRecord& record : layer.passes) {
      const auto format_of = [&](models::Operand operand) {
        return models::format_of(layer.formats[operand], operand, record.pass);
      };
      const models::Format left = format_of(models::left_operand(record.pass));
      const models::Format right = format_of(models::right_operand(record.pass));
      if (!is_scaled(left)) return std::nullopt;
      const sim::Exchange exchange = residences.exchange(index, record.pass);
      cycles += sim::dataflow_of(array).predict(record.pass, layer.shape, left, right, array, exchange).cycles;
    }
  }
  return cycles;
}

double multiply_adds_of(const Results& results) {
  energy::WideCount multiply_adds;
  for (const LayerRecord& layer : results.layers) {
    for (const PassRecord& record : layer.passes) multiply_adds += record.multiply_adds;
  }
  return static_cast<double>(multiply_adds);
}

}  // namespace

double computing_area(const energy::UnitArea& machine) {
  double sum = 0;
  for (const energy::AreaBlock& block : machine.blocks) {
    if (!energy::is_memory(block)) sum += block.area_um2;
  }
  return sum;
}

EnergyParts energy_parts(const energy::Breakdown& energy) {
  using energy::Operation;
  const auto both = [&](Operation read, Operation write) { return energy.energy_pj[read] + energy.energy_pj[write]; };
  energy::Range overhead;
  energy::Range standing;
  for (const Operation operation : energy::kOperations) {
    if (energy::is_standing(operation)) {
      standing += energy.energy_pj[operation];
    } else if (energy::line_of(operation) == energy::Line::kOverhead) {
      overhead += energy.energy_pj[operation];
    }
  }
  return {energy.operations_only(),
          overhead,
          both(Operation::kBufferRead, Operation::kBufferWrite),
          both(Operation::kSramRead, Operation::kSramWrite),
          both(Operation::kDramRead, Operation::kDramWrite),
          standing};
}

std::vector<MachineFigures> machine_figures(const Results& results, const Price& price, const Total& all) {
  const auto multiply_adds = static_cast<double>(all.multiply_adds);
  std::vector<MachineFigures> machines{
      figures_of(price.area, all.cycles, all.price.energy, results.array, multiply_adds)};
  machines.front().sqnr_db = all.sqnr.mean();
  for (std::size_t b = 0; b < price.baseline_areas.size(); ++b) {
    machines.push_back(figures_of(price.baseline_areas[b], all.price.baseline_cycles[b], all.price.baselines[b],
                                  results.array, multiply_adds));
    machines.back().baseline = baseline_machines()[b].name;
    machines.back().sqnr_db = all.baseline_sqnr[b].mean();
  }
  const std::optional<std::int64_t> images = images_of(results);
  for (MachineFigures& machine : machines) {
    equalize(machines.front(), machine);
    machine.all_ratio = energy::ratio(machine.all_pj, machines.front().all_pj);
    if (images) machine.sample_pj = machine.all_pj.value / static_cast<double>(*images);
  }
  return machines;
}

StepFigures step_figures(const TrainingStep& step, const std::vector<MachineFigures>& machines) {
  StepFigures figures;
  figures.rest_pj = step.total_pj();
  figures.convolutions_pj = machines.front().computing_pj.value;
  figures.whole_pj = figures.convolutions_pj + figures.rest_pj.value;
  const auto samples = static_cast<double>(step.batch);
  for (const MachineFigures& machine : machines) {
    StepMachine& whole = figures.machines.emplace_back();
    whole.baseline = machine.baseline;
    whole.computing_pj = machine.computing_pj + figures.rest_pj;
    whole.all_pj = whole.computing_pj + machine.memory_pj;
    whole.sample_computing_pj = whole.computing_pj.value / samples;
    whole.sample_all_pj = whole.all_pj.value / samples;
    const StepMachine& own = figures.machines.front();
    whole.computing_ratio = energy::ratio(whole.computing_pj, own.computing_pj);
    whole.computing_factor = whole.computing_pj.value / own.computing_pj.value;
    whole.all_factor = whole.all_pj.value / own.all_pj.value;
  }
  return figures;
}

std::vector<Sharing> sharings(const Results& results, const energy::UnitArea& area) {
  const int elements = results.array.rows * results.array.columns;
  std::set<int> shares{elements, results.array.elements_per_scaler};
  for (int share = 1; share < elements; share *= 2) shares.insert(share);
  const std::int64_t own_units = units_of(results.array).group_scale_units;
  const double multiply_adds = multiply_adds_of(results);
  std::vector<Sharing> all;
  for (const int share : shares) {
    sim::ArrayConfig array = results.array;
    array.elements_per_scaler = share;
    const std::optional<CycleTotals> cycles = predicted_cycles(results, array);
    if (!cycles) return {};
    Sharing& sharing = all.emplace_back();
    sharing.elements_per_scaler = share;
    sharing.own = share == results.array.elements_per_scaler;
    sharing.units = units_of(array).group_scale_units;
    sharing.cycles = *cycles;
    sharing.area = area;
    for (energy::AreaBlock& block : sharing.area.blocks) {
      if (block.name != "group_scale_units") continue;
      block.area_um2 *= static_cast<double>(sharing.units) / static_cast<double>(own_units);
    }
    sharing.units_area_um2 = block_area(sharing.area, "group_scale_units");
    sharing.computing_area_um2 = computing_area(sharing.area);
    const auto total = static_cast<double>(sharing.cycles.total());
    sharing.saved = 1 - sharing.computing_area_um2 / all.front().computing_area_um2;
    sharing.slower = total / static_cast<double>(all.front().cycles.total()) - 1;
    const double tops = 2 * multiply_adds * array.clock_ghz / total / 1e3;
    sharing.tops_per_mm2 = tops / (sharing.computing_area_um2 / 1e6);
  }
  return all;
}

std::vector<BlockArea> block_areas(const Price& price) {
  std::vector<BlockArea> areas;
  const auto add = [&](const std::string& name, auto area_of) {
    BlockArea& block = areas.emplace_back(BlockArea{name, area_of(price.area), {}});
    for (const energy::UnitArea& baseline : price.baseline_areas) block.baselines.push_back(area_of(baseline));
  };
  std::set<std::string> seen;
  const auto add_blocks = [&](const energy::UnitArea& machine) {
    for (const energy::AreaBlock& block : machine.blocks) {
      if (!seen.insert(block.name).second) continue;
      add(block.name, [&](const energy::UnitArea& area) { return block_area(area, block.name); });
    }
  };
  add_blocks(price.area);
  for (const energy::UnitArea& area : price.baseline_areas) add_blocks(area);
  add("total", [](const energy::UnitArea& area) { return area.total(); });
  return areas;
}

}  // namespace mlsim::evaluation
