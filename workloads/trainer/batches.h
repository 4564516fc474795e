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

  // A normalized pixel is byte · scale(channel) - offset(channel), both rounded to binary32.
  float scale(std::size_t channel) const { return 1 / (255 * deviation[channel]); }
  float offset(std::size_t channel) const { return mean[channel] / deviation[channel]; }
};
Normalization normalization_of(const ImageSet& set);

// One batch: images (N, 3, 32, 32) in C order, and N labels.
struct Batch {
  std::vector<float> images;
  std::vector<std::int64_t> labels;
};

// Where an image of a batch comes from: pixel (y, x) is pixel (y + dy, x + dx) of image `image` of the set, mirrored
// before if told, and 0 where that lies outside.
struct Placement {
  std::uint32_t image = 0;
  std::int32_t dy = 0;
  std::int32_t dx = 0;
  bool mirrored = false;
};

// The images of a training epoch, shuffled, cropped at random out of the image padded by 4 on each side, and mirrored
// at random. Every draw depends on the seed, the epoch and the position in the epoch alone, so that training that goes
// on at any step sees the same images.
class TrainingOrder {
 public:
  TrainingOrder(const ImageSet& set, const Normalization& normalization, std::uint64_t seed, std::uint64_t epoch);

  // The image at a position of the epoch.
  Placement placement(std::size_t position) const;
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
