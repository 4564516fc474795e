// What elements with one multiplier have in common, whatever stays in them: the product of a pair, and its addition to
// a sum. Their tests are those of the arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <systemc>

#include "models/convolution/datapath.h"
#include "models/convolution/operation_counts.h"
#include "sim/systemc/exponent_adder.h"
#include "sim/systemc/job.h"
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

// The shifter, the sign and the adder behind it.
class ProductAdder {
 public:
  void load(const Job& job);

  // `sum` and a product that is no padding.
  std::int64_t added(std::int64_t sum, std::uint32_t product, std::uint8_t shift, bool negative) {
    const std::int64_t shifted = models::shift_product(product, shift, negative);
    const models::Accumulation next = models::accumulate(sum, shifted, bits_, overflow_);
    ++additions_;
    overflows_ += next.overflow ? 1 : 0;
    zero_products_ += product == 0 ? 1 : 0;
    return next.value;
  }

  // Of what was multiplied for the additions, too.
  models::OperationCounts counts() const;
  // Of the products, those that are zero.
  std::uint64_t zero_products() const { return zero_products_; }

 private:
  int bits_ = 64;
  models::Overflow overflow_ = models::Overflow::kSaturate;
  bool has_exponents_ = true;
  std::uint64_t additions_ = 0;
  std::uint64_t overflows_ = 0;
  std::uint64_t zero_products_ = 0;
};

}  // namespace mlsim::sim
