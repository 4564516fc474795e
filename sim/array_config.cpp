#include "sim/array_config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"

namespace mlsim::sim {
namespace {

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
constexpr Limits kSramBytes{1, std::int64_t{1} << 40};

[[noreturn]] void refuse(const std::string& file, const std::string& pointer, const std::string& found,
                         const std::string& expected) {
  base::refuse(file, pointer, "is " + found + ", expected " + expected);
}

std::string printed(double value) {
  return Json(value).dump();
}

// The members of one JSON object, each read at most once by name.
class ObjectReader {
 public:
  ObjectReader(const std::string& file, std::string pointer, const Json& object)
      : file_(file), pointer_(std::move(pointer)), object_(object) {
    if (!object.is_object()) refuse(file, pointer_, object.dump(), "an object");
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
      if (!found) base::refuse(file_, full(key), "is an unknown key, expected one of " + list);
    }
  }

  const Json* find(const char* key) const {
    const auto member = object_.find(key);
    return member == object_.end() ? nullptr : &*member;
  }

  // `or_else` is what else the key may be.
  template <typename Integer>
  void read_integer(const char* key, const Limits& limits, Integer& value, const std::string& or_else = "") const {
    const Json* member = find(key);
    if (member == nullptr) return;
    // Numbers beyond 2^63 would wrap.
    const bool wraps = member->is_number_unsigned() && member->template get<std::uint64_t>() >> 63 != 0;
    if (!member->is_number_integer() || wraps || !limits.contain(member->template get<std::int64_t>())) {
      refuse(file_, full(key), member->dump(), limits.expectation() + or_else);
    }
    value = member->template get<Integer>();
  }

  std::string full(const std::string& key) const { return pointer_ + "/" + key; }

 private:
  const std::string& file_;
  std::string pointer_;
  const Json& object_;
};

FeederConfig read_feeder(const std::string& file, const std::string& pointer, const Json& object) {
  constexpr std::array<std::string_view, 2> kKeys{"buffer_elements", "fill_ports"};
  const ObjectReader reader(file, pointer, object);
  reader.refuse_unknown(kKeys);
  FeederConfig feeder;
  reader.read_integer("buffer_elements", kBufferElements, feeder.buffer_elements);
  reader.read_integer("fill_ports", kFillPorts, feeder.fill_ports);
  return feeder;
}

}  // namespace

void ArrayConfig::check(const std::string& file, const std::string& pointer) const {
  const auto in_range = [&](const std::string& key, std::int64_t value, const Limits& limits) {
    if (!limits.contain(value)) refuse(file, pointer + "/" + key, std::to_string(value), limits.expectation());
  };
  in_range("rows", rows, kExtents);
  in_range("columns", columns, kExtents);
  in_range("elements_per_scaler", elements_per_scaler, {1, std::int64_t{rows} * columns});
  const auto check_feeder = [&](const std::string& key, const FeederConfig& feeder, int lanes) {
    if (feeder.buffer_elements < 2 * lanes || feeder.buffer_elements > kBufferElements.high) {
      refuse(file, pointer + "/" + key + "/buffer_elements", std::to_string(feeder.buffer_elements),
             std::to_string(2 * lanes) + " (two halves of one element for each of the " + std::to_string(lanes) +
                 " lanes) to " + std::to_string(kBufferElements.high));
    }
    in_range(key + "/fill_ports", feeder.fill_ports, kFillPorts);
  };
  check_feeder("row_feeder", row_feeder, rows);
  check_feeder("column_feeder", column_feeder, columns);
  in_range("quantizer_lanes", quantizer_lanes, kQuantizerLanes);
  in_range("global_sram_bytes", global_sram_bytes, kSramBytes);
  if (!(clock_ghz > 0 && clock_ghz <= 1000)) {
    refuse(file, pointer + "/clock_ghz", printed(clock_ghz), "more than 0, at most 1000");
  }
}

ArrayConfig read_array_config(const Json& json, const std::string& file, const std::string& pointer) {
  constexpr std::array<std::string_view, 9> kKeys{
      "rows",          "columns",         "elements_per_scaler", "row_feeder",
      "column_feeder", "quantizer_lanes", "quantize_results",    "global_sram_bytes",
      "clock_ghz"};
  const ObjectReader reader(file, pointer, json);
  reader.refuse_unknown(kKeys);
  ArrayConfig config;
  reader.read_integer("rows", kExtents, config.rows);
  reader.read_integer("columns", kExtents, config.columns);
  const Json* share = reader.find("elements_per_scaler");
  const int elements = config.rows * config.columns;
  if (share == nullptr) {
    config.elements_per_scaler = std::min(config.elements_per_scaler, elements);
  } else if (*share == "all") {
    config.elements_per_scaler = elements;
  } else {
    reader.read_integer("elements_per_scaler", {1, elements}, config.elements_per_scaler, " or \"all\"");
  }
  if (const Json* feeder = reader.find("row_feeder")) {
    config.row_feeder = read_feeder(file, reader.full("row_feeder"), *feeder);
  }
  if (const Json* feeder = reader.find("column_feeder")) {
    config.column_feeder = read_feeder(file, reader.full("column_feeder"), *feeder);
  }
  reader.read_integer("quantizer_lanes", kQuantizerLanes, config.quantizer_lanes);
  if (const Json* quantize = reader.find("quantize_results")) {
    if (!quantize->is_boolean()) refuse(file, reader.full("quantize_results"), quantize->dump(), "true or false");
    config.quantize_results = quantize->get<bool>();
  }
  reader.read_integer("global_sram_bytes", kSramBytes, config.global_sram_bytes);
  if (const Json* clock = reader.find("clock_ghz")) {
    if (!clock->is_number()) refuse(file, reader.full("clock_ghz"), clock->dump(), "a number");
    config.clock_ghz = clock->get<double>();
  }
  config.check(file, pointer);
  return config;
}

ArrayConfig load_array_config(const std::string& path) {
  return read_array_config(base::parse_json(base::read_text(path), path), path);
}

}  // namespace mlsim::sim
