#include "models/convolution/datapath.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "base/integers.h"
#include "models/formats/scaled_tensor.h"

namespace mlsim::models {
namespace {

std::vector<ElementFormat> formats_up_to(int code_bits) {
  std::vector<ElementFormat> formats;
  for (int ex = 0; ex <= 4; ++ex) {
    for (int mx = ex == 0 ? 1 : 0; mx <= (ex == 4 ? 4 : 10); ++mx) {
      if (1 + ex + mx <= code_bits) formats.push_back({ex, mx});
    }
  }
  return formats;
}

std::string name_of(const ElementFormat& format) {
  return "e" + std::to_string(format.exponent_bits) + "m" + std::to_string(format.mantissa_bits);
}

// A product as a processing element forms it.
std::int64_t product_of(const Fields& left, const Fields& right) {
  return shift_product(multiply_mantissas(left.significand, right.significand),
                       add_exponents(left.exponent, right.exponent), left.negative != right.negative);
}

void expect_all_products(const ElementFormat& left, const ElementFormat& right) {
  SCOPED_TRACE(name_of(left) + " by " + name_of(right));
  std::vector<std::int64_t> right_values;
  right_values.reserve(std::size_t{1} << right.code_bits());
  for (int code = 0; code < 1 << right.code_bits(); ++code) {
    right_values.push_back(decode_element(right, static_cast<std::uint16_t>(code)));
  }
  for (int a = 0; a < 1 << left.code_bits(); ++a) {
    const Fields left_fields = split_fields(left, static_cast<std::uint16_t>(a));
    const std::int64_t left_value = decode_element(left, static_cast<std::uint16_t>(a));
    for (int b = 0; b < 1 << right.code_bits(); ++b) {
      const std::int64_t product = product_of(left_fields, split_fields(right, static_cast<std::uint16_t>(b)));
      ASSERT_EQ(product, left_value * right_values[static_cast<std::size_t>(b)]) << "codes " << a << " and " << b;
    }
  }
}

TEST(Multiplier, EveryPairOfCodesOfEveryFormatUpToEightBits) {
  const std::vector<ElementFormat> formats = formats_up_to(8);
  EXPECT_EQ(formats.size(), 7U + 7U + 6U + 5U + 4U);
  for (const ElementFormat& format : formats) expect_all_products(format, format);
}

TEST(Multiplier, EveryPairOfCodesOfMixedFormats) {
  const std::vector<ElementFormat> formats = formats_up_to(6);
  for (const ElementFormat& left : formats) {
    for (const ElementFormat& right : formats) expect_all_products(left, right);
  }
  expect_all_products({2, 4}, {3, 4});
  expect_all_products({4, 3}, {0, 7});
  expect_all_products({1, 6}, {2, 5});
}

TEST(Multiplier, RandomCodesOfWideFormats) {
  std::mt19937_64 random(1);
  const std::vector<ElementFormat> formats = formats_up_to(16);
  for (const ElementFormat& left : formats) {
    for (const ElementFormat& right : formats) {
      for (int i = 0; i < 50; ++i) {
        const auto a = static_cast<std::uint16_t>(random() % (1U << left.code_bits()));
        const auto b = static_cast<std::uint16_t>(random() % (1U << right.code_bits()));
        ASSERT_EQ(product_of(split_fields(left, a), split_fields(right, b)),
                  std::int64_t{decode_element(left, a)} * decode_element(right, b))
            << name_of(left) << " " << a << " by " << name_of(right) << " " << b;
      }
    }
  }
}

TEST(Multiplier, FieldsAreAsWideAsTheirFormat) {
  for (const ElementFormat& format : formats_up_to(16)) {
    for (int code = 0; code < 1 << format.code_bits(); ++code) {
      const Fields fields = split_fields(format, static_cast<std::uint16_t>(code));
      ASSERT_LT(fields.significand, 1 << format.significand_bits()) << name_of(format) << " " << code;
      ASSERT_LE(fields.exponent, std::max((1 << format.exponent_bits) - 2, 0)) << name_of(format) << " " << code;
    }
  }
}

TEST(Accumulator, EqualsExactArithmetic) {
  std::mt19937_64 random(2);
  for (int bits = 2; bits <= 64; ++bits) {
    const base::Int128 highest = (base::Int128{1} << (bits - 1)) - 1;
    const base::Int128 lowest = -highest - 1;
    const base::Int128 modulus = base::Int128{1} << bits;
    const std::array<base::Int128, 6> edges{lowest, lowest + 1, -1, 0, highest - 1, highest};
    for (int i = 0; i < 2000; ++i) {
      // Registers at the edges and inside, products of every size.
      const base::Int128 start =
          i % 2 == 0 ? edges[random() % edges.size()] : lowest + static_cast<base::Int128>(random()) % modulus;
      const std::int64_t product = static_cast<std::int64_t>(random()) >> (random() % 64);
      const base::Int128 exact = start + product;
      const bool overflow = exact < lowest || exact > highest;
      const base::Int128 saturated = std::clamp(exact, lowest, highest);
      const base::Int128 wrapped = lowest + ((exact - lowest) % modulus + modulus) % modulus;

      const Accumulation saturating = accumulate(static_cast<std::int64_t>(start), product, bits, Overflow::kSaturate);
      const Accumulation wrapping = accumulate(static_cast<std::int64_t>(start), product, bits, Overflow::kWrap);
      ASSERT_TRUE(saturating.overflow == overflow && wrapping.overflow == overflow) << bits << " bits, step " << i;
      ASSERT_TRUE(saturating.value == saturated && wrapping.value == wrapped) << bits << " bits, step " << i;
    }
  }
}

// Every register and every sum of products that lies around it, and sums that need more than 64 bits.
TEST(Accumulator, TakesSumsOfProductsAsOneAddition) {
  for (int bits = 2; bits <= 6; ++bits) {
    const int highest = (1 << (bits - 1)) - 1;
    const int lowest = -highest - 1;
    for (int start = lowest; start <= highest; ++start) {
      for (int products = -300; products <= 300; ++products) {
        int wrapped = start + products;
        const bool overflow = wrapped < lowest || wrapped > highest;
        const int saturated = std::clamp(wrapped, lowest, highest);
        while (wrapped < lowest) wrapped += 1 << bits;
        while (wrapped > highest) wrapped -= 1 << bits;
        const Accumulation saturating = accumulate_sum(start, products, bits, Overflow::kSaturate);
        const Accumulation wrapping = accumulate_sum(start, products, bits, Overflow::kWrap);
        ASSERT_EQ(saturating.value, saturated) << start << " + " << products << " in " << bits << " bits";
        ASSERT_EQ(wrapping.value, wrapped) << start << " + " << products << " in " << bits << " bits";
        ASSERT_TRUE(saturating.overflow == overflow && wrapping.overflow == overflow);
      }
    }
  }
  const base::Int128 wide = base::Int128{1} << 72;
  EXPECT_EQ(accumulate_sum(-5, wide + 3, 64, Overflow::kSaturate).value, INT64_MAX);
  EXPECT_EQ(accumulate_sum(5, -wide, 64, Overflow::kSaturate).value, INT64_MIN);
  EXPECT_EQ(accumulate_sum(-5, wide + 3, 64, Overflow::kWrap).value, -2);
  EXPECT_TRUE(accumulate_sum(-5, wide + 3, 64, Overflow::kWrap).overflow);
}

// m · 2^e is a binary32 number and m + 1 the next one: what lies d / 2^j of the way between them is rounded.
TEST(RoundScaled, GoesToTheNearestNeighbour) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200000; ++i) {
    const bool subnormal = i % 4 == 0;
    const int e = subnormal ? -149 : static_cast<int>(random() % 200) - 149;
    std::uint32_t m = random() % (1U << 23);
    if (!subnormal) m |= 1U << 23;
    if (i % 16 == 0) m = (m & (1U << 23)) | ((1U << 23) - 1);  // rounds up into the next binade
    const int j = 1 + static_cast<int>(random() % 100);
    const base::Int128 half = base::Int128{1} << (j - 1);
    const std::array<base::Int128, 6> places{0,           std::min<base::Int128>(1, half - 1), half - 1, half, half + 1,
                                             2 * half - 1};
    const std::size_t place = random() % places.size();
    const base::Int128 d = std::min(places[place], 2 * half - 1);
    const bool up = d > half || (d == half && m % 2 == 1);
    const float expected = std::ldexp(static_cast<float>(m + (up ? 1 : 0)), e);
    const base::Int128 q = (base::Int128{m} << j) + d;
    ASSERT_EQ(round_scaled(q, j - e), expected) << "m " << m << ", e " << e << ", j " << j << ", place " << place;
    ASSERT_EQ(round_scaled(-q, j - e), -expected) << "m " << m << ", e " << e << ", j " << j << ", place " << place;
  }
}

