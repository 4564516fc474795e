// Why engines do not take a request, where several have the same reason.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <optional>
#include <string>

#include "models/convolution/cpu/dot_kernels.h"
#include "models/convolution/engine.h"

namespace mlsim::models {

using Refusal = std::optional<std::string>;

// Of the engines that scale whole planes.
inline Refusal refuse_split_planes(const ConvolutionRequest& request) {
  if (request.left.format.layout.constant_over_planes() && request.right.format.layout.constant_over_planes()) {
    return std::nullopt;
  }
  return "a scale belongs to a part of a plane";
}

// Of the engines that sum plane by plane.
inline Refusal refuse_tiles(const ConvolutionRequest& request) {
  if (Refusal refusal = refuse_split_planes(request)) return refusal;
  if (!request.reduction.merged() && !request.reduction.by_outer_index()) {
    return "a group is part of the outer indices";
  }
  return std::nullopt;
}

// Of the engines that multiply bytes.
inline Refusal refuse_large_elements(const ConvolutionRequest& request) {
  if (request.left.format.element.max_integer() < kDotOffset &&
      request.right.format.element.max_integer() < kDotOffset) {
    return std::nullopt;
  }
  return "an element does not fit a byte";
}

}  // namespace mlsim::models
