#include <cmath>
#include <nlohmann/json.hpp>

#include "app/report/report.h"
#include "app/report/report_tables.h"

namespace mlsim::app {
namespace {

using energy::Operation;
using energy::Range;
using evaluation::baseline_machines;
using evaluation::count_to_json;
using evaluation::CycleTotals;
using evaluation::decibels_to_json;
using evaluation::Evaluation;
using evaluation::MachineFigures;
using evaluation::number_or_null;
using evaluation::PassPrice;
using evaluation::PassRecord;
using evaluation::provenance_to_json;
using evaluation::Total;
using Json = nlohmann::ordered_json;

Json to_json(const Range& range) {
  return {{"low", range.low}, {"value", range.value}, {"high", range.high}};
}

Json to_json(const std::optional<Range>& range) {
  return range ? to_json(*range) : Json();
}

Json to_json(const energy::UnitArea& area) {
  if (std::isnan(area.total())) return nullptr;
  Json json = Json::object();
  for (const energy::AreaBlock& block : area.blocks) json[block.name] = block.area_um2;
  json["total"] = area.total();
  return json;
}

Json optional_to_json(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

Json to_json(const std::optional<evaluation::CycleShares>& shares) {
  if (!shares) return nullptr;
  return {{"compute", shares->compute}, {"fill", shares->fill}, {"scaler", shares->scaler},
          {"dram", shares->dram},       {"sram", shares->sram}, {"quantizer", shares->quantizer}};
}

Json bound_json(const std::optional<evaluation::CycleShares>& shares) {
  return shares ? Json(evaluation::bound_in_a_word(shares)) : Json();
}

const char* line_name(Operation operation) {
  switch (energy::line_of(operation)) {
    case energy::Line::kOperation:
      return "operation";
    case energy::Line::kOverhead:
      return "overhead";
    case energy::Line::kMemory:
      break;
  }
  return "memory";
}

// What a machine is called; `baseline` is empty for that of the results.
std::string machine_key(const std::string& baseline) {
  return baseline.empty() ? "own" : baseline;
}

// The parts of what is called cycles; stalls are parts of array_cycles and quantizer_cycles. Those of the memory are
// told where there are any.
void add_cycles(const CycleTotals& cycles, Json& json) {
  json["cycles"] = count_to_json(cycles.total());
  json["array_cycles"] = count_to_json(cycles.array);
  json["fill_stalls"] = count_to_json(cycles.fill_stalls);
  json["scaler_stalls"] = count_to_json(cycles.scaler_stalls);
  if (cycles.dram_stalls != 0) json["dram_stalls"] = count_to_json(cycles.dram_stalls);
  if (cycles.sram_stalls != 0) json["sram_stalls"] = count_to_json(cycles.sram_stalls);
  json["quantizer_cycles"] = count_to_json(cycles.quantizer);
  if (cycles.quantizer_stalls != 0) json["quantizer_stalls"] = count_to_json(cycles.quantizer_stalls);
}

Json lines_json(const energy::Breakdown& breakdown) {
  Json json = Json::object();
  json["operations_only_pj"] = to_json(breakdown.operations_only());
  json["computing_pj"] = to_json(breakdown.computing());
  json["memory_pj"] = to_json(breakdown.memory());
  return json;
}

Json operations_json(const energy::Breakdown& breakdown) {
  Json json;
  for (const Operation operation : energy::kOperations) {
    if (breakdown.counts[operation] == 0) continue;
    json[std::string(energy::name(operation))] = {{"line", line_name(operation)},
                                                  {"count", count_to_json(breakdown.counts[operation])},
                                                  {"pj", to_json(breakdown.energy_pj[operation])}};
  }
  return json;
}

enum class Detail : std::uint8_t { kLines, kOperations };

Json to_json(const PassPrice& price, Detail detail) {
  Json json = Json::object();
  json["energy"] = lines_json(price.energy);
  if (detail == Detail::kOperations) {
    const Json operations = operations_json(price.energy);
    if (!operations.is_null()) json["energy"]["operations"] = operations;
  }
  for (std::size_t b = 0; b < price.baselines.size(); ++b) {
    const energy::Comparison comparison = price.compared(b);
    Json& baseline = json["baselines"][baseline_machines()[b].name];
    baseline = lines_json(price.baselines[b]);
    baseline["operations_only_ratio"] = to_json(comparison.operations_only);
    baseline["computing_ratio"] = to_json(comparison.computing);
  }
  return json;
}

Json to_json(const Total& total) {
  Json json = Json::object();
  json["multiply_adds"] = count_to_json(total.multiply_adds);
  add_cycles(total.cycles, json);
  json["utilization"] = optional_to_json(total.utilization);
  json["mean_sqnr_db"] = decibels_to_json(total.sqnr.mean());
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    if (const std::optional<double> sqnr = total.baseline_sqnr[b].mean()) {
      json["baseline_mean_sqnr_db"][baseline_machines()[b].name] = decibels_to_json(sqnr);
    }
  }
  json["zero_products"] = count_to_json(total.zero_products);
  json["zero_products_are_counted"] = total.zeros_are_counted;
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    json["baseline_zero_products"][baseline_machines()[b].name] = count_to_json(total.baseline_zero_products[b]);
  }
  if (const auto toggles = total.toggles.share()) {
    json["toggle_share"] = {{"rows", toggles->rows}, {"columns", toggles->columns}};
  }
  json.update(to_json(total.price, Detail::kOperations));
  return json;
}

// Of each machine at equal elements, and scaled to the area and to the throughput of the results' own.
Json to_json(const std::vector<MachineFigures>& machines) {
  Json json = Json::object();
  for (const MachineFigures& machine : machines) {
    const MachineFigures::EqualArea& by_area = machine.equal_area;
    const MachineFigures::EqualThroughput& by_rate = machine.equal_throughput;
    Json& entry = json[machine_key(machine.baseline)];
    entry["computing_area_um2"] = number_or_null(machine.computing_area_um2);
    entry["seconds"] = machine.seconds;
    entry["tops"] = number_or_null(machine.tops);
    entry["tops_per_mm2"] = number_or_null(machine.tops_per_mm2);
    entry["tops_per_watt"] = number_or_null(machine.tops_per_watt);
    entry["tops_per_watt_with_memory"] = number_or_null(machine.tops_per_watt_with_memory);
    entry["pj_per_multiply_add"] = number_or_null(machine.pj_each);
    entry["pj_per_multiply_add_with_memory"] = number_or_null(machine.pj_each_with_memory);
    entry["step_pj"] = machine.all_pj.value;
    entry["with_memory_pj"] = to_json(machine.all_pj);
    entry["with_memory_ratio"] = to_json(machine.all_ratio);
    entry["memory_share"] = optional_to_json(machine.memory_share);
    entry["energy_delay_js"] = number_or_null(machine.energy_delay_js);
    entry["bound_by"] = bound_json(machine.cycles);
    entry["cycle_shares"] = to_json(machine.cycles);
    const evaluation::EnergyParts& parts = machine.parts;
    entry["parts_pj"] = {{"operations", parts.operations.value},
                         {"overhead", parts.overhead.value},
                         {"buffers", parts.buffers.value},
                         {"sram", parts.sram.value},
                         {"dram", parts.dram.value}};
    if (parts.standing.value > 0) entry["parts_pj"]["standing"] = parts.standing.value;
    entry["utilization"] = optional_to_json(machine.utilization);
    entry["mean_sqnr_db"] = decibels_to_json(machine.sqnr_db);
    entry["sample_pj"] = optional_to_json(machine.sample_pj);
    entry["equal_area"] = {{"elements_factor", number_or_null(by_area.elements_factor)},
                           {"tops", number_or_null(by_area.tops)},
                           {"seconds", number_or_null(by_area.seconds)},
                           {"watts", number_or_null(by_area.watts)}};
    entry["equal_throughput"] = {{"elements_factor", number_or_null(by_rate.elements_factor)},
                                 {"computing_area_um2", number_or_null(by_rate.computing_area_um2)},
                                 {"watts", number_or_null(by_rate.watts)}};
  }
  return json;
}

Json step_json(const evaluation::TrainingStep& step, const evaluation::StepFigures& figures) {
  Json json = Json::object();
  json["network"] = step.network;
  json["batch"] = step.batch;
  for (const evaluation::StepPart& part : step.parts) {
    json["parts"][part.name] = {{"float_multiplies", part.multiplies},
                                {"float_adds", part.adds},
                                {"gated_elements", part.gated},
                                {"pj", to_json(part.energy_pj)}};
  }
  json["rest_pj"] = to_json(figures.rest_pj);
  for (const evaluation::StepMachine& machine : figures.machines) {
    Json& entry = json["machines"][machine_key(machine.baseline)];
    entry["computing_pj"] = to_json(machine.computing_pj);
    entry["computing_ratio"] = to_json(machine.computing_ratio);
    entry["with_memory_pj"] = to_json(machine.all_pj);
    entry["sample_computing_pj"] = machine.sample_computing_pj;
    entry["sample_with_memory_pj"] = machine.sample_all_pj;
  }
  return json;
}

Json to_json(const std::vector<evaluation::Sharing>& sharings) {
  Json json = Json::array();
  for (const evaluation::Sharing& sharing : sharings) {
    Json& entry = json.emplace_back();
    entry["elements_per_scaler"] = sharing.elements_per_scaler;
    entry["group_scale_units"] = sharing.units;
    entry["area_um2"] = to_json(sharing.area);
    add_cycles(sharing.cycles, entry);
  }
  return json;
}

Json to_json(const evaluation::TableRanges& ranges) {
  Json json = Json::object();
  const auto add = [&](std::size_t b, const char* name, const std::optional<evaluation::TableRange>& range) {
    if (!range) return;
    Json& entry = json[baseline_machines()[b].name][name];
    entry = {{"low", range->low}, {"high", range->high}};
    for (std::size_t t = 0; t < ranges.tables.size(); ++t) entry["by_table"][ranges.tables[t]] = range->by_table[t];
  };
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    add(b, "operations_only_ratio", ranges.operations_only[b]);
    add(b, "computing_ratio", ranges.computing[b]);
  }
  return json;
}

