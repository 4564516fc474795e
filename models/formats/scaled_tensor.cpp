#include "models/formats/scaled_tensor.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

namespace mlsim::models {
namespace {

constexpr int kE8m0Bias = 127;
constexpr int kE4m3Bias = 10;  // of the exponent of 8 + m
constexpr int kE4m3Hidden = 8;

}  // namespace

std::int64_t decode_element(const ElementFormat& format, std::uint16_t code) {
  if (format.twos_complement()) {
    const int unused = 16 - format.code_bits();
    return static_cast<std::int16_t>(static_cast<std::uint16_t>(code << unused)) >> unused;
  }
  const int mx = format.mantissa_bits;
  const std::int64_t mantissa = code & ((1 << mx) - 1);
  const int exponent = (code >> mx) & ((1 << format.exponent_bits) - 1);
  const bool negative = ((code >> (format.code_bits() - 1)) & 1) != 0;
  const std::int64_t k = exponent == 0 ? mantissa : ((std::int64_t{1} << mx) + mantissa) << (exponent - 1);
  return negative ? -k : k;
}

std::uint16_t encode_element(const ElementFormat& format, std::int64_t k) {
  const int mx = format.mantissa_bits;
  const auto magnitude = static_cast<std::uint64_t>(k < 0 ? -k : k);
  assert(static_cast<std::int64_t>(magnitude) <= format.max_integer());
  if (format.twos_complement()) {
    return static_cast<std::uint16_t>(static_cast<std::uint64_t>(k) & ((std::uint64_t{1} << format.code_bits()) - 1));
  }
  const int exponent = std::max(static_cast<int>(std::bit_width(magnitude)) - mx, 0);
  const std::uint64_t mantissa = exponent == 0 ? magnitude : (magnitude >> (exponent - 1)) - (1U << mx);
  const std::uint64_t sign = k < 0 ? 1U << (format.code_bits() - 1) : 0U;
  // Without exponent bits a magnitude has at most Mx bits, so the exponent is 0 there.
  return static_cast<std::uint16_t>(sign | (static_cast<std::uint64_t>(exponent) << mx) | mantissa);
}

std::vector<std::int64_t> decode_table(const ElementFormat& format) {
  std::vector<std::int64_t> table(std::size_t{1} << format.code_bits());
  for (std::size_t code = 0; code < table.size(); ++code) {
    table[code] = decode_element(format, static_cast<std::uint16_t>(code));
  }
  return table;
}

StoredScale store_scale(const ScaleFormat& format, TileScale scale) {
  switch (format.kind) {
    case ScaleKind::kE8m0:
      return {static_cast<std::uint8_t>(scale.exponent + kE8m0Bias), 0};
    case ScaleKind::kE4m3:
      if (scale.significand < kE4m3Hidden) return {scale.significand, 0};
      return {
          static_cast<std::uint8_t>(((scale.exponent + kE4m3Bias) << format.fraction_bits) | (scale.significand & 7)),
          0};
    case ScaleKind::kMls:
      break;
  }
  return {static_cast<std::uint8_t>(-scale.exponent - format.fraction_bits),
          static_cast<std::uint8_t>(scale.significand - (1 << format.fraction_bits))};
}

TileScale read_scale(const ScaleFormat& format, StoredScale stored) {
  switch (format.kind) {
    case ScaleKind::kE8m0:
      return {static_cast<std::int16_t>(stored.exponent - kE8m0Bias), 1};
    case ScaleKind::kE4m3: {
      const int exponent = stored.exponent >> format.fraction_bits;
      const int mantissa = stored.exponent & 7;
      return {static_cast<std::int16_t>(std::max(exponent, 1) - kE4m3Bias),
              static_cast<std::uint8_t>(exponent == 0 ? mantissa : kE4m3Hidden + mantissa)};
    }
    case ScaleKind::kMls:
      break;
  }
  return {static_cast<std::int16_t>(-stored.exponent - format.fraction_bits),
          static_cast<std::uint8_t>((1 << format.fraction_bits) + stored.fraction)};
}

TileScale smallest_scale(const ScaleFormat& format) {
  return read_scale(format, {static_cast<std::uint8_t>(format.kind == ScaleKind::kMls ? format.max_exponent() : 0), 0});
}

StoredScales stored_scales(const ScaledTensor& tensor) {
  const ScaleFormat& format = tensor.format.scale;
  const bool is_named =
      std::find(grouping::kAll.begin(), grouping::kAll.end(), tensor.format.layout) != grouping::kAll.end();
  const bool of_pairs = format.kind == ScaleKind::kMls && is_named;
  const auto grid = tensor.grid().extents();
  StoredScales result;
  result.shape = of_pairs ? Shape{tensor.shape[0], tensor.shape[1]} : Shape(grid.begin(), grid.end());
  const std::int64_t count = element_count(result.shape);
  for (std::int64_t i = 0; i < count; ++i) {
    const TileScale scale = of_pairs ? scale_of_pair(tensor, i) : tensor.scales[static_cast<std::size_t>(i)];
    const StoredScale stored = store_scale(format, scale);
    result.exponents.push_back(stored.exponent);
    result.fractions.push_back(stored.fraction);
  }
  return result;
}

std::array<std::int64_t, 4> tile_sizes(const ScaledTensor& tensor) {
  std::array<std::int64_t, 4> tile = tensor.format.layout.tile;
  for (std::size_t d = 0; d < tile.size(); ++d) {
    if (tile[d] == ScaleLayout::kWhole) tile[d] = d < tensor.shape.size() ? tensor.shape[d] : 1;
  }
  return tile;
}

std::vector<std::uint16_t> gated_codes(const ScaledTensor& tensor) {
  std::vector<std::uint16_t> codes = tensor.codes;
  if (!has_zero_scale(tensor)) return codes;
  tensor.grid().for_each_run(0, tensor.size(),
                             [&](std::int64_t offset, std::int64_t length, std::int64_t tile, std::int64_t step) {
                               for (std::int64_t i = offset; i < offset + length; ++i, tile += step) {
                                 if (tensor.scales[static_cast<std::size_t>(tile)].significand == 0)
                                   codes[static_cast<std::size_t>(i)] = 0;
                               }
                             });
  return codes;
}

bool has_zero_scale(const ScaledTensor& tensor) {
  return tensor.format.scale.kind == ScaleKind::kE4m3 &&
         std::any_of(tensor.scales.begin(), tensor.scales.end(),
                     [](TileScale scale) { return scale.significand == 0; });
}

std::vector<std::int64_t> decode_integers(const ScaledTensor& tensor) {
  const std::vector<std::int64_t> table = decode_table(tensor.format.element);
  std::vector<std::int64_t> integers(tensor.codes.size());
  for (std::size_t i = 0; i < integers.size(); ++i) integers[i] = table[tensor.codes[i]];
  return integers;
}

Tensor<double> dequantize(const ScaledTensor& tensor) {
  Tensor<double> result{tensor.shape, std::vector<double>(tensor.codes.size())};
  Dequantizer(tensor).run(0, result.values);
  return result;
}

Dequantizer::Dequantizer(const ScaledTensor& tensor) : tensor_(&tensor), grid_(tensor.grid()) {
  const int unit = tensor.format.element.unit_exponent();
  scales_.reserve(tensor.scales.size());
  for (const TileScale scale : tensor.scales) {
    // Exact: 24 + 4 significant bits, and 11 more of an element; exponents far inside binary64's range.
    scales_.push_back(std::ldexp(static_cast<double>(tensor.tensor_scale) * scale.significand, scale.exponent - unit));
  }
  for (const std::int64_t k : decode_table(tensor.format.element)) numbers_.push_back(static_cast<double>(k));
}

void Dequantizer::run(std::size_t first, std::span<double> values) const {
  const std::uint16_t* codes = tensor_->codes.data() + first;
  grid_.for_each_run(static_cast<std::int64_t>(first), static_cast<std::int64_t>(values.size()),
                     [&](std::int64_t offset, std::int64_t length, std::int64_t tile, std::int64_t step) {
                       const double* scale = &scales_[static_cast<std::size_t>(tile)];
                       for (std::int64_t i = offset; i < offset + length; ++i, scale += step) {
                         values[static_cast<std::size_t>(i)] = *scale * numbers_[codes[i]];
                       }
                     });
}

}  // namespace mlsim::models
