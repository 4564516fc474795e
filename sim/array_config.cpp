#include "sim/array_config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

#include "base/input_file.h"
#include "base/json.h"

namespace mlsim::sim {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const std::string& path, const std::string& key, const std::string& found,
                         const std::string& expected) {
  throw std::runtime_error(path + ": " + key + " is " + found + ", expected " + expected);
}

std::string printed(double value) {
  return Json(value).dump();
}

// The members of one JSON object, each read at most once by name.
class ObjectReader {
 public:
  ObjectReader(const std::string& path, std::string prefix, const Json& object)
      : path_(path), prefix_(std::move(prefix)), object_(object) {
    if (!object.is_object()) refuse(path, prefix_.empty() ? "the file" : prefix_, object.type_name(), "an object");
  }

  template <typename Names>
  void refuse_unknown(const Names& known) const {
    for (const auto& [key, value] : object_.items()) {
      bool found = false;
      std::string list;
      for (const std::string_view name : known) {
        found |= key == name;
        list += (list.empty() ? "" : ", ") + std::string(name);
      }
      if (!found) throw std::runtime_error(path_ + ": unknown key " + full(key) + ", expected one of " + list);
    }
  }

  const Json* find(const char* key) const {
    const auto member = object_.find(key);
    return member == object_.end() ? nullptr : &*member;
  }

  template <typename Integer>
  void read_integer(const char* key, Integer& value) const {
    const Json* member = find(key);
    if (member == nullptr) return;
    if (!member->is_number_integer()) refuse(path_, full(key), member->dump(), "an integer");
    constexpr std::int64_t kLargest = std::numeric_limits<Integer>::max();
    if (member->is_number_unsigned() ? member->template get<std::uint64_t>() > static_cast<std::uint64_t>(kLargest)
                                     : member->template get<std::int64_t>() < std::numeric_limits<Integer>::min()) {
      refuse(path_, full(key), member->dump(), "an integer of its range");
    }
    value = member->template get<Integer>();
  }

  std::string full(const std::string& key) const { return prefix_.empty() ? key : prefix_ + "." + key; }

 private:
  const std::string& path_;
  std::string prefix_;
  const Json& object_;
};

FeederConfig read_feeder(const std::string& path, const char* key, const Json& object) {
  constexpr std::array<std::string_view, 2> kKeys{"buffer_elements", "fill_ports"};
  const ObjectReader reader(path, key, object);
  reader.refuse_unknown(kKeys);
  FeederConfig feeder;
  reader.read_integer("buffer_elements", feeder.buffer_elements);
  reader.read_integer("fill_ports", feeder.fill_ports);
  return feeder;
}

}  // namespace

void ArrayConfig::check(const std::string& name) const {
  const auto in_range = [&](const char* key, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high) {
      refuse(name, key, std::to_string(value), std::to_string(low) + " to " + std::to_string(high));
    }
  };
  in_range("rows", rows, 1, 1024);
  in_range("columns", columns, 1, 1024);
  in_range("elements_per_scaler", elements_per_scaler, 1, std::int64_t{rows} * columns);
  const auto check_feeder = [&](const std::string& key, const FeederConfig& feeder, int lanes) {
    constexpr std::int64_t kLargestBuffer = std::int64_t{1} << 26;
    if (feeder.buffer_elements < 2 * lanes || feeder.buffer_elements > kLargestBuffer) {
      refuse(name, key + ".buffer_elements", std::to_string(feeder.buffer_elements),
             std::to_string(2 * lanes) + " (two halves of one element for each of the " + std::to_string(lanes) +
                 " lanes) to " + std::to_string(kLargestBuffer));
    }
    in_range((key + ".fill_ports").c_str(), feeder.fill_ports, 1, 65536);
  };
  check_feeder("row_feeder", row_feeder, rows);
  check_feeder("column_feeder", column_feeder, columns);
  in_range("quantizer_lanes", quantizer_lanes, 1, 4096);
  in_range("global_sram_bytes", global_sram_bytes, 1, std::int64_t{1} << 40);
  if (!(clock_ghz > 0 && clock_ghz <= 1000)) refuse(name, "clock_ghz", printed(clock_ghz), "more than 0, at most 1000");
}

ArrayConfig load_array_config(const std::string& path) {
  const Json json = base::parse_json(base::read_text(path), path);

  constexpr std::array<std::string_view, 9> kKeys{
      "rows",          "columns",         "elements_per_scaler", "row_feeder",
      "column_feeder", "quantizer_lanes", "quantize_results",    "global_sram_bytes",
      "clock_ghz"};
  const ObjectReader reader(path, "", json);
  reader.refuse_unknown(kKeys);
  ArrayConfig config;
  reader.read_integer("rows", config.rows);
  reader.read_integer("columns", config.columns);
  const Json* share = reader.find("elements_per_scaler");
  // Rows and columns that are out of range are refused below.
  const bool has_elements = config.rows > 0 && config.columns > 0 && config.rows <= 1024 && config.columns <= 1024;
  const int elements = has_elements ? config.rows * config.columns : 1;
  if (share == nullptr) {
    config.elements_per_scaler = std::min(config.elements_per_scaler, elements);
  } else if (*share == "all") {
    config.elements_per_scaler = elements;
  } else {
    reader.read_integer("elements_per_scaler", config.elements_per_scaler);
  }
  if (const Json* feeder = reader.find("row_feeder")) config.row_feeder = read_feeder(path, "row_feeder", *feeder);
  if (const Json* feeder = reader.find("column_feeder")) {
    config.column_feeder = read_feeder(path, "column_feeder", *feeder);
  }
  reader.read_integer("quantizer_lanes", config.quantizer_lanes);
  if (const Json* quantize = reader.find("quantize_results")) {
    if (!quantize->is_boolean()) refuse(path, "quantize_results", quantize->dump(), "true or false");
    config.quantize_results = quantize->get<bool>();
  }
  reader.read_integer("global_sram_bytes", config.global_sram_bytes);
  if (const Json* clock = reader.find("clock_ghz")) {
    if (!clock->is_number()) refuse(path, "clock_ghz", clock->dump(), "a number");
    config.clock_ghz = clock->get<double>();
  }
  config.check(path);
  return config;
}

}  // namespace mlsim::sim
