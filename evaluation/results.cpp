#include "evaluation/results.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <variant>

#include "base/input_file.h"
#include "base/json.h"
#include "base/json_reader.h"
#include "base/terminal.h"
#include "evaluation/counted_operations.h"
#include "sim/dataflow.h"
#include "workloads/convolution_check.h"

namespace mlsim::evaluation {
namespace {

using Json = nlohmann::ordered_json;
using Place = base::OrderedJsonReader;

constexpr const char* kResultsSchema = "mlsim.results/1";
constexpr std::array<std::string_view, 2> kInputLinks{"shared", "alone"};  // in the order of workloads::InputLink
constexpr std::array<std::string_view, 3> kValueOrigins{"tensor", "synthetic", "model"};

constexpr std::array<std::pair<const char*, Engine>, 4> kEngines{{{"functional", Engine::kFunctional},
                                                                  {"cycle", Engine::kCycle},
                                                                  {"structural", Engine::kStructural},
                                                                  {"analytic", Engine::kAnalytic}}};

// The members of the documents, named once for both directions.
template <typename Counts, typename Visitor>
void visit_counts(Counts& counts, const Visitor& visit) {
  visit_operations(counts, [&](energy::Operation operation, auto& count) {
    visit(energy::name(operation).data(), count);  // a literal, which ends in a zero
  });
  visit("overflows", counts.overflows);
}

template <typename Counts, typename Visitor>
void visit_tree_counts(Counts& counts, const Visitor& visit) {
  visit_tree_operations(
      counts, [&](energy::Operation operation, auto& count) { visit(energy::name(operation).data(), count); });
}

template <typename Cycles, typename Visitor>
void visit_cycles(Cycles& cycles, const Visitor& visit) {
  visit("array", cycles.array);
  visit("quantizer", cycles.quantizer);
  visit("fill_stalls", cycles.fill_stalls);
  visit("scaler_stalls", cycles.scaler_stalls);
}

// Of an array that waits for its memory.
template <typename Cycles, typename Visitor>
void visit_memory_stalls(Cycles& cycles, const Visitor& visit) {
  visit("dram_stalls", cycles.dram_stalls);
  visit("sram_stalls", cycles.sram_stalls);
  visit("quantizer_stalls", cycles.quantizer_stalls);
}

template <typename Traffic, typename Visitor>
void visit_traffic(Traffic& traffic, const Visitor& visit) {
  visit("dram_row_reads", traffic.dram_row_reads);
  visit("dram_column_reads", traffic.dram_column_reads);
  visit("dram_result_writes", traffic.dram_result_writes);
  visit("dram_code_writes", traffic.dram_code_writes);
  visit("sram_operand_writes", traffic.sram_operand_writes);
  visit("sram_row_reads", traffic.sram_row_reads);
  visit("sram_column_reads", traffic.sram_column_reads);
  visit("sram_result_writes", traffic.sram_result_writes);
  visit("sram_result_reads", traffic.sram_result_reads);
  visit("row_buffer_writes", traffic.row_buffer_writes);
  visit("row_buffer_reads", traffic.row_buffer_reads);
  visit("column_buffer_writes", traffic.column_buffer_writes);
  visit("column_buffer_reads", traffic.column_buffer_reads);
}

// Of a weight-stationary array.
template <typename Traffic, typename Visitor>
void visit_sum_traffic(Traffic& traffic, const Visitor& visit) {
  visit("sram_sum_writes", traffic.sram_sum_writes);
  visit("sram_sum_reads", traffic.sram_sum_reads);
}

template <typename Toggles, typename Visitor>
void visit_toggles(Toggles& toggles, const Visitor& visit) {
  visit("rows", toggles.row_bits);
  visit("columns", toggles.column_bits);
}

template <typename Shape, typename Visitor>
void visit_shape(Shape& shape, const Visitor& visit) {
  visit("batch", shape.batch);
  visit("in_channels", shape.in_channels);
  visit("out_channels", shape.out_channels);
  visit("in_size", shape.in_size);
  visit("kernel", shape.kernel);
  visit("stride", shape.stride);
  visit("padding", shape.padding);
  visit("groups", shape.groups);
  visit("dilation", shape.dilation);
}

template <typename Array, typename Visitor>
void visit_array(Array& array, const Visitor& visit) {
  visit("rows", array.rows);
  visit("columns", array.columns);
  visit("elements_per_scaler", array.elements_per_scaler);
  visit("quantizer_lanes", array.quantizer_lanes);
  visit("quantize_results", array.quantizes_results());
  visit("global_sram_bytes", array.global_sram_bytes);
  visit("clock_ghz", array.clock_ghz);
}

template <typename Array, typename Visitor>
void visit_memory(Array& array, const Visitor& visit) {
  visit("dram_bytes_per_cycle", array.dram_bytes_per_cycle);
  visit("dram_latency_cycles", array.dram_latency_cycles);
  visit("dram_burst_bytes", array.dram_burst_bytes);
  visit("sram_read_bytes_per_cycle", array.sram_read_bytes_per_cycle);
  visit("sram_write_bytes_per_cycle", array.sram_write_bytes_per_cycle);
}

template <typename Feeder, typename Visitor>
void visit_feeder(Feeder& feeder, const Visitor& visit) {
  visit("buffer_elements", feeder.buffer_elements);
  visit("fill_ports", feeder.fill_ports);
}

// Writes what a visit function walks.
struct Writer {
  Json& json;
  template <typename T>
  void operator()(const char* key, const T& value) const {
    json[key] = value;
  }
};

// Of a memory, whose unlimited rates are null.
struct MemoryWriter : Writer {
  using Writer::operator();
  void operator()(const char* key, const sim::ByteRate& rate) const {
    json[key] = nullptr;
    if (rate.limited()) json[key] = rate.bytes();
  }
};

// Of a shape, without a dilation that is none.
struct ShapeWriter : Writer {
  using Writer::operator();
  void operator()(const char* key, const std::array<models::Padding, 2>& padding) const {
    json[key] = workloads::padding_to_json(padding);
  }
  void operator()(const char* key, const std::array<std::int64_t, 2>& pair) const {
    if (key == std::string_view("dilation") && pair == std::array<std::int64_t, 2>{1, 1}) return;
    json[key] = pair;
  }
};

// The ranges of what is read. Those of shapes and random bits are workload.schema.json's; no count of a layer that
// check_convolution lets through is larger than the largest one.
constexpr std::uint64_t kLargestCount = std::uint64_t{1} << 62;
constexpr std::uint64_t kLargestExtent = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostRandomBits = 24;
constexpr std::uint64_t kMostAccumulatorBits = 128;  // of prices without values
constexpr double kRounding = 1e-9;                   // by which equal figures may differ

std::uint64_t count_at(const Place& place) {
  return place.integer<std::uint64_t>(0, kLargestCount);
}

// Refuses what lacks a member that a visit function walks.
struct Requirement {
  Place place;
  template <typename T>
  void operator()(const char* key, const T& /*value*/) const {
    place[key];
  }
};

// Refuses members other than `known` and those that `walk` gives a visitor.
template <typename Walk>
void refuse_others(const Place& place, std::vector<std::string_view> known, const Walk& walk) {
  walk([&](const char* key, const auto& /*value*/) { known.emplace_back(key); });
  place.refuse_unknown(known);
}

// Reads the counts that a visit function walks.
struct CountReader {
  Place place;
  void operator()(const char* key, std::uint64_t& value) const { value = count_at(place[key]); }
};

struct ShapeReader {
  Place place;
  void operator()(const char* key, std::int64_t& value) const {
    value = place[key].integer<std::int64_t>(1, kLargestExtent);
  }
  void operator()(const char* key, std::array<std::int64_t, 2>& pair) const {
    if (key == std::string_view("dilation") && !place.has(key)) return;
    const Place values = place[key];
    require_pair(values, 1);
    for (std::size_t i = 0; i < pair.size(); ++i) pair[i] = values[i].integer<std::int64_t>(1, kLargestExtent);
  }
  void operator()(const char* key, std::array<models::Padding, 2>& padding) const {
    const Place values = place[key];
    require_pair(values, 0);
    for (std::size_t i = 0; i < padding.size(); ++i) {
      const Place sides = values[i];
      if (!sides.json().is_array()) {
        padding[i] = sides.integer<std::int64_t>(0, kLargestExtent);
        continue;
      }
      require_pair(sides, 0);
      padding[i] = {sides[0].integer<std::int64_t>(0, kLargestExtent),
                    sides[1].integer<std::int64_t>(0, kLargestExtent)};
    }
  }

