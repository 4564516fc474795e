// What the array gets of an operand. Tested in tests/sim/operand_toggles_test.cpp and simulate_test.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include "models/formats/scaled_tensor.h"

namespace mlsim::sim {

// The codes, with 0 for every element of a tile whose scale is zero, which E4M3 alone has: whatever its own code says,
// it stands for zero, and a product of it is none.
std::vector<std::uint16_t> gated_codes(const models::ScaledTensor& tensor);

}  // namespace mlsim::sim
