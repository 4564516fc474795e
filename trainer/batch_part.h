// The part of each batch that one of several ranks has.
// Tested in tests/trainer/ranks_test.cpp.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "models/formats/format.h"
#include "models/quantizer/quantizer.h"
#include "trainer/quantization.h"
#include "trainer/ranks.h"

namespace mlsim::trainer {

// Ranks have equal parts of a batch, one after the other in the order of its images.
class BatchPart {
 public:
  // With `own_scales` each rank quantizes by the largest magnitudes of its part, otherwise by those of the batch.
  // Random words are those of the batch's elements in either case.
  BatchPart(Ranks& ranks, std::int64_t images, bool own_scales)
      : ranks_(&ranks), images_(images), own_scales_(own_scales) {}

  // Where a tensor of this rank's images lies in that of the batch. Maxima are to be raised where the tensor is, in the
  // memory of the processor or the GPU, tiles in an order in which dimension 0 comes first. Valid as long as this.
  models::TensorPart of(const torch::Tensor& tensor, const models::Format& format) const;

  // Throws std::runtime_error for a format whose tiles ranks cut in a way that has no common scales: tiles along
  // dimension 0 which are neither within the parts nor whole numbers of parts.
  void check(const Quantization& quantization) const;

 private:
  // Raises maxima, the tensor's first.
  void raise(const torch::Tensor& maxima, std::int64_t images_of_tile) const;

  Ranks* ranks_;
  std::int64_t images_;  // of a part
  bool own_scales_;
};

}  // namespace mlsim::trainer