 private:
  static void require_pair(const Place& values, std::uint64_t least) {
    if (values.json().is_array() && values.size() == 2) return;
    values.refuse_value(fmt::format("a list of 2, each an integer from {} to {}", least, kLargestExtent));
  }

 public:
};

template <typename T>
T from_name(const Place& place, T (*parse)(const std::string&)) {
  return place.guarded([&] { return parse(place.text()); });
}

// A name, which a report prints.
std::string printable(const Place& place) {
  auto name = place.text();
  if (base::has_control_characters(name)) place.refuse("has control characters, expected a name without them");
  return name;
}

double decibels_at(const Place& place) {
  return place.guarded([&] { return decibels_from_json(place.json()); });
}

models::Pass parse_pass(const std::string& text) {
  for (const models::Pass pass : models::kPasses) {
    if (models::to_string(pass) == text) return pass;
  }
  throw std::runtime_error("is \"" + text + "\", expected forward, backward_data or backward_weight");
}

models::Format parse_any_format(const std::string& text) {
  return models::parse_format(text);
}

// Null is how undefined ones were written before.
double cosine_error_at(const Place& place) {
  constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
  if (place.json().is_null() || place.json() == cosine_error_to_json(kUndefined)) return kUndefined;
  const double error = place.number();
  if (error < -kRounding || error > 2 + kRounding) place.refuse_value("a number from 0 to 2");
  return error;
}

Json pass_to_json(const PassRecord& record, const sim::ArrayConfig& array) {
  Json json = Json::object();
  json["pass"] = models::to_string(record.pass);
  json["multiply_adds"] = record.multiply_adds;
  if (record.zero_products) json["zero_products"] = *record.zero_products;
  if (record.accumulator_bits != 0) json["accumulator_bits"] = record.accumulator_bits;
  visit_cycles(record.cycles, Writer{json["cycles"]});
  if (array.waits_for_memory()) visit_memory_stalls(record.cycles, Writer{json["cycles"]});
  json["utilization"] = record.utilization;
  if (record.sqnr_db) json["sqnr_db"] = decibels_to_json(*record.sqnr_db);
  if (record.cosine_error) json["cosine_error"] = cosine_error_to_json(*record.cosine_error);
  if (!record.baselines.empty()) {
    for (const MeasuredBaseline& baseline : record.baselines) {
      json["baseline_sqnr_db"][baseline.name] = decibels_to_json(baseline.sqnr_db);
      if (baseline.zero_products) json["baseline_zero_products"][baseline.name] = *baseline.zero_products;
    }
  }
  if (record.toggles) visit_toggles(*record.toggles, Writer{json["toggled_bits"]});
  visit_counts(record.counts, Writer{json["counts"]});
  if (array.taps_per_cycle != 1) visit_tree_counts(record.counts, Writer{json["counts"]});
  if (!record.overflows_are_counted) json["counts"]["overflows"] = nullptr;
  if (record.sqnr_db) json["counts"]["non_finite"] = record.counts.non_finite;
  visit_traffic(record.traffic, Writer{json["traffic_bits"]});
  if (sim::dataflow_of(array).rows_stay) {
    visit_sum_traffic(record.traffic, Writer{json["traffic_bits"]});
  }
  if (record.traffic.dram_result_reads != 0) {
    json["traffic_bits"]["dram_result_reads"] = record.traffic.dram_result_reads;
  }
  return json;
}

std::uint64_t zero_products_of(const Place& place, std::uint64_t multiply_adds) {
  const std::uint64_t products = count_at(place);
  if (products > multiply_adds) place.refuse(fmt::format("is {}, expected at most {}", products, multiply_adds));
  return products;
}

sim::CycleCounts cycles_from_json(const Place& place) {
  sim::CycleCounts cycles;
  refuse_others(place, {}, [&](const auto& visit) {
    visit_cycles(cycles, visit);
    visit_memory_stalls(cycles, visit);
  });
  const auto read = [&](const char* key, std::uint64_t& value) {
    // Stalls are parts of the cycles, which is checked below.
    const bool part = std::string_view(key).ends_with("_stalls");
    value = place[key].integer<std::uint64_t>(0, part ? std::numeric_limits<std::uint64_t>::max() : kLargestCount);
  };
  visit_cycles(cycles, read);
  visit_memory_stalls(cycles, [&](const char* key, std::uint64_t& value) {
    if (place.has(key)) read(key, value);
  });
  std::uint64_t left = cycles.array;
  for (const std::uint64_t stalls :
       {cycles.fill_stalls, cycles.scaler_stalls, cycles.dram_stalls, cycles.sram_stalls}) {
    if (stalls > left) place.refuse("has more stalls than cycles of the array");
    left -= stalls;
  }
  if (cycles.quantizer_stalls > cycles.quantizer) place.refuse("has more stalls than cycles of the quantizer");
  return cycles;
}

void read_baselines(const Place& place, PassRecord& record) {
  const bool counted = place.has("baseline_zero_products");
  if (!place.has("baseline_sqnr_db")) {
    if (counted) place["baseline_zero_products"].refuse("expected only beside baseline_sqnr_db");
    return;
  }
  const Place sqnr = place["baseline_sqnr_db"];
  std::vector<std::string_view> names;
  for (const BaselineMachine& machine : baseline_machines()) {
    if (!machine.sums_in_fp16) names.push_back(machine.name);
  }
  sqnr.refuse_unknown(names);
  std::vector<std::string_view> measured;
  for (const auto& [name, value] : sqnr.json().items()) {
    measured.emplace_back(*std::find(names.begin(), names.end(), name));
    MeasuredBaseline& baseline = record.baselines.emplace_back();
    baseline.name = name;
    baseline.sqnr_db = decibels_at(sqnr[name]);
    if (counted && place["baseline_zero_products"].has(name)) {
      baseline.zero_products = zero_products_of(place["baseline_zero_products"][name], record.multiply_adds);
    }
  }
  if (counted) place["baseline_zero_products"].refuse_unknown(measured);
}

void read_counts(const Place& counts, PassRecord& record) {
  refuse_others(counts, {"non_finite"}, [&](const auto& visit) {
    visit_counts(record.counts, visit);
    visit_tree_counts(record.counts, visit);
  });
  record.overflows_are_counted = !counts["overflows"].json().is_null();
  visit_counts(record.counts, [&](const char* key, std::uint64_t& value) {
    if (key != std::string_view("overflows") || record.overflows_are_counted) CountReader{counts}(key, value);
  });
  if (record.counts.mantissa_multiplies != record.multiply_adds) {
    counts["mantissa_multiply"].refuse(fmt::format("is {}, expected the multiply_adds of the pass, {}",
                                                   record.counts.mantissa_multiplies, record.multiply_adds));
  }
  visit_tree_counts(record.counts, [&](const char* key, std::uint64_t& value) {
    if (counts.has(key)) CountReader{counts}(key, value);
  });
  if (counts.has("non_finite")) record.counts.non_finite = count_at(counts["non_finite"]);
}

void read_traffic(const Place& place, sim::Traffic& traffic) {
  refuse_others(place, {"dram_result_reads"}, [&](const auto& visit) {
    visit_traffic(traffic, visit);
    visit_sum_traffic(traffic, visit);
  });
  visit_traffic(traffic, CountReader{place});
  visit_sum_traffic(traffic, [&](const char* key, std::uint64_t& value) {
    if (place.has(key)) CountReader{place}(key, value);
  });
  if (place.has("dram_result_reads")) traffic.dram_result_reads = count_at(place["dram_result_reads"]);
}

sim::OperandToggles toggles_from_json(const Place& place, const sim::Traffic& traffic) {
  sim::OperandToggles toggles;
  refuse_others(place, {}, [&](const auto& visit) { visit_toggles(toggles, visit); });
  visit_toggles(toggles, CountReader{place});
  const auto check = [&](const char* key, std::uint64_t bits, std::uint64_t read) {
    if (bits <= read) return;
    place[key].refuse(fmt::format("is {}, expected at most the {} bits that are read", bits, read));
  };
  check("rows", toggles.row_bits, traffic.row_buffer_reads);
  check("columns", toggles.column_bits, traffic.column_buffer_reads);
  return toggles;
}

PassRecord pass_from_json(const Place& place, const sim::ArrayConfig& array) {
  place.refuse_unknown({"pass", "multiply_adds", "zero_products", "accumulator_bits", "cycles", "utilization",
                        "sqnr_db", "cosine_error", "baseline_sqnr_db", "baseline_zero_products", "toggled_bits",
                        "counts", "traffic_bits"});
  PassRecord record;
  record.pass = from_name(place["pass"], parse_pass);
  record.multiply_adds = count_at(place["multiply_adds"]);
  if (place.has("zero_products")) {
    record.zero_products = zero_products_of(place["zero_products"], record.multiply_adds);
  }
  if (place.has("accumulator_bits")) {
    record.accumulator_bits = place["accumulator_bits"].integer<int>(0, kMostAccumulatorBits);
  }
  record.cycles = cycles_from_json(place["cycles"]);
  read_counts(place["counts"], record);
  record.utilization = place["utilization"].number();
  if (record.utilization < 0 || record.utilization > 1 + kRounding) {
    place["utilization"].refuse_value("a number from 0 to 1");
  }
  if (record.multiply_adds > 0 && record.cycles.array == 0) {
    place["cycles"]["array"].refuse(fmt::format("is 0, expected the cycles of {} multiply-adds", record.multiply_adds));
  }
  if (const double expected = sim::utilization(record.counts, record.cycles, array);
      std::abs(record.utilization - expected) > kRounding) {
    place["utilization"].refuse(
        fmt::format("is {}, expected {}, as counts, cycles and the array have it", record.utilization, expected));
  }
  if (place.has("sqnr_db")) record.sqnr_db = decibels_at(place["sqnr_db"]);
  if (place.has("cosine_error")) record.cosine_error = cosine_error_at(place["cosine_error"]);
  read_baselines(place, record);
  read_traffic(place["traffic_bits"], record.traffic);
  if (place.has("toggled_bits")) record.toggles = toggles_from_json(place["toggled_bits"], record.traffic);
  return record;
}

Json layer_to_json(const LayerRecord& layer, const sim::ArrayConfig& array) {
  Json json = Json::object();
  json["name"] = layer.name;
  if (layer.linear) json["type"] = "linear";
  if (array.keep_between_layers && layer.link != workloads::InputLink::kNone) {
    json["reads_previous"] = kInputLinks.at(static_cast<std::size_t>(layer.link) - 1);
  }
  json["shape"] = shape_to_json(layer.shape);
  for (const models::Operand operand : models::kOperands) {
    const std::string key = models::to_string(operand);
    json["format"][key] = models::to_string(layer.formats[operand]);
    json["rounding"][key] = models::to_string(layer.rounding[operand]);
    const OperandRecord& record = layer.operands[operand];
    if (!record.measured) continue;
    json["operands"][key] = {{"elements", record.elements},
                             {"sqnr_db", decibels_to_json(record.sqnr_db)},
                             {"saturated", record.counts.saturated},
                             {"flushed_to_zero", record.counts.flushed_to_zero},
                             {"exact", record.counts.exact}};
    if (record.zeros) json["operands"][key]["zeros"] = *record.zeros;
    if (record.values) json["operands"][key]["values"] = to_string(*record.values);
  }
  json["passes"] = Json::array();
  for (const PassRecord& pass : layer.passes) json["passes"].push_back(pass_to_json(pass, array));
  return json;
}

LayerRecord layer_from_json(const Place& place, const sim::ArrayConfig& array) {
  place.refuse_unknown({"name", "type", "reads_previous", "shape", "format", "rounding", "operands", "passes"});
  LayerRecord layer;
  layer.name = printable(place["name"]);
  if (place.has("type")) {
    layer.linear = place["type"].text() == "linear";
    if (!layer.linear && place["type"].text() != "conv2d") place["type"].refuse_value("conv2d or linear");
  }
  if (place.has("reads_previous"))
    layer.link = static_cast<workloads::InputLink>(1 + place["reads_previous"].one_of(kInputLinks));
  refuse_others(place["shape"], {}, [&](const auto& visit) { visit_shape(layer.shape, visit); });
  visit_shape(layer.shape, ShapeReader{place["shape"]});
  workloads::check_convolution(layer.shape, place.file(), place["shape"].pointer());
  constexpr std::array<std::string_view, 3> kKeys{"activation", "weight", "error"};
  for (const char* const part : {"format", "rounding"}) place[part].refuse_unknown(kKeys);
  if (place.has("operands")) place["operands"].refuse_unknown(kKeys);
  for (const models::Operand operand : models::kOperands) {
    const std::string key = models::to_string(operand);
    layer.formats[operand] = from_name(place["format"][key], parse_any_format);
    layer.rounding[operand] = from_name(place["rounding"][key], models::parse_rounding);
    if (!place.has("operands") || !place["operands"].has(key)) continue;
    const Place record = place["operands"][key];
    record.refuse_unknown({"elements", "sqnr_db", "saturated", "flushed_to_zero", "exact", "zeros", "values"});
    OperandRecord& values = layer.operands[operand];
    values.measured = true;
    values.elements = record["elements"].integer<std::int64_t>(0, kLargestCount);
    values.sqnr_db = decibels_at(record["sqnr_db"]);
    values.counts = {count_at(record["saturated"]), count_at(record["flushed_to_zero"]), count_at(record["exact"])};
    if (record.has("zeros")) values.zeros = record["zeros"].integer<std::int64_t>(0, kLargestCount);
    if (record.has("values")) values.values = static_cast<ValueOrigin>(record["values"].one_of(kValueOrigins));
  }
  const auto scaled = std::count_if(models::kOperands.begin(), models::kOperands.end(),
                                    [&](models::Operand operand) { return is_scaled(layer.formats[operand]); });
  if (scaled != 0 && scaled != 3)
    place["format"].refuse("expected all three operands in block-scaled or all in baseline formats");
  const Place passes = place["passes"];
  if (passes.size() == 0) passes.refuse("expected a pass or more");
  for (std::size_t i = 0; i < passes.size(); ++i) {
    PassRecord record = pass_from_json(passes[i], array);
    for (const PassRecord& other : layer.passes) {
      if (other.pass == record.pass) passes[i]["pass"].refuse_value("a pass that the layer does not have already");
    }
    if (const std::uint64_t expected = layer.shape.multiply_adds(record.pass); record.multiply_adds != expected) {
      passes[i]["multiply_adds"].refuse(
          fmt::format("is {}, expected {}, as the shape of the layer has", record.multiply_adds, expected));
    }
    layer.passes.push_back(std::move(record));
  }
  return layer;
}

std::uint64_t hash_at(const Place& place) {
  const std::string text = place.text();
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (text.size() != 16 || !std::all_of(text.begin(), text.end(), is_digit)) {
    place.refuse_value("16 hexadecimal digits, 0 to 9 and a to f");
  }
  return std::stoull(text, nullptr, 16);
}

Provenance provenance_from_json(const Place& place) {
  constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
  place.refuse_unknown({"version", "seed", "step", "workload_hash", "tensors_hash", "array_hash"});
  Provenance provenance;
  provenance.version = printable(place["version"]);
  provenance.seed = place["seed"].integer<std::uint64_t>(0, kAny);
  provenance.step = place["step"].integer<std::uint64_t>(0, kAny >> 32);
  provenance.workload_hash = hash_at(place["workload_hash"]);
  if (place.has("tensors_hash")) provenance.tensors_hash = hash_at(place["tensors_hash"]);
  provenance.array_hash = hash_at(place["array_hash"]);
  return provenance;
}

}  // namespace

std::string to_string(ValueOrigin origin) {
  return std::string(kValueOrigins.at(static_cast<std::size_t>(origin)));
}

Engine parse_engine(const std::string& text) {
  for (const auto& [name, engine] : kEngines) {
    if (text == name) return engine;
  }
  throw std::runtime_error("engine '" + text + "' is none of functional, cycle, structural, analytic");
}

std::string to_string(Engine engine) {
  return kEngines.at(static_cast<std::size_t>(engine)).first;
}

bool is_systemc(Engine engine) {
  return engine == Engine::kCycle || engine == Engine::kStructural;
}

const std::vector<BaselineMachine>& baseline_machines() {
  using models::BaselineFormat;
  const auto uniform = [](BaselineFormat format, bool in_summary = false) {
    return BaselineMachine{
        .name = models::to_string(format), .formats = {{format, format, format}}, .in_summary = in_summary};
  };
  constexpr std::array<BaselineFormat, 3> kFp8{BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E4m3,
                                               BaselineFormat::kFp8E5m2};
  static const std::vector<BaselineMachine> machines{
      uniform(BaselineFormat::kFp32, true), uniform(BaselineFormat::kFp16),
      uniform(BaselineFormat::kBf16),       {.name = "fp8", .formats = {kFp8}, .in_summary = true},
      uniform(BaselineFormat::kInt8, true), {.name = "fp8-acc16", .formats = {kFp8}, .sums_in_fp16 = true},
  };
  return machines;
}

std::string non_finite_remark(const Results& results) {
  std::uint64_t count = 0;
  std::string where;
  for (const LayerRecord& layer : results.layers) {
    for (const PassRecord& pass : layer.passes) {
      count += pass.counts.non_finite;
      if (where.empty() && pass.counts.non_finite != 0) {
        where = fmt::format("{} of layer '{}'", models::to_string(pass.pass), layer.name);
      }
    }
  }
  if (count == 0) return "";
  return fmt::format("results are infinite or NaN: {}, the first in {}{}", count, where,
                     is_systemc(results.engine) && results.array.quantizes_results()
                         ? "; the machine quantizes no tensor that holds one, and counts as if it had"
                         : "");
}

std::optional<std::string> decibels_in_words(double decibels) {
  if (std::isnan(decibels)) return "undefined";
  if (!std::isinf(decibels)) return std::nullopt;
  return decibels > 0 ? "exact" : "infinite error";
}

Json decibels_to_json(const std::optional<double>& value) {
  if (!value) return nullptr;
  const std::optional<std::string> words = decibels_in_words(*value);
  return words ? Json(*words) : Json(*value);
}

double decibels_from_json(const Json& json) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
  if (json.is_null()) return kUndefined;
  for (const double value : {kInfinity, -kInfinity, kUndefined}) {
    if (json == *decibels_in_words(value)) return value;
  }
  if (!json.is_number()) {
    throw std::runtime_error(R"(expected a number of dB, null, "exact", "infinite error" or "undefined")");
  }
  return json.get<double>();
}

