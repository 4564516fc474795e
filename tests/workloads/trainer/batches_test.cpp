#include "workloads/trainer/batches.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/workloads/trainer/synthetic_images.h"

namespace mlsim::trainer {
namespace {

using test::synthetic_images;
using testing::Each;

TEST(Batches, NormalizesToMeanZeroAndDeviationOne) {
  const ImageSet set = synthetic_images(50, 1);
  const Normalization normalization = normalization_of(set);
  const Batch batch = plain_batch(set, normalization, 0, set.size());
  ASSERT_EQ(batch.images.size(), set.size() * kImageBytes);
  for (std::size_t channel = 0; channel < kImageChannels; ++channel) {
    double sum = 0;
    double squares = 0;
    for (std::size_t image = 0; image < set.size(); ++image) {
      for (std::size_t i = 0; i < kPlaneBytes; ++i) {
        const double x = batch.images[image * kImageBytes + channel * kPlaneBytes + i];
        sum += x;
        squares += x * x;
      }
    }
    const auto count = static_cast<double>(set.size() * kPlaneBytes);
    EXPECT_NEAR(sum / count, 0, 1e-4);
    EXPECT_NEAR(squares / count, 1, 1e-3);
  }
}

TEST(Batches, TakeEachImageOnceAnEpoch) {
  ImageSet set = synthetic_images(60, 2);
  const Normalization unchanged{{0, 0, 0}, {1.0F / 255, 1.0F / 255, 1.0F / 255}};
  // Images of one brightness each, which no crop and no mirroring changes where it is not padding.
  for (std::size_t image = 0; image < set.size(); ++image) {
    std::fill_n(set.pixels.begin() + static_cast<std::ptrdiff_t>(image * kImageBytes), kImageBytes,
                static_cast<std::uint8_t>(image + 1));
  }
  const TrainingOrder order(set, unchanged, 5, 0);
  std::set<int> seen;
  for (std::size_t first = 0; first < set.size(); first += 20) {
    const Batch batch = order.batch(first, 20);
    for (std::size_t i = 0; i < 20; ++i) {
      const auto image = batch.images.begin() + static_cast<std::ptrdiff_t>(i * kImageBytes);
      seen.insert(static_cast<int>(std::lround(*std::max_element(image, image + kImageBytes))));
    }
  }
  EXPECT_EQ(seen.size(), set.size());
}

TEST(Batches, DependOnSeedEpochAndPositionAlone) {
  const ImageSet set = synthetic_images(40, 3);
  const Normalization normalization = normalization_of(set);
  const TrainingOrder order(set, normalization, 5, 1);
  const Batch all = order.batch(0, 40);
  const Batch part = TrainingOrder(set, normalization, 5, 1).batch(16, 8);
  EXPECT_TRUE(std::equal(part.images.begin(), part.images.end(), all.images.begin() + 16 * kImageBytes));
  EXPECT_TRUE(std::equal(part.labels.begin(), part.labels.end(), all.labels.begin() + 16));
  EXPECT_NE(TrainingOrder(set, normalization, 5, 2).batch(0, 40).images, all.images);
  EXPECT_NE(TrainingOrder(set, normalization, 6, 1).batch(0, 40).images, all.images);
}

TEST(Batches, CropByUpToFourAndMirror) {
  ImageSet set = synthetic_images(1, 4);
  std::fill(set.pixels.begin(), set.pixels.end(), std::uint8_t{0});
  // One bright pixel off the middle tells where the image went and whether it was mirrored.
  constexpr std::size_t kY = 10;
  constexpr std::size_t kX = 12;
  set.pixels[kY * kImageSide + kX] = 255;
  const Normalization unchanged{{0, 0, 0}, {1, 1, 1}};
  std::set<int> down;
  std::set<int> right;
  for (std::uint64_t epoch = 0; epoch < 600; ++epoch) {
    const Batch batch = TrainingOrder(set, unchanged, 1, epoch).batch(0, 1);
    const auto at =
        static_cast<std::size_t>(std::max_element(batch.images.begin(), batch.images.end()) - batch.images.begin());
    down.insert(static_cast<int>(at / kImageSide) - static_cast<int>(kY));
    right.insert(static_cast<int>(at % kImageSide));
  }
  EXPECT_EQ(down, (std::set<int>{-4, -3, -2, -1, 0, 1, 2, 3, 4}));
  std::set<int> expected;
  for (int d = -4; d <= 4; ++d) expected.insert({static_cast<int>(kX) + d, static_cast<int>(kImageSide - 1 - kX) + d});
  EXPECT_EQ(right, expected);
}

}  // namespace
}  // namespace mlsim::trainer
