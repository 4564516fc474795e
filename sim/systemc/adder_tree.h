// Of an element that multiplies several pairs at once: shifters, signs and the tree of adders behind its multipliers.
// Combinational.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <ostream>
#include <systemc>

#include "base/integers.h"
#include "models/convolution/datapath.h"

namespace mlsim::sim {

// The exact sum of the products of a cycle, more than 64 bits where products are wide.
struct ProductSum {
  std::int64_t high = 0;
  std::uint64_t low = 0;
  std::uint16_t products = 0;  // whose operands both exist; none: nothing is added
  std::uint16_t zeros = 0;     // of these, those that are zero

  base::Int128 value() const { return (base::Int128{high} << 64) + static_cast<base::Int128>(low); }
  bool operator==(const ProductSum&) const = default;
};
std::ostream& operator<<(std::ostream& stream, const ProductSum& sum);
void sc_trace(sc_core::sc_trace_file* file, const ProductSum& sum, const std::string& name);

class AdderTree : public sc_core::sc_module {
 public:
  // One of each for every multiplier.
  sc_core::sc_vector<sc_core::sc_in<std::uint32_t>> product;
  sc_core::sc_vector<sc_core::sc_in<std::uint8_t>> shift;
  sc_core::sc_vector<sc_core::sc_in<bool>> row_valid;
  sc_core::sc_vector<sc_core::sc_in<bool>> column_valid;
  sc_core::sc_vector<sc_core::sc_in<bool>> row_negative;
  sc_core::sc_vector<sc_core::sc_in<bool>> column_negative;
  sc_core::sc_out<ProductSum> sum;

  AdderTree(const sc_core::sc_module_name& name, std::size_t products);

 private:
  void add();
};

}  // namespace mlsim::sim