TEST(RoundScaled, Edges) {
  EXPECT_EQ(round_scaled(0, 0), 0.0F);
  EXPECT_FALSE(std::signbit(round_scaled(0, 300)));
  EXPECT_EQ(round_scaled(1, 149), std::ldexp(1.0F, -149));
  EXPECT_EQ(round_scaled(1, 150), 0.0F);  // a tie with zero
  EXPECT_EQ(round_scaled(3, 151), std::ldexp(1.0F, -149));
  EXPECT_EQ(round_scaled(3, 150), std::ldexp(2.0F, -149));  // a tie between one and two smallest numbers
  EXPECT_TRUE(std::signbit(round_scaled(-1, 300)));
  EXPECT_EQ(round_scaled((base::Int128{1} << 100) + 1, 100), 1.0F);
}

TEST(GroupScaler, MultipliesByBothScales) {
  std::mt19937_64 random(4);
  const GroupScaler scaler({2, 4}, {3, 2});
  EXPECT_EQ(scaler.unit_exponent, 7 + 9);
  for (int g_left = 0; g_left <= 15; ++g_left) {
    for (int g_right = 0; g_right <= 15; ++g_right) {
      for (const int exponent : {-130, -9, 0, 5, 127}) {
        const std::int64_t sum = static_cast<std::int64_t>(random()) >> (random() % 64);
        const TileScale left{static_cast<std::int16_t>(exponent), static_cast<std::uint8_t>(g_left)};
        const TileScale right{-5, static_cast<std::uint8_t>(g_right)};
        const base::Int128 q = base::Int128{sum} * g_left * g_right;
        EXPECT_TRUE(GroupScaler::scale_sum(sum, left, right) == q);
        EXPECT_EQ(scaler.scale(sum, left, right), round_scaled(q, 16 + 5 - exponent));
      }
    }
  }
}