// What a roofline and a map of hot spots show of a pass.
void add_figures(const evaluation::PassFigures& figures, Json& json) {
  json["with_memory_pj"] = figures.all_pj;
  json["energy_share"] = optional_to_json(figures.energy_share);
  json["stall_share"] = optional_to_json(figures.stall_share);
  json["bound_by"] = bound_json(figures.cycles);
  json["cycle_shares"] = to_json(figures.cycles);
  json["dram_bytes"] = figures.dram_bytes;
  json["operations_per_dram_byte"] = optional_to_json(figures.operations_per_byte);
  json["tops"] = optional_to_json(figures.tops);
  json["needed_gigabytes_per_second"] = optional_to_json(figures.needed_gigabytes_per_second);
}

Json roofline_json(const sim::ArrayConfig& array) {
  Json json = Json::object();
  json["peak_tops"] = evaluation::peak_tops(array);
  if (const std::optional<evaluation::Bandwidth> own = evaluation::own_bandwidth(array)) {
    json["bandwidth"] = {{"name", own->name}, {"gigabytes_per_second", own->gigabytes_per_second}};
  }
  json["example_bandwidths"] = Json::array();
  for (const evaluation::Bandwidth& bandwidth : evaluation::example_bandwidths()) {
    json["example_bandwidths"].push_back({{"name", bandwidth.name},
                                          {"gigabytes_per_second", bandwidth.gigabytes_per_second},
                                          {"source", bandwidth.source}});
  }
  return json;
}

