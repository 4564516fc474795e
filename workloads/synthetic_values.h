// Tensors of random values that are the same on every machine.
#pragma once

#include <cstdint>
#include <string>

#include "models/formats/tensor.h"

namespace mlsim::workloads {

enum class Distribution : std::uint8_t { kNormal, kReluNormal, kUniform, kLaplace };

std::string to_string(Distribution distribution);  // normal, relu-normal, uniform, laplace

// Every value is a function of seed, stream and index alone. Element i takes the words 2(i mod 2) and 2(i mod 2) + 1 of
// Philox block i div 2, as u = (word 0 + 1/2) 2^-32, which is never 0, and w = word 1 · 2^-32:
//   normal       scale · sqrt(-2 ln u) · cos(2π w)   (Box and Muller, 1958)
//   relu-normal  max(normal, 0)
//   uniform      scale · (2u - 1)
//   laplace      ± scale · ln u, the sign from the top bit of word 1
// in binary64, rounded once to binary32. ln and cos are evaluated by series of additions, multiplications and divisions
// (relative error below 1e-15), not by the machine's library, whose last bit differs from system to system.
struct SyntheticValues {
  Distribution distribution = Distribution::kNormal;
  double scale = 1;  // above 0
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
};

models::Tensor<float> synthetic_tensor(const models::Shape& shape, const SyntheticValues& values);

}  // namespace mlsim::workloads
