// Kinds of DRAM that an access is priced as.
// Tested in tests/energy/cost_table_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mlsim::energy {

enum class DramTechnology : std::uint8_t { kDdr4, kGddr6, kHbm2, kHbm2e, kLpddr4, kLpddr5 };

// In the order of the enumeration.
inline constexpr std::array<std::string_view, 6> kDramTechnologyNames{"DDR4",  "GDDR6",  "HBM2",
                                                                      "HBM2E", "LPDDR4", "LPDDR5"};
inline constexpr std::size_t kDramTechnologyCount = kDramTechnologyNames.size();

constexpr std::string_view name(DramTechnology technology) {
  return kDramTechnologyNames[static_cast<std::size_t>(technology)];
}

}  // namespace mlsim::energy
