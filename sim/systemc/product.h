// What elements with one multiplier have in common, whatever stays in them: the product of a pair.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <systemc>

#include "sim/systemc/exponent_adder.h"
#include "sim/systemc/mantissa_multiplier.h"

namespace mlsim::sim {

// Mantissa multiplier and exponent adder: parts of the module that has them as a member.
class Product {
 public:
  Product();

  // Of the operands of a row at one wire and of a column at another; `adder` takes it.
  template <typename Rows, typename Columns, typename Adder>
  void connect(const Rows& rows, std::size_t row, const Columns& columns, std::size_t column, Adder& adder) {
    multiplier_.left(rows.significand[row]);
    multiplier_.right(columns.significand[column]);
    multiplier_.product(product_);

    exponent_adder_.left(rows.exponent[row]);
    exponent_adder_.right(columns.exponent[column]);
    exponent_adder_.shift(shift_);

    adder.product(product_);
    adder.shift(shift_);
    adder.row_valid(rows.valid[row]);
    adder.column_valid(columns.valid[column]);
    adder.row_negative(rows.negative[row]);
    adder.column_negative(columns.negative[column]);
  }

  void trace(sc_core::sc_trace_file* file) const;

 private:
  sc_core::sc_signal<std::uint32_t> product_;
  sc_core::sc_signal<std::uint8_t> shift_;

  MantissaMultiplier multiplier_;
  ExponentAdder exponent_adder_;
};

}  // namespace mlsim::sim
