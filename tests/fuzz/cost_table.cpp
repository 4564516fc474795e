#include "energy/cost_table.h"

#include <cmath>

#include "energy/laws.h"
#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {

void read_cost_table(std::string_view bytes) {
  const energy::Laws laws(energy::parse_cost_table(bytes, kInput));
  for (const energy::WidthPoint& point : laws.table().integer_multiply) {
    const double pj = laws.multiplier(point.width, point.width).energy_pj;
    require(pj >= 0, "a multiplier's energy is negative or no number");
  }
  for (const energy::SramPoint& point : laws.table().sram_read) {
    require(laws.sram_access_pj(point.capacity_bytes, point.width) >= 0, "a memory's energy is negative or no number");
  }
}

}  // namespace mlsim::fuzz