Json pass_json(const PassRecord& record, const PassPrice& price) {
  Json json = Json::object();
  json["multiply_adds"] = record.multiply_adds;
  add_cycles(record.cycles, json);
  json["utilization"] = optional_to_json(evaluation::utilization_of(record));
  json["overflows"] = record.overflows_are_counted ? Json(record.counts.overflows) : Json();
  const evaluation::ZeroProducts zeros = evaluation::zero_products(record);
  json["zero_products"] = zeros.count;
  json["zero_products_are_counted"] = zeros.counted;
  json["sqnr_db"] = decibels_to_json(record.sqnr_db);
  for (const evaluation::MeasuredBaseline& error : record.baselines) {
    json["baseline_sqnr_db"][error.name] = decibels_to_json(error.sqnr_db);
  }
  json.update(to_json(price, Detail::kOperations));
  return json;
}

Json layers_json(const Evaluation& evaluated) {
  Json json = Json::array();
  auto figures = evaluated.passes().begin();
  for (std::size_t l = 0; l < evaluated.price().layers.size(); ++l) {
    const evaluation::LayerRecord& record = evaluated.results().layers[l];
    Json& layer = json.emplace_back();
    layer["name"] = record.name;
    layer["format"] = format_name(record);
    for (std::size_t p = 0; p < record.passes.size(); ++p) {
      Json& pass = layer["passes"][models::to_string(record.passes[p].pass)];
      pass = pass_json(record.passes[p], evaluated.price().layers[l][p]);
      add_figures(*figures++, pass);
    }
  }
  return json;
}

