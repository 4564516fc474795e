// Wires of lanes with one for each tap that an element multiplies at once. Its tests are trace_test and those of the
// arrays.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstddef>
#include <string>

namespace mlsim::sim {

// Makes wires of an sc_vector, for each row that has some of its own lane by lane, named by row where there are
// several, lane, and tap where lanes have several.
template <typename Wires>
void init_lane_wires(Wires& wires, std::size_t rows, std::size_t lanes, std::size_t taps_per_cycle) {
  using Wire = typename Wires::element_type;
  const std::string prefix = std::string(wires.basename()) + "_";
  wires.init(rows * lanes * taps_per_cycle, [&](const char* /*name*/, std::size_t index) {
    const std::size_t lane = index / taps_per_cycle;
    std::string name = prefix;
    if (rows > 1) name += std::to_string(lane / lanes) + "_";
    name += std::to_string(lane % lanes);
    if (taps_per_cycle > 1) name += "_" + std::to_string(index % taps_per_cycle);
    return new Wire(name.c_str());
  });
}

}  // namespace mlsim::sim
