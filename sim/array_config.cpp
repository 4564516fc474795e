#include "sim/array_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/json_reader.h"

namespace mlsim::sim {
namespace {

using base::JsonReader;
using Json = nlohmann::json;

struct Limits {
  std::int64_t low;
  std::int64_t high;

  bool contain(std::int64_t value) const { return low <= value && value <= high; }
  std::string expectation() const { return "an integer from " + std::to_string(low) + " to " + std::to_string(high); }
};
constexpr Limits kExtents{1, 1024};  // of the array
constexpr Limits kBufferElements{1, std::int64_t{1} << 26};
constexpr Limits kFillPorts{1, 65536};
constexpr Limits kQuantizerLanes{1, 4096};
constexpr Limits kTapsPerCycle{1, 1024};
constexpr Limits kSramBytes{1, std::int64_t{1} << 40};
constexpr Limits kDramLatency{0, 1000000};
constexpr Limits kBurstBytes{1, 65536};
constexpr Limits kDramThousandths{1, std::int64_t{65536} * 1000};  // of bytes a cycle
constexpr Limits kPortThousandths{1000, kDramThousandths.high};
constexpr const char* kOrNull = " or null";

[[noreturn]] void refuse(const std::string& file, const std::string& pointer, const std::string& found,
                         const std::string& expected) {
  base::refuse(file, pointer, "is " + found + ", expected " + expected);
}

std::string printed(double value) {
  return Json(value).dump();
}

std::string rate_expectation(const Limits& thousandths) {
  const Json low =
      thousandths.low % 1000 == 0 ? Json(thousandths.low / 1000) : Json(static_cast<double>(thousandths.low) / 1000);
  return "a number from " + low.dump() + " to " + std::to_string(thousandths.high / 1000) +
         " with at most three decimals, or null";
}

template <typename Integer>
void read_integer(const JsonReader& object, const char* key, const Limits& limits, Integer& value,
                  const std::string& or_else = "") {
  if (!object.has(key)) return;
  value = object[key].integer<Integer>(static_cast<std::uint64_t>(limits.low), static_cast<std::uint64_t>(limits.high),
                                       or_else);
}

// Null keeps the default.
bool is_given(const JsonReader& object, const char* key) {
  return object.has(key) && !object[key].json().is_null();
}

void read_rate(const JsonReader& object, const char* key, const Limits& limits, ByteRate& rate) {
  if (!is_given(object, key)) return;
  if (!object[key].json().is_number()) object[key].refuse_value(rate_expectation(limits));
  const double thousandths = object[key].json().get<double>() * 1000;
  // The nearest binary64 to three decimals is not one of them.
  const bool in_range =
      thousandths >= static_cast<double>(limits.low) - 0.5 && thousandths < static_cast<double>(limits.high) + 0.5;
  if (!in_range || std::fabs(thousandths - std::round(thousandths)) > 1e-6) {
    object[key].refuse_value(rate_expectation(limits));
  }
  rate.thousandths = std::llround(thousandths);
}

void read_memory(const JsonReader& object, ArrayConfig& config) {
  read_rate(object, "dram_bytes_per_cycle", kDramThousandths, config.dram_bytes_per_cycle);
  read_rate(object, "sram_read_bytes_per_cycle", kPortThousandths, config.sram_read_bytes_per_cycle);
  read_rate(object, "sram_write_bytes_per_cycle", kPortThousandths, config.sram_write_bytes_per_cycle);
  if (is_given(object, "dram_latency_cycles")) {
    read_integer(object, "dram_latency_cycles", kDramLatency, config.dram_latency_cycles, kOrNull);
  }
  if (is_given(object, "dram_burst_bytes")) {
    read_integer(object, "dram_burst_bytes", kBurstBytes, config.dram_burst_bytes, kOrNull);
  }
}

constexpr std::array<std::string_view, 2> kDepthwiseMappings{"off", "rows"};  // in the order of DepthwiseMapping

// False is another word for "off".
void read_depthwise(const JsonReader& value, DepthwiseMapping& mapping) {
  if (value.json() == false) return;
  if (!value.json().is_string()) value.refuse_value(R"("off", "rows", false or null)");
  mapping = static_cast<DepthwiseMapping>(value.one_of(kDepthwiseMappings));
}

constexpr std::array<std::string_view, 3> kResultForms{"both", "binary32", "codes"};  // in the order of ResultForm

// `quantize_results` is an older name for two of the forms.
void read_results(const JsonReader& object, ArrayConfig& config) {
  if (object.has("results")) config.results = static_cast<ResultForm>(object["results"].one_of(kResultForms));
  if (!object.has("quantize_results")) return;
  const bool quantizes = object["quantize_results"].flag();
  if (!object.has("results")) {
    config.results = quantizes ? ResultForm::kBoth : ResultForm::kBinary32;
  } else if (quantizes != config.quantizes_results()) {
    object["quantize_results"].refuse(std::string("expected ") + (quantizes ? "false" : "true") + " beside results \"" +
                                      to_string(config.results) + "\"");
  }
}

void read_feeder(const JsonReader& object, FeederConfig& feeder) {
  object.refuse_unknown({"buffer_elements", "fill_ports"});
  read_integer(object, "buffer_elements", kBufferElements, feeder.buffer_elements);
  read_integer(object, "fill_ports", kFillPorts, feeder.fill_ports);
}

}  // namespace

std::string to_string(DataflowKind kind) {
  return std::string(kDataflowKinds.at(static_cast<std::size_t>(kind)));
}

DataflowKind parse_dataflow_kind(const std::string& text) {
  std::string names;
  for (std::size_t kind = 0; kind < kDataflowKinds.size(); ++kind) {
    if (kDataflowKinds.at(kind) == text) return static_cast<DataflowKind>(kind);
    names += (names.empty() ? "" : ", ") + std::string(kDataflowKinds.at(kind));
  }
  throw std::runtime_error("dataflow '" + text + "' is none of " + names);
}

std::int64_t ArrayConfig::groups_at_once(std::int64_t group_rows, std::int64_t groups) const {
  if (depthwise == DepthwiseMapping::kOff) return 1;
  const std::int64_t buffered = column_feeder.buffer_elements / 2 / columns / taps_per_cycle;
  return std::max<std::int64_t>(std::min({rows / group_rows, groups, buffered}), 1);
}

std::int64_t ArrayConfig::words_of_half(std::int64_t groups_at_once) const {
  return std::min(row_feeder.buffer_elements / 2 / rows,
                  column_feeder.buffer_elements / 2 / (columns * groups_at_once)) /
         taps_per_cycle;
}

const char* to_string(DepthwiseMapping mapping) {
  return kDepthwiseMappings.at(static_cast<std::size_t>(mapping)).data();
}

const char* to_string(ResultForm form) {
  return kResultForms.at(static_cast<std::size_t>(form)).data();
}

void ArrayConfig::check(const std::string& file, const std::string& pointer) const {
  const auto in_range = [&](const std::string& key, std::int64_t value, const Limits& limits) {
    if (!limits.contain(value)) refuse(file, pointer + "/" + key, std::to_string(value), limits.expectation());
  };
  in_range("rows", rows, kExtents);
  in_range("columns", columns, kExtents);
  in_range("elements_per_scaler", elements_per_scaler, {1, std::int64_t{rows} * columns});
  in_range("taps_per_cycle", taps_per_cycle, kTapsPerCycle);
  const auto check_feeder = [&](const std::string& key, const FeederConfig& feeder, int lanes) {
    const std::int64_t fewest = std::int64_t{2} * taps_per_cycle * lanes;
    if (feeder.buffer_elements < fewest || feeder.buffer_elements > kBufferElements.high) {
      const std::string word = taps_per_cycle == 1 ? "one element" : std::to_string(taps_per_cycle) + " elements";
      refuse(file, pointer + "/" + key + "/buffer_elements", std::to_string(feeder.buffer_elements),
             std::to_string(fewest) + " (two halves of " + word + " for each of the " + std::to_string(lanes) +
                 " lanes) to " + std::to_string(kBufferElements.high));
    }
    in_range(key + "/fill_ports", feeder.fill_ports, kFillPorts);
  };
  check_feeder("row_feeder", row_feeder, rows);
  check_feeder("column_feeder", column_feeder, columns);
  in_range("quantizer_lanes", quantizer_lanes, kQuantizerLanes);
  in_range("global_sram_bytes", global_sram_bytes, kSramBytes);
  if (keep_between_layers && !quantizes_results()) {
    refuse(file, pointer + "/keep_between_layers", "true",
           "false where results are binary32: what is kept for the next layer are codes");
  }
  const auto check_rate = [&](const std::string& key, const ByteRate& rate, const Limits& limits) {
    if (!rate.limited() || limits.contain(rate.thousandths)) return;
    refuse(file, pointer + "/" + key, printed(rate.bytes()), rate_expectation(limits));
  };
  check_rate("dram_bytes_per_cycle", dram_bytes_per_cycle, kDramThousandths);
  check_rate("sram_read_bytes_per_cycle", sram_read_bytes_per_cycle, kPortThousandths);
  check_rate("sram_write_bytes_per_cycle", sram_write_bytes_per_cycle, kPortThousandths);
  in_range("dram_latency_cycles", dram_latency_cycles, kDramLatency);
  in_range("dram_burst_bytes", dram_burst_bytes, kBurstBytes);
  if (!(clock_ghz >= 1e-6 && clock_ghz <= 1000)) {
    refuse(file, pointer + "/clock_ghz", printed(clock_ghz), "0.000001 to 1000");
  }
}

ArrayConfig read_array_config(const Json& json, const std::string& file, const std::string& pointer) {
  const JsonReader reader(json, file, pointer);
  reader.refuse_unknown({"rows",
                         "columns",
                         "dataflow",
                         "elements_per_scaler",
                         "taps_per_cycle",
                         "depthwise",
                         "row_feeder",
                         "column_feeder",
                         "quantizer_lanes",
                         "quantize_results",
                         "results",
                         "keep_between_layers",
                         "global_sram_bytes",
                         "clock_ghz",
                         "dram_technology",
                         "dram_bytes_per_cycle",
                         "dram_latency_cycles",
                         "dram_burst_bytes",
                         "sram_read_bytes_per_cycle",
                         "sram_write_bytes_per_cycle"});
  ArrayConfig config;
  if (reader.has("dataflow")) config.dataflow = static_cast<DataflowKind>(reader["dataflow"].one_of(kDataflowKinds));
  read_integer(reader, "rows", kExtents, config.rows);
  read_integer(reader, "columns", kExtents, config.columns);
  const int elements = config.rows * config.columns;
  if (!reader.has("elements_per_scaler")) {
    config.elements_per_scaler = std::min(config.elements_per_scaler, elements);
  } else if (reader["elements_per_scaler"].json() == "all") {
    config.elements_per_scaler = elements;
  } else {
    read_integer(reader, "elements_per_scaler", {1, elements}, config.elements_per_scaler, " or \"all\"");
  }
  read_integer(reader, "taps_per_cycle", kTapsPerCycle, config.taps_per_cycle);
  if (is_given(reader, "depthwise")) read_depthwise(reader["depthwise"], config.depthwise);
  if (reader.has("row_feeder")) read_feeder(reader["row_feeder"], config.row_feeder);
  if (reader.has("column_feeder")) read_feeder(reader["column_feeder"], config.column_feeder);
  read_integer(reader, "quantizer_lanes", kQuantizerLanes, config.quantizer_lanes);
  read_results(reader, config);
  if (reader.has("keep_between_layers")) config.keep_between_layers = reader["keep_between_layers"].flag();
  read_integer(reader, "global_sram_bytes", kSramBytes, config.global_sram_bytes);
  if (reader.has("clock_ghz")) config.clock_ghz = reader["clock_ghz"].number();
  if (is_given(reader, "dram_technology")) {
    config.dram_technology =
        static_cast<energy::DramTechnology>(reader["dram_technology"].one_of(energy::kDramTechnologyNames));
  }
  read_memory(reader, config);
  config.check(file, pointer);
  return config;
}

ArrayConfig load_array_config(const std::string& path) {
  return read_array_config(base::parse_json(base::read_text(path), path), path);
}

}  // namespace mlsim::sim
