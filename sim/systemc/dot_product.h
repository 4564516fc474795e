// What elements that multiply several pairs at once have in common, whatever stays in them: the exact sum of the
// products of a word.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <systemc>

#include "sim/systemc/adder_tree.h"
#include "sim/systemc/exponent_adder.h"
#include "sim/systemc/mantissa_multiplier.h"

namespace mlsim::sim {

// Mantissa multipliers, exponent adders and the adder tree behind them: parts of the module that has them as a member.
class DotProduct {
 public:
  explicit DotProduct(std::size_t multipliers);

  // Multiplier i takes the operand of a row at one wire, and that of a column at another.
  template <typename Rows, typename Columns>
  void connect(std::size_t i, const Rows& rows, std::size_t row, const Columns& columns, std::size_t column) {
    multiplier_[i].left(rows.significand[row]);
    multiplier_[i].right(columns.significand[column]);
    multiplier_[i].product(product_[i]);

    exponent_adder_[i].left(rows.exponent[row]);
    exponent_adder_[i].right(columns.exponent[column]);
    exponent_adder_[i].shift(shift_[i]);

    adder_tree_.product[i](product_[i]);
    adder_tree_.shift[i](shift_[i]);
    adder_tree_.row_valid[i](rows.valid[row]);
    adder_tree_.column_valid[i](columns.valid[column]);
    adder_tree_.row_negative[i](rows.negative[row]);
    adder_tree_.column_negative[i](columns.negative[column]);
  }

  const sc_core::sc_signal<ProductSum>& sum() const { return tree_sum_; }
  void trace(sc_core::sc_trace_file* file) const;

 private:
  sc_core::sc_vector<sc_core::sc_signal<std::uint32_t>> product_;
  sc_core::sc_vector<sc_core::sc_signal<std::uint8_t>> shift_;
  sc_core::sc_signal<ProductSum> tree_sum_;

  sc_core::sc_vector<MantissaMultiplier> multiplier_;
  sc_core::sc_vector<ExponentAdder> exponent_adder_;
  AdderTree adder_tree_;
};

}  // namespace mlsim::sim
