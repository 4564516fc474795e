#include <fmt/format.h>

#include <cmath>

#include "app/report/cells.h"
#include "app/report/section_tables.h"

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
                    fmt::format("Machines of {} x {} elements at {:g} GHz, all passes; a multiply-add is two "
                                "operations; the area is that of elements, group-scale units and "
                                "quantizers; /W without and with memory",
                                array.rows, array.columns, array.clock_ghz)};
  table.head = {"machine", "mm²",         "ms",
                "TOPS",    "TOPS/mm²",    "pJ a multiply-add",
                "TOPS/W",  "with memory", "all passes, with memory"};
  if (samples) table.head.emplace_back("a sample");
  for (const MachineFigures& machine : evaluated.machines()) {
    table.rows.push_back({machine_name(machine.baseline), area(machine.computing_area_um2),
                          three_digits(1e3 * machine.seconds), three_digits(machine.tops),
                          three_digits(machine.tops_per_mm2), three_digits(machine.pj_each),
                          three_digits(machine.tops_per_watt), three_digits(machine.tops_per_watt_with_memory),
                          joules(machine.all_pj.value)});
    if (samples) table.rows.back().push_back(joules(machine.sample_pj.value()));
  }
  return table;
}

ReportTable equal_table(const Evaluation& evaluated) {
  if (std::isnan(evaluated.machines().front().computing_area_um2)) return {};
  ReportTable table{
      "equal",
      "The same machines with as many elements as give them the area, or the throughput, of this format's "
      "(each kind scaled as a whole and as well used; power without memory)",
      1};
  table.head = {"machine",  "elements at its area",       "TOPS", "ms",
                "power, W", "elements at its throughput", "mm²",  "power, W"};
  for (const MachineFigures& machine : evaluated.machines()) {
    const MachineFigures::EqualArea& by_area = machine.equal_area;
    const MachineFigures::EqualThroughput& by_rate = machine.equal_throughput;
    table.rows.push_back({machine_name(machine.baseline), fmt::format("x {}", three_digits(by_area.elements_factor)),
                          three_digits(by_area.tops), three_digits(1e3 * by_area.seconds), three_digits(by_area.watts),
                          fmt::format("x {}", three_digits(by_rate.elements_factor)), area(by_rate.computing_area_um2),
                          three_digits(by_rate.watts)});
  }
  return table;
}

ReportTable step_table(const Evaluation& evaluated) {
  if (!evaluated.step()) return {};
  const evaluation::TrainingStep& step = evaluated.source().step.value();
  ReportTable table{"step",
                    fmt::format("One training step of {}, batch {}: the rest of it in binary32 for every format "
                                "(pJ by the cost table), without memory",
                                step.network, step.batch)};
  table.head = {"part", "multiplications", "additions", "gated elements", "energy"};
  for (const evaluation::StepPart& part : step.parts) {
    table.rows.push_back(
        {part.name, count(part.multiplies), count(part.adds), count(part.gated), joules(part.energy_pj.value)});
  }
  table.rows.push_back({"convolutions", "", "", "", joules(evaluated.step()->convolutions_pj)});
  table.rows.push_back({"whole step", "", "", "", joules(evaluated.step()->whole_pj)});
  return table;
}

ReportTable step_machine_table(const Evaluation& evaluated) {
  if (!evaluated.step()) return {};
  ReportTable table{"step-machines",
                    "The whole step on each machine, without memory and with the memory of the "
                    "convolutions, and as a multiple of this format's"};
  table.head = {"machine",
                "a step",
                "a sample",
                "this format's x",
                "with memory",
                "a sample with memory",
                "this format's x with memory"};
  for (const evaluation::StepMachine& machine : evaluated.step()->machines) {
    table.rows.push_back({machine_name(machine.baseline), joules(machine.computing_pj.value),
                          joules(machine.sample_computing_pj), factor(machine.computing_factor),
                          joules(machine.all_pj.value), joules(machine.sample_all_pj), factor(machine.all_factor)});
  }
  return table;
}

ReportTable sharing_table(const Evaluation& evaluated) {
  ReportTable table{"sharing",
                    "What sharing a group-scale unit saves and stalls, all passes (cycles by the closed form; * as "
                    "simulated)"};
  table.head = {"elements to a unit",
                "units",
                "units, mm²",
                "all computing, mm²",
                "saved",
                "scaler stalls",
                "cycles",
                "slower",
                "TOPS/mm²"};
  for (const evaluation::Sharing& sharing : evaluated.sharings()) {
    table.rows.push_back({fmt::format("{}{}", sharing.elements_per_scaler, sharing.own ? " *" : ""),
                          fmt::format("{}", sharing.units), area(sharing.units_area_um2),
                          area(sharing.computing_area_um2), percent(sharing.saved), count(sharing.cycles.scaler_stalls),
                          count(sharing.cycles.total()), percent(sharing.slower), three_digits(sharing.tops_per_mm2)});
  }
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
