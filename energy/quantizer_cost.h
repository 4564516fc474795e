// What a dynamic quantizer takes, for every format.
#pragma once

#include <string_view>
#include <vector>

#include "energy/laws.h"
#include "energy/range.h"
#include "models/formats/format.h"

namespace mlsim::energy {

// A part of the unit that has an area of its own.
struct QuantizerBlock {
  std::string_view name;
  double area_um2 = 0;
};

struct QuantizerCost {
  Range element_pj;
  Range tile_pj;  // a tile's scale, besides its elements
  std::vector<QuantizerBlock> blocks;

  // One element and one tile: by it quantizers are compared.
  double use_pj() const { return element_pj.value + tile_pj.value; }
};

// What is done once a tensor is left out.
QuantizerCost quantizer_cost(const Laws& laws, const models::Format& format);

// A linear-feedback register's bit (a register and a gate) and its place in the adder that rounds.
Cost random_bit(const Laws& laws);

}  // namespace mlsim::energy
