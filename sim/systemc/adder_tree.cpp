#include "sim/systemc/adder_tree.h"

#include <string>

#include "base/integers.h"

namespace mlsim::sim {

std::ostream& operator<<(std::ostream& stream, const ProductSum& sum) {
  return stream << sum.high << " * 2^64 + " << sum.low << " of " << sum.products;
}

void sc_trace(sc_core::sc_trace_file* file, const ProductSum& sum, const std::string& name) {
  sc_core::sc_trace(file, sum.high, name + ".high");
  sc_core::sc_trace(file, sum.low, name + ".low");
  sc_core::sc_trace(file, sum.products, name + ".products");
}

AdderTree::AdderTree(const sc_core::sc_module_name& name, std::size_t products)
    : sc_core::sc_module(name),
      product("product", products),
      shift("shift", products),
      row_valid("row_valid", products),
      column_valid("column_valid", products),
      row_negative("row_negative", products),
      column_negative("column_negative", products) {
  SC_HAS_PROCESS(AdderTree);
  SC_METHOD(add);
  const auto sense = [&](auto& ports) {
    for (std::size_t i = 0; i < ports.size(); ++i) sensitive << ports[i];
  };
  sense(product);
  sense(shift);
  sense(row_valid);
  sense(column_valid);
  sense(row_negative);
  sense(column_negative);
}

void AdderTree::add() {
  base::Int128 total = 0;
  ProductSum result;
  for (std::size_t i = 0; i < product.size(); ++i) {
    if (!row_valid[i].read() || !column_valid[i].read()) continue;
    const bool negative = row_negative[i].read() != column_negative[i].read();
    total += models::shift_product(product[i].read(), shift[i].read(), negative);
    ++result.products;
    result.zeros += product[i].read() == 0 ? 1 : 0;
  }
  result.high = static_cast<std::int64_t>(total >> 64);
  result.low = static_cast<std::uint64_t>(total);
  sum.write(result);
}

}  // namespace mlsim::sim
