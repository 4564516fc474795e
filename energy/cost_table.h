// A table of published energies and areas of one technology, and the constants of the laws between them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "energy/dram_technology.h"
#include "energy/range.h"
#include "models/formats/format.h"

namespace mlsim::energy {

// What one operation costs. The area is NaN, and so is everything computed from it, where a table has no areas.
struct Cost {
  double energy_pj = 0;
  double area_um2 = 0;

  Cost& operator+=(const Cost& other) {
    energy_pj += other.energy_pj;
    area_um2 += other.area_um2;
    return *this;
  }
  friend Cost operator+(Cost left, const Cost& right) { return left += right; }
  friend Cost operator*(const Cost& cost, double factor) { return {cost.energy_pj * factor, cost.area_um2 * factor}; }
  bool operator==(const Cost&) const = default;
};

// The baselines that are floats, in the order of their table, which has them before the integers.
inline constexpr auto kFloatFormats = [] {
  constexpr auto kIsInteger = [](const models::BaselineLayout& layout) { return layout.is_integer(); };
  constexpr std::size_t kFloats =
      std::find_if(models::kBaselines.begin(), models::kBaselines.end(), kIsInteger) - models::kBaselines.begin();
  std::array<models::BaselineFormat, kFloats> formats{};
  for (std::size_t i = 0; i < kFloats; ++i) formats[i] = static_cast<models::BaselineFormat>(i);
  return formats;
}();

// An integer operation at one width.
struct WidthPoint {
  int width = 0;
  Cost cost;
};

// A read of `width` bits of an SRAM.
struct SramPoint {
  double capacity_bytes = 0;
  int width = 0;
  double energy_pj = 0;
};

// Constants of the laws. Energies in pJ, areas in µm².
struct LawConstants {
  Cost multiplier_row;           // a bit of the longer operand where the other one has a single bit
  Cost shifter;                  // an input bit and a stage
  double register_clock_pj = 0;  // a bit and a cycle
  double register_data_pj = 0;   // a bit and a cycle
  double register_area = 0;      // a bit
  Cost sign_and_clear;           // an accumulator bit
  double element_multiplier_factor = 0;
  double element_shift_pj = 0;        // a shifter's input bit and stage
  double element_product_pj = 0;      // a bit of the product
  double element_accumulator_pj = 0;  // a bit of the accumulator
  double sram_cell_area = 0;          // a bit
  double sram_array_efficiency = 0;   // the cells' share of a memory's area, above 0 and at most 1
};

struct ErrorBars {
  double integer = 0;       // relative
  double shifter = 0;       // relative
  double float_factor = 1;  // the low end is the value divided by it, the high end the value times it

  // A figure with the bar of its kind of hardware.
  Range around_integer(double pj) const { return {pj * (1 - integer), pj, pj * (1 + integer)}; }
  Range around_shifter(double pj) const { return {pj * (1 - shifter), pj, pj * (1 + shifter)}; }
  Range around_float(double pj) const { return {pj / float_factor, pj, pj * float_factor}; }
};

// Power of what is on, by its area. 1 mW/mm² is 1e-3 W for each mm².
struct Leakage {
  Range logic_mw_mm2;   // elements, group-scale units, quantizers
  Range memory_mw_mm2;  // operand buffers and SRAM
};

struct CostTable {
  std::string name;
  std::filesystem::path file;      // that it was read from; empty: a shipped one, or a text
  std::uint64_t content_hash = 0;  // of the file's text (base/hash.h)
  double node_nm = 0;
  std::optional<double> voltage_v;  // where the source states it
  std::string source;
  bool has_area = true;
  std::vector<WidthPoint> integer_add;       // ascending widths
  std::vector<WidthPoint> integer_multiply;  // square multipliers, ascending widths
  std::array<Cost, kFloatFormats.size()> float_add;
  std::array<Cost, kFloatFormats.size()> float_multiply;
  std::vector<SramPoint> sram_read;  // ascending capacities
  Range dram_bit_pj;                 // reading or writing a bit
  // Of each technology: the table's own figure, or else the one of energy/tables/dram.json.
  std::array<Range, kDramTechnologyCount> dram_technology_bit_pj;
  LawConstants laws;
  ErrorBars error_bars;
  // What time costs; shipped tables but *-leakage have neither.
  std::optional<Leakage> leakage;
  std::optional<double> idle_clocked_share;  // of an idle element's register bits, those that the clock still reaches
};

// Reads a table of the form of energy/tables/horowitz-45nm.json (schema mlsim.cost_table/1).
// Required figures: integer_add and integer_multiply of one width or more, float_add and float_multiply of the five
// formats, sram_read of two capacities or more, dram_access. Figures of dram_access with a technology stand in the
// place of those of energy/tables/dram.json. A table whose units name no area has none. `leakage` and
// `idle_clocking` may be absent or null. A table that is `based_on` a shipped one has its figures, and says nothing
// else but these two, a name and a source. Throws std::runtime_error with one sentence that names the file, the place
// in it and what was expected: broken JSON, an unknown or missing key, a missing or repeated figure, a number that is
// negative or no number, another unit, a figure below that of a smaller width.
CostTable load_cost_table(const std::filesystem::path& path);
// The same from text; `file` is what errors name.
CostTable parse_cost_table(std::string_view text, const std::string& file);

// The tables that are built in, by name; without those that are based on one of them.
std::vector<std::string_view> shipped_cost_tables();
inline constexpr std::string_view kDefaultCostTable = "horowitz-45nm";

// A built-in table where there is one of that name, else the file of that name.
CostTable find_cost_table(const std::string& name_or_file = std::string(kDefaultCostTable));

}  // namespace mlsim::energy
