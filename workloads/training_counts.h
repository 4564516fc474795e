// Operations of one training step of a network, by type: what `mlsim counts` shows.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "workloads/network.h"

namespace mlsim::workloads {

struct StepCount {
  std::uint64_t forward = 0;
  std::uint64_t backward = 0;

  StepCount& operator+=(const StepCount& other) {
    forward += other.forward;
    backward += other.backward;
    return *this;
  }
  bool operator==(const StepCount&) const = default;
};

struct TrainingCounts {
  std::string network;
  std::int64_t batch = 1;

  // Multiply-adds of the convolutions. Backward are two passes of as many each, for the first layer too, although
  // training needs no gradient of the images. Nominal: outputs × kernel × input channels of a group, padding included,
  // as publications count. In range: without the taps that fall on padding, and of those passes alone that a layer has.
  StepCount convolution;
  StepCount convolution_in_range;
  // Elements normalized, each way: by the statistics of channels, and of rows and other parts.
  StepCount batch_norm;
  StepCount layer_norm;
  // Additions of feature maps: an element of the sum for each map beyond the first, each way.
  StepCount element_add;
  // Additions that back-propagation itself needs: where several layers read an output, its gradients are added, an
  // element for each reader beyond the first (the images need no gradient). Backward only.
  StepCount gradient_add;
  // Products of feature maps, element by element, for each map beyond the first; backward, one for each map.
  StepCount element_multiply;
  // Elements of ReLU, ReLU6 and others that compare, each way.
  StepCount activation;
  // Elements of activations that take an exponential or the like, each way.
  StepCount smooth;
  // Elements of softmax, each way.
  StepCount softmax;
  // Comparisons or additions of pooling: an output times its window (padding included); backward, a maximum passes each
  // gradient on once, an average once for each element of the window.
  StepCount pooling;
  // Multiply-adds of linear layers, products of feature maps among them; backward are two passes.
  StepCount linear;
  // Of these, the ones of products of feature maps, which have no weights.
  StepCount product;
  // Trained numbers, each updated once a step whatever the batch; the last are all of them, with biases and batch
  // normalization.
  std::uint64_t convolution_weights = 0;
  std::uint64_t linear_weights = 0;
  std::uint64_t parameters = 0;

  // Figures that a publication gives for the network at this batch.
  std::optional<PublishedCounts> published;
};

// Counts one step of `batch` images. Throws std::runtime_error for a batch below 1 or above 2^20, and where a count
// might not fit 64 bits.
TrainingCounts count_training_step(const Network& network, std::int64_t batch);

// A table for people, with three digits.
std::string to_text(const TrainingCounts& counts);
// All of it, exact.
nlohmann::ordered_json to_json(const TrainingCounts& counts);

}  // namespace mlsim::workloads
