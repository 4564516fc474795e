// The adder of an element, whatever stays in it: of one multiplier's product, or of the word that an adder tree adds
// up, to a sum.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>

#include "models/convolution/datapath.h"
#include "models/convolution/operation_counts.h"
#include "sim/systemc/adder_tree.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

class ElementAdder {
 public:
  void load(const Job& job);

  // `sum` and a product that is no padding, shifted and signed on its way.
  std::int64_t added(std::int64_t sum, std::uint32_t product, std::uint8_t shift, bool negative) {
    const std::int64_t shifted = models::shift_product(product, shift, negative);
    return count(models::accumulate(sum, shifted, bits_, overflow_), 1, product == 0 ? 1 : 0);
  }
  // `sum` and a word, whose products are not all padding, in one addition: the tree adds all of them but one.
  std::int64_t added(std::int64_t sum, const ProductSum& word) {
    return count(models::accumulate_sum(sum, word.value(), bits_, overflow_), word.products, word.zeros);
  }

  // Of what was multiplied for the additions, too.
  models::OperationCounts counts() const;
  // Of the products, those that are zero.
  std::uint64_t zero_products() const { return zero_products_; }

 private:
  std::int64_t count(const models::Accumulation& next, std::uint64_t products, std::uint64_t zeros) {
    ++additions_;
    products_ += products;
    overflows_ += next.overflow ? 1 : 0;
    zero_products_ += zeros;
    return next.value;
  }

  int bits_ = 64;
  models::Overflow overflow_ = models::Overflow::kSaturate;
  bool has_exponents_ = true;
  std::uint64_t additions_ = 0;
  std::uint64_t products_ = 0;
  std::uint64_t overflows_ = 0;
  std::uint64_t zero_products_ = 0;
};

}  // namespace mlsim::sim
