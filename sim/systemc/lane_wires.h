// Wires of lanes with one for each tap that an element multiplies at once. Its tests are trace_test and those of the
// arrays.
#pragma once

#include <cstddef>
#include <string>

namespace mlsim::sim {

// Makes wires of an sc_vector lane by lane, named by their lane and, where lanes have several, by the tap.
template <typename Wires>
void init_lane_wires(Wires& wires, std::size_t lanes, std::size_t taps_per_cycle) {
  using Wire = typename Wires::element_type;
  const std::string prefix = std::string(wires.basename()) + "_";
  wires.init(lanes * taps_per_cycle, [&](const char* /*name*/, std::size_t index) {
    std::string name = prefix + std::to_string(index / taps_per_cycle);
    if (taps_per_cycle > 1) name += "_" + std::to_string(index % taps_per_cycle);
    return new Wire(name.c_str());
  });
}

}  // namespace mlsim::sim
