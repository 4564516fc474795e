// Batches of images: order, augmentation and normalization, all from explicit seeds.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "workloads/trainer/cifar10.h"

namespace mlsim::trainer {

// Each channel's mean and standard deviation over a set of images, pixels as 0..1.
struct Normalization {
  std::array<float, kImageChannels> mean{};
  std::array<float, kImageChannels> deviation{};
};
Normalization normalization_of(const ImageSet& set);

// One batch: images (N, 3, 32, 32) in C order, and N labels.
struct Batch {
  std::vector<float> images;
  std::vector<std::int64_t> labels;
};

// The images of a training epoch, shuffled, cropped at random out of the image padded by 4 on each side, and mirrored
// at random. Every draw depends on the seed, the epoch and the position in the epoch alone, so that training that goes
// on at any step sees the same images.
class TrainingOrder {
 public:
  TrainingOrder(const ImageSet& set, const Normalization& normalization, std::uint64_t seed, std::uint64_t epoch);

  // Images first .. first + count - 1 of the epoch. Padding is 0 after normalization.
  Batch batch(std::size_t first, std::size_t count) const;

 private:
  const ImageSet& set_;
  const Normalization& normalization_;
  std::uint64_t seed_;
  std::uint64_t epoch_;
  std::vector<std::uint32_t> order_;
};

// Images first .. first + count - 1 of a set as they are, normalized.
Batch plain_batch(const ImageSet& set, const Normalization& normalization, std::size_t first, std::size_t count);

}  // namespace mlsim::trainer