Json to_json(const Evaluation& evaluated) {
  Json json = Json::object();
  json["file"] = evaluated.source().file;
  json["workload"] = evaluated.results().workload;
  json["engine"] = evaluation::to_string(evaluated.results().engine);
  json["formats"] = format_names(evaluated.results());
  if (evaluated.results().provenance) json["provenance"] = provenance_to_json(*evaluated.results().provenance);
  if (evaluated.price().accumulator_bits > 0) json["accumulator_bits"] = evaluated.price().accumulator_bits;
  json["activity"] = evaluation::to_string(evaluated.source().activity);
  json["area_um2"] = to_json(evaluated.price().area);
  for (std::size_t b = 0; b < evaluated.price().baseline_areas.size(); ++b) {
    json["baseline_area_um2"][baseline_machines()[b].name] = to_json(evaluated.price().baseline_areas[b]);
  }
  for (const Total& total : evaluated.totals()) json["totals"][total.name] = to_json(total);
  for (const evaluation::Activity activity : evaluation::kActivities) {
    json["activities"][evaluation::to_string(activity)] = to_json(evaluated.with(activity), Detail::kLines);
  }
  json["machines"] = to_json(evaluated.machines());
  if (evaluated.step()) json["training_step"] = step_json(evaluated.source().step.value(), *evaluated.step());
  json["roofline"] = roofline_json(evaluated.results().array);
  json["sharing"] = to_json(evaluated.sharings());
  json["table_range"] = to_json(evaluated.table_ranges());
  json["layers"] = layers_json(evaluated);
  return json;
}

}  // namespace

Json json_report(const std::vector<Evaluation>& evaluations) {
  Json json = Json::object();
  json["schema"] = "mlsim.report/1";
  const energy::CostTable& table = evaluations.front().table();
  json["cost_table"] = table.name;
  if (!table.file.empty()) {
    json["cost_table_file"] = table.file.string();
    json["cost_table_hash"] = evaluation::hash_text(table.content_hash);
  }
  json["results"] = Json::array();
  for (const Evaluation& evaluated : evaluations) json["results"].push_back(to_json(evaluated));
  return json;
}

}  // namespace mlsim::app
