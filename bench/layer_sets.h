// Sets of layers that bench/ratios measures: which layers of which networks, in which formats.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/convolution/convolution.h"

namespace mlsim::bench {

struct SetLayer {
  std::string name;  // of one of the layers with this shape
  models::ConvolutionShape shape;
  int count = 1;  // layers with this shape
};

struct LayerSet {
  std::string name;
  std::string title;
  std::vector<std::string> networks;
  bool (*takes)(const models::ConvolutionShape& shape);
  std::vector<std::string> formats;
};

const std::vector<LayerSet>& layer_sets();

// The layers of a set, each shape once, at a batch.
std::vector<SetLayer> layers_of(const LayerSet& set, std::int64_t batch);

// Images at a time unless told: 32 for linear layers, and where a format cuts the images of backward weight into
// blocks, else 1.
std::int64_t usual_batch(const LayerSet& set, const std::string& format);

}  // namespace mlsim::bench
