#include "evaluation/array_shapes.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string_view>

#include "base/text.h"

namespace mlsim::evaluation {
namespace {

constexpr int kMostLanes = 1024;
constexpr double kMostMm2 = 1e6;
constexpr std::string_view kPrefix = "auto:";
constexpr std::string_view kUnit = "mm2";

sim::ArrayConfig base_of(const ArrayChoice& choice) {
  sim::ArrayConfig base = choice.file.empty() ? sim::ArrayConfig{} : sim::load_array_config(choice.file);
  if (choice.dataflow) {
    base.dataflow = *choice.dataflow;
    base.check(fmt::format("--dataflow {} of {}", to_string(base.dataflow), choice.text));
  }
  return base;
}

sim::ArrayConfig with_shape(const sim::ArrayConfig& base, int rows, int columns) {
  sim::ArrayConfig array = base;
  array.rows = rows;
  array.columns = columns;
  array.elements_per_scaler = std::min(array.elements_per_scaler, rows * columns);
  return array;
}

void add(const ArrayChoice& choice, const sim::ArrayConfig& array, NamedArrays& arrays) {
  arrays.emplace_back(fmt::format("{} {}x{}", choice.text, array.rows, array.columns), array);
}

NamedArrays shapes_of_elements(const ArrayChoice& choice) {
  const sim::ArrayConfig base = base_of(choice);
  NamedArrays arrays;
  for (int rows = 1; rows <= kMostLanes; ++rows) {
    if (choice.elements % rows != 0 || choice.elements / rows > kMostLanes) continue;
    const sim::ArrayConfig array = with_shape(base, rows, static_cast<int>(choice.elements / rows));
    array.check(fmt::format("--array {} as {}x{}", choice.text, array.rows, array.columns));
    add(choice, array, arrays);
  }
  if (!arrays.empty()) return arrays;
  throw std::runtime_error(
      fmt::format("--array {}: no shape of at most {} rows and columns has so many elements", choice.text, kMostLanes));
}

// Whether it is an array: buffers may be too small for its lanes.
bool is_array(const sim::ArrayConfig& array) {
  try {
    array.check("");
  } catch (const std::runtime_error&) {
    return false;
  }
  return true;
}

NamedArrays shapes_of_area(const ArrayChoice& choice, const AreaOf& area_of) {
  sim::ArrayConfig base = base_of(choice);
  base.elements_per_scaler = choice.elements_per_scaler.value_or(base.elements_per_scaler);
  base.taps_per_cycle = choice.taps_per_cycle.value_or(base.taps_per_cycle);
  const auto fits = [&](int rows, int columns) {
    const sim::ArrayConfig array = with_shape(base, rows, columns);
    if (!is_array(array)) return false;
    const double area = area_of(array);
    if (std::isfinite(area)) return area <= choice.area_mm2 * 1e6;
    throw std::runtime_error(fmt::format("--array {}: the cost table has no areas", choice.text));
  };
  NamedArrays arrays;
  for (int rows = 1; rows <= kMostLanes && fits(rows, 1); rows *= 2) {
    // More columns are more area.
    int most = 1;
    for (int step = kMostLanes / 2; step > 0; step /= 2) {
      if (fits(rows, most + step)) most += step;
    }
    add(choice, with_shape(base, rows, most), arrays);
  }
  if (!arrays.empty()) return arrays;
  throw std::runtime_error(fmt::format("--array {}: not even one element and its quantizers fit", choice.text));
}

}  // namespace

ArrayChoice parse_array_choice(const std::string& text) {
  ArrayChoice choice;
  choice.text = text;
  if (!text.starts_with(kPrefix)) {
    choice.file = text;
    return choice;
  }
  std::string_view size = std::string_view(text).substr(kPrefix.size());
  if (const std::size_t colon = size.find(':'); colon != std::string_view::npos) {
    choice.file = size.substr(colon + 1);
    size = size.substr(0, colon);
    if (choice.file.empty()) throw std::runtime_error(fmt::format("has '{}', expected a file behind the last :", text));
  }
  if (size.ends_with(kUnit)) {
    choice.area_mm2 = base::number_of<double>(size.substr(0, size.size() - kUnit.size())).value_or(0);
    if (choice.area_mm2 > 0 && choice.area_mm2 <= kMostMm2) return choice;
  } else {
    choice.elements = base::number_of<std::int64_t>(size).value_or(0);
    if (choice.elements >= 1 && choice.elements <= std::int64_t{kMostLanes} * kMostLanes) return choice;
  }
  throw std::runtime_error(
      fmt::format("has '{}', expected auto:N with 1 to {} elements, or auto:AREAmm2 with an area of at most {:.0f}",
                  text, kMostLanes * kMostLanes, kMostMm2));
}

std::vector<ArrayChoice> with_dataflows(const std::vector<ArrayChoice>& choices,
                                        const std::vector<sim::DataflowKind>& dataflows) {
  if (dataflows.empty()) return choices;
  std::vector<ArrayChoice> all;
  for (const ArrayChoice& choice : choices) {
    for (const sim::DataflowKind dataflow : dataflows) {
      ArrayChoice& own = all.emplace_back(choice);
      own.dataflow = dataflow;
      if (dataflows.size() > 1) own.text += ", " + to_string(dataflow);
    }
  }
  return all;
}

NamedArrays arrays_of(const ArrayChoice& choice, const AreaOf& area_of) {
  if (choice.elements > 0) return shapes_of_elements(choice);
  if (choice.area_mm2 > 0) return shapes_of_area(choice, area_of);
  return {{choice.text, base_of(choice)}};
}

}  // namespace mlsim::evaluation