// Every pair of codes of the element types of MX through the multiplier path.
TEST(Datapath, EveryPairOfCodesOfTheMxElements) {
  const std::vector<ElementFormat> elements{{2, 1, ElementKind::kOcp}, {2, 3, ElementKind::kOcp},
                                            {3, 2, ElementKind::kOcp}, {4, 3, ElementKind::kOcp},
                                            {5, 2, ElementKind::kOcp}, {0, 7, ElementKind::kOcp}};
  for (const ElementFormat& left : elements) {
    for (const ElementFormat& right : elements) {
      for (int a = 0; a < 1 << left.code_bits(); ++a) {
        const auto left_code = static_cast<std::uint16_t>(a);
        const std::int64_t left_k = decode_element(left, left_code);
        if (left_k > left.max_integer() || left_k < -left.max_integer()) continue;
        const Fields x = split_fields(left, left_code);
        for (int b = 0; b < 1 << right.code_bits(); ++b) {
          const auto right_code = static_cast<std::uint16_t>(b);
          const std::int64_t right_k = decode_element(right, right_code);
          if (right_k > right.max_integer() || right_k < -right.max_integer()) continue;
          const Fields y = split_fields(right, right_code);
          const std::uint32_t product = multiply_mantissas(x.significand, y.significand);
          const base::Int128 magnitude = base::Int128{product} << add_exponents(x.exponent, y.exponent);
          const base::Int128 signed_product = x.negative != y.negative ? -magnitude : magnitude;
          ASSERT_TRUE(signed_product == base::Int128{left_k} * right_k) << a << " times " << b;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mlsim::models
