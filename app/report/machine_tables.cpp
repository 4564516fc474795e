#include <fmt/format.h>

#include <cmath>

#include "app/report/cells.h"
#include "app/report/section_tables.h"
#include "app/report/table_columns.h"

namespace mlsim::app {
namespace {

using evaluation::Evaluation;
using evaluation::MachineFigures;

// What a machine is called; `baseline` is empty for that of the results.
std::string machine_name(const std::string& baseline) {
  return baseline.empty() ? "this format" : baseline;
}

}  // namespace

ReportTable machine_table(const Evaluation& evaluated) {
  const sim::ArrayConfig& array = evaluated.results().array;
  const bool samples = evaluated.machines().front().sample_pj.has_value();
  ReportTable table{"machines",
                    fmt::format("Machines of {} x {} elements{} at {:g} GHz, all passes; a multiply-add is two "
                                "operations; the area is that of elements, group-scale units and "
                                "quantizers; pJ/MAC and TOPS/W without memory where nothing else is said",
                                array.rows, array.columns,
                                array.taps_per_cycle > 1 ? fmt::format(" of {} multipliers", array.taps_per_cycle) : "",
                                array.clock_ghz)};
  using Figures = MachineFigures;
  TableColumns columns(table, evaluated.machines());
  columns.texts("machine", [](const Figures& machine) { return machine_name(machine.baseline); });
  columns.numbers("computing, mm²", [](const Figures& machine) { return machine.computing_area_um2 / 1e6; });
  columns.numbers("ms", [](const Figures& machine) { return 1e3 * machine.seconds; });
  columns.numbers("TOPS", [](const Figures& machine) { return machine.tops; });
  columns.numbers("TOPS/mm²", [](const Figures& machine) { return machine.tops_per_mm2; });
  columns.numbers("pJ/MAC", [](const Figures& machine) { return machine.pj_each; });
  columns.numbers("TOPS/W", [](const Figures& machine) { return machine.tops_per_watt; });
  columns.numbers("TOPS/W with memory", [](const Figures& machine) { return machine.tops_per_watt_with_memory; });
  columns.energies("with memory", [](const Figures& machine) { return machine.all_pj.value; });
  columns.energy_delays("EDP", [](const Figures& machine) { return machine.energy_delay_js * 1e12; });
  columns.texts("bound by", [](const Figures& machine) { return evaluation::bound_in_a_word(machine.cycles); });
  if (samples) columns.energies("a sample", [](const Figures& machine) { return machine.sample_pj.value(); });
  return table;
}

ReportTable equal_table(const Evaluation& evaluated) {
  if (std::isnan(evaluated.machines().front().computing_area_um2)) return {};
  ReportTable table{
      "equal",
      "The same machines with as many elements as give them the area, or the throughput, of this format's "
      "(each kind scaled as a whole and as well used; power without memory)",
      1};
  using Figures = MachineFigures;
  TableColumns columns(table, evaluated.machines());
  const auto times = [](double factor) { return fmt::format("x {:.2f}", factor); };
  columns.texts("machine", [](const Figures& machine) { return machine_name(machine.baseline); });
  columns.texts("elements at its area", [&](const Figures& m) { return times(m.equal_area.elements_factor); });
  columns.numbers("TOPS", [](const Figures& machine) { return machine.equal_area.tops; });
  columns.numbers("ms", [](const Figures& machine) { return 1e3 * machine.equal_area.seconds; });
  columns.numbers("power, W", [](const Figures& machine) { return machine.equal_area.watts; });
  columns.texts("elements at its throughput",
                [&](const Figures& machine) { return times(machine.equal_throughput.elements_factor); });
  columns.numbers("computing, mm²", [](const Figures& m) { return m.equal_throughput.computing_area_um2 / 1e6; });
  columns.numbers("power, W", [](const Figures& machine) { return machine.equal_throughput.watts; });
  return table;
}

ReportTable step_table(const Evaluation& evaluated) {
  if (!evaluated.step()) return {};
  const evaluation::TrainingStep& step = evaluated.source().step.value();
  ReportTable table{"step",
                    fmt::format("One training step of {}, batch {}: the rest of it in binary32 for every format "
                                "(pJ by the cost table), without memory",
                                step.network, step.batch)};
  table.head = {"part", "multiplications", "additions", "gated elements"};
  std::vector<double> pj;
  for (const evaluation::StepPart& part : step.parts) {
    table.rows.push_back({part.name, count(part.multiplies), count(part.adds), count(part.gated)});
    pj.push_back(part.energy_pj.value);
  }
  table.rows.push_back({"convolutions", "", "", ""});
  table.rows.push_back({"whole step", "", "", ""});
  pj.insert(pj.end(), {evaluated.step()->convolutions_pj, evaluated.step()->whole_pj});
  const EnergyColumn energy = energy_column(pj);
  table.head.push_back("computing, " + energy.unit);
  for (std::size_t r = 0; r < pj.size(); ++r) table.rows[r].push_back(energy.cells[r]);
  return table;
}

ReportTable step_machine_table(const Evaluation& evaluated) {
  if (!evaluated.step()) return {};
  ReportTable table{"step-machines",
                    "The whole step on each machine, without memory and with the memory of the "
                    "convolutions, and as a multiple of this format's"};
  using Figures = evaluation::StepMachine;
  TableColumns columns(table, evaluated.step()->machines);
  columns.texts("machine", [](const Figures& machine) { return machine_name(machine.baseline); });
  columns.energies("a step, computing", [](const Figures& machine) { return machine.computing_pj.value; });
  columns.energies("a sample, computing", [](const Figures& machine) { return machine.sample_computing_pj; });
  columns.texts("this format's x", [](const Figures& machine) { return factor(machine.computing_factor); });
  columns.energies("a step, with memory", [](const Figures& machine) { return machine.all_pj.value; });
  columns.energies("a sample, with memory", [](const Figures& machine) { return machine.sample_all_pj; });
  columns.texts("this format's x with memory", [](const Figures& machine) { return factor(machine.all_factor); });
  return table;
}

ReportTable sharing_table(const Evaluation& evaluated) {
  ReportTable table{"sharing",
                    "What sharing a group-scale unit saves and stalls, all passes (cycles by the closed form; * as "
                    "simulated)"};
  using Figures = evaluation::Sharing;
  TableColumns columns(table, evaluated.sharings());
  columns.texts("elements to a unit",
                [](const Figures& f) { return fmt::format("{}{}", f.elements_per_scaler, f.own ? " *" : ""); });
  columns.texts("units", [](const Figures& sharing) { return fmt::format("{}", sharing.units); });
  columns.texts("units, mm²", [](const Figures& sharing) { return area(sharing.units_area_um2); });
  columns.texts("computing, mm²", [](const Figures& sharing) { return area(sharing.computing_area_um2); });
  columns.texts("saved", [](const Figures& sharing) { return percent(sharing.saved); });
  columns.texts("scaler stalls", [](const Figures& sharing) { return count(sharing.cycles.scaler_stalls); });
  columns.texts("cycles", [](const Figures& sharing) { return count(sharing.cycles.total()); });
  columns.texts("slower", [](const Figures& sharing) { return percent(sharing.slower); });
  columns.numbers("TOPS/mm²", [](const Figures& sharing) { return sharing.tops_per_mm2; });
  return table;
}

ReportTable area_table(const Evaluation& evaluated) {
  if (!evaluated.table().has_area) return {};
  ReportTable table{"area", "Area, mm² (memories are an estimate, no area of theirs is published)"};
  table.head = with_baselines({"block", "this format"}, "");
  const auto cell = [](double um2) { return fmt::format("{:.4f}", um2 / 1e6); };
  for (const evaluation::BlockArea& block : evaluated.areas()) {
    std::vector<std::string> cells{block.block, cell(block.own)};
    for (const double baseline : block.baselines) cells.push_back(cell(baseline));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace mlsim::app
