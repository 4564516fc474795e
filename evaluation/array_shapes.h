// Arrays that a sweep tries: those of files, and shapes of a given number of elements or of a given area.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/array_config.h"

namespace mlsim::evaluation {

// What --array names: `FILE`, or `auto:N` or `auto:AREAmm2`, each with `:FILE` behind it where the other keys are not
// the defaults; and what takes the place of the file's.
struct ArrayChoice {
  std::string text = "default";
  std::string file{};         // empty: the defaults
  std::int64_t elements = 0;  // of every shape, or 0
  double area_mm2 = 0;        // of every shape at most, or 0
  std::optional<sim::DataflowKind> dataflow{};
  std::optional<int> elements_per_scaler{};  // of shapes of an area, which depends on them
  std::optional<int> taps_per_cycle{};
};
// Throws std::runtime_error with a sentence.
ArrayChoice parse_array_choice(const std::string& text);

// Every choice with every dataflow, dataflows fastest; none given: as their files have it. A choice's text gets its
// dataflow where there are several.
std::vector<ArrayChoice> with_dataflows(const std::vector<ArrayChoice>& choices,
                                        const std::vector<sim::DataflowKind>& dataflows);

using NamedArrays = std::vector<std::pair<std::string, sim::ArrayConfig>>;
// In µm²; not finite where a table has no areas.
using AreaOf = std::function<double(const sim::ArrayConfig&)>;

// The arrays of a choice. `auto:N` is all shapes of N elements, from few rows to many: `auto:256` has nine.
// `auto:AREAmm2` has for 1, 2, 4, … 1024 rows the most columns with which `area_of` is no more than that, where one
// column fits. elements_per_scaler is the file's, at most all elements. Throws std::runtime_error with a sentence where
// there is none, for what makes no array, and where areas are asked for and there are none.
NamedArrays arrays_of(const ArrayChoice& choice, const AreaOf& area_of);

}  // namespace mlsim::evaluation
