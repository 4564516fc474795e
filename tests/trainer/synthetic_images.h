// Small sets of images that a network can learn from.
#pragma once

#include <cstdint>
#include <random>

#include "trainer/data/batches.h"
#include "trainer/data/cifar10.h"

namespace mlsim::test {

// Noise around a brightness that tells the class.
inline trainer::ImageSet synthetic_images(std::size_t count, std::uint64_t seed,
                                          const trainer::DataShape& shape = trainer::kCifar10Shape) {
  std::mt19937_64 random(seed);
  trainer::ImageSet set{.shape = shape, .pixels = {}, .labels = {}};
  for (std::size_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::uint8_t>(random() % shape.classes);
    set.labels.push_back(label);
    for (std::size_t byte = 0; byte < shape.image(); ++byte) {
      set.pixels.push_back(static_cast<std::uint8_t>(20 * label + random() % 64));
    }
  }
  return set;
}

// A few images for training and fewer for tests.
inline trainer::MemoryDataset small_data(std::size_t training_images = 24) {
  return {"cifar10", {synthetic_images(training_images, 1), synthetic_images(16, 2)}, trainer::Augmentation{}};
}

}  // namespace mlsim::test
