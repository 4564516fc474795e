// Labelled images in memory.
// Tested in tests/trainer/dataset_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "trainer/model.h"

namespace mlsim::trainer {

inline constexpr std::size_t kMostChannels = 3;

struct ImageSet {
  DataShape shape;
  std::vector<std::uint8_t> pixels;  // shape.image() for each image: planes in C order
  std::vector<std::uint8_t> labels;  // 0 .. shape.classes - 1

  std::size_t size() const { return labels.size(); }
};

struct ImageSets {
  ImageSet train;
  ImageSet test;
};

}  // namespace mlsim::trainer