std::optional<double> summed_sqnr(const PassRecord& record) {
  const bool lost = record.sqnr_db && std::isnan(*record.sqnr_db) && record.counts.non_finite > 0;
  return lost ? -std::numeric_limits<double>::infinity() : record.sqnr_db;
}

Json cosine_error_to_json(double value) {
  return std::isfinite(value) ? Json(value) : Json("undefined");
}

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

std::string decibels_text(const Json& json) {
  if (json.is_null()) return "-";
  if (json.is_string()) return json.get<std::string>();
  return fmt::format("{:.1f}", json.get<double>());
}

std::string csv_cell(const std::string& text) {
  const bool formula = !text.empty() && std::string_view("=+-@\t\r\n").find(text.front()) != std::string_view::npos;
  if (!formula && text.find_first_of(",\"\n\r") == std::string::npos) return base::printable(text);
  std::string result = formula ? "\"'" : "\"";
  for (const char c : base::printable_lines(text)) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

std::string overflows_text(const Json& passes) {
  energy::WideCount sum;
  double beyond = 0;  // counts that 64 bits do not hold
  for (const auto& [pass, entry] : passes.items()) {
    const Json& overflows = entry["overflows"];
    if (overflows.is_null()) return "-";
    if (overflows.is_number_integer()) {
      sum += overflows.get<std::uint64_t>();
    } else {
      beyond += overflows.get<double>();
    }
  }
  return count_text(beyond > 0 ? Json(beyond + static_cast<double>(sum)) : count_to_json(sum));
}

Json count_to_json(const energy::WideCount& count) {
  if (const auto narrow = count.narrow()) return *narrow;
  return static_cast<double>(count);
}

std::string count_text(const Json& json) {
  return json.is_number_integer() ? std::to_string(json.get<std::uint64_t>())
                                  : fmt::format("{:.4E}", json.get<double>());
}

std::string picojoules_each(const Json& point, const char* energy) {
  const auto multiply_adds = point["multiply_adds"].get<double>();
  return multiply_adds > 0 ? fmt::format("{:.3f}", point[energy].get<double>() / multiply_adds) : "-";
}

std::string hash_text(std::uint64_t hash) {
  return fmt::format("{:016x}", hash);
}

Json provenance_to_json(const Provenance& provenance) {
  Json json = Json::object();
  json["version"] = provenance.version;
  json["seed"] = provenance.seed;
  json["step"] = provenance.step;
  json["workload_hash"] = hash_text(provenance.workload_hash);
  if (provenance.tensors_hash) json["tensors_hash"] = hash_text(*provenance.tensors_hash);
  json["array_hash"] = hash_text(provenance.array_hash);
  return json;
}

Json shape_to_json(const models::ConvolutionShape& shape) {
  Json json = Json::object();
  visit_shape(shape, ShapeWriter{json});
  return json;
}

Json array_to_json(const sim::ArrayConfig& array) {
  Json json = Json::object();
  visit_array(array, Writer{json});
  if (array.dataflow != sim::DataflowKind::kOutputStationary) json["dataflow"] = to_string(array.dataflow);
  if (array.taps_per_cycle != 1) json["taps_per_cycle"] = array.taps_per_cycle;
  if (array.depthwise != sim::DepthwiseMapping::kOff) json["depthwise"] = to_string(array.depthwise);
  if (array.results == sim::ResultForm::kCodes) json["results"] = to_string(array.results);
  if (array.keep_between_layers) json["keep_between_layers"] = true;
  if (array.dram_technology) json["dram_technology"] = energy::name(*array.dram_technology);
  if (array.waits_for_memory()) visit_memory(array, MemoryWriter{json});
  visit_feeder(array.row_feeder, Writer{json["row_feeder"]});
  visit_feeder(array.column_feeder, Writer{json["column_feeder"]});
  return json;
}

Json to_json(const Results& results) {
  Json json = Json::object();
  json["schema"] = kResultsSchema;
  json["workload"] = results.workload;
  json["engine"] = to_string(results.engine);
  json["random_bits"] = results.random_bits;
  if (results.provenance) json["provenance"] = provenance_to_json(*results.provenance);
  json["array"] = array_to_json(results.array);
  json["layers"] = Json::array();
  for (const LayerRecord& layer : results.layers) json["layers"].push_back(layer_to_json(layer, results.array));
  return json;
}

Results parse_results(const std::string& text, const std::string& source) {
  const Json json = base::parse_ordered_json(text, source);
  const Place root(json, source);
  if (const std::string schema = root["schema"].text(); schema != kResultsSchema) {
    root["schema"].refuse(fmt::format("is '{}', expected '{}', as mlsim simulate writes it", schema, kResultsSchema));
  }
  root.refuse_unknown({"schema", "workload", "engine", "random_bits", "provenance", "array", "layers"});
  Results results;
  results.workload = printable(root["workload"]);
  results.engine = from_name(root["engine"], parse_engine);
  results.random_bits = root["random_bits"].integer<int>(1, kMostRandomBits);
  if (root.has("provenance")) results.provenance = provenance_from_json(root["provenance"]);
  const Place array = root["array"];
  visit_array(results.array, Requirement{array});
  visit_feeder(results.array.row_feeder, Requirement{array["row_feeder"]});
  visit_feeder(results.array.column_feeder, Requirement{array["column_feeder"]});
  results.array = sim::read_array_config(array.json(), source, array.pointer());
  const Place layers = root["layers"];
  if (layers.size() == 0) layers.refuse("expected a layer or more");
  for (std::size_t i = 0; i < layers.size(); ++i) results.layers.push_back(layer_from_json(layers[i], results.array));
  return results;
}

Results load_results(const std::string& path) {
  if (path == "-") return parse_results(base::read_standard_input(base::kLargestResults), "standard input");
  return parse_results(base::read_text(path, base::kLargestResults), path);
}

}  // namespace mlsim::evaluation
