// The convolutions' reference in plain arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include "models/convolution/convolution.h"

namespace mlsim::tests {

// The formulas of docs/numerics.md in plain arithmetic, one tap at a time.
template <typename T>
std::vector<T> seven_loops(models::Pass pass, const models::ConvolutionShape& s, const std::vector<T>& left,
                           const std::vector<T>& right) {
  using models::Pass;
  const auto [oh, ow] = s.out_size();
  const std::int64_t cin = s.in_channels / s.groups;
  const std::int64_t cout = s.out_channels / s.groups;
  std::vector<T> result(static_cast<std::size_t>(models::element_count(s.result_shape(pass))));
  // Ascending in n, then in co or ci, then in the taps: each result meets its terms in the order of the contract.
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t co = 0; co < s.out_channels; ++co) {
      for (std::int64_t ci = 0; ci < cin; ++ci) {
        const std::int64_t c = co / cout * cin + ci;
        for (std::int64_t i = 0; i < s.kernel[0]; ++i) {
          for (std::int64_t j = 0; j < s.kernel[1]; ++j) {
            for (std::int64_t y = 0; y < oh; ++y) {
              for (std::int64_t x = 0; x < ow; ++x) {
                const std::int64_t yi = y * s.stride[0] + i * s.dilation[0] - s.padding[0].begin;
                const std::int64_t xi = x * s.stride[1] + j * s.dilation[1] - s.padding[1].begin;
                if (yi < 0 || yi >= s.in_size[0] || xi < 0 || xi >= s.in_size[1]) continue;
                const auto a =
                    static_cast<std::size_t>(((n * s.in_channels + c) * s.in_size[0] + yi) * s.in_size[1] + xi);
                const auto w = static_cast<std::size_t>(((co * cin + ci) * s.kernel[0] + i) * s.kernel[1] + j);
                const auto e = static_cast<std::size_t>(((n * s.out_channels + co) * oh + y) * ow + x);
                const std::size_t l = pass == Pass::kForward ? a : e;
                const std::size_t r = pass == Pass::kBackwardWeight ? a : w;
                const std::size_t z = pass == Pass::kForward ? e : pass == Pass::kBackwardData ? a : w;
                const T product = left[l] * right[r];
                result[z] = result[z] + product;
              }
            }
          }
        }
      }
    }
  }
  return result;
}

}  // namespace mlsim::tests
