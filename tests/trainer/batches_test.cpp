#include "trainer/data/batches.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>
#include <utility>

#include "tests/trainer/synthetic_images.h"
#include "trainer/data/batch_queue.h"

namespace mlsim::trainer {
namespace {

using test::synthetic_images;

TEST(Batches, NormalizesToMeanZeroAndDeviationOne) {
  const ImageSet set = synthetic_images(50, 1);
  const DataShape& shape = set.shape;
  const MemoryDataset data("images", {set, set}, Augmentation{});
  const Batch batch = data.test_batch(0, set.size());
  ASSERT_EQ(batch.images.size(), set.size() * shape.image());
  for (std::size_t channel = 0; channel < shape.channels; ++channel) {
    double sum = 0;
    double squares = 0;
    for (std::size_t image = 0; image < set.size(); ++image) {
      for (std::size_t i = 0; i < shape.plane(); ++i) {
        const double x = batch.images[image * shape.image() + channel * shape.plane() + i];
        sum += x;
        squares += x * x;
      }
    }
    const auto count = static_cast<double>(set.size() * shape.plane());
    EXPECT_NEAR(sum / count, 0, 1e-4);
    EXPECT_NEAR(squares / count, 1, 1e-3);
  }
}

TEST(Batches, TakeEachImageOnceAnEpoch) {
  ImageSet set = synthetic_images(60, 2);
  // Images of one brightness each.
  const std::size_t bytes = set.shape.image();
  for (std::size_t image = 0; image < set.size(); ++image) {
    std::fill_n(set.pixels.begin() + static_cast<std::ptrdiff_t>(image * bytes), bytes,
                static_cast<std::uint8_t>(image + 1));
  }
  const MemoryDataset data("images", {set, set}, Augmentation{.padding = 0, .mirrors = true});
  const float scale = data.normalization().scale(0);
  const float offset = data.normalization().offset(0);
  const TrainingOrder order(data.train_size(), 5, 0);
  std::set<int> seen;
  for (std::size_t first = 0; first < set.size(); first += 20) {
    const Batch batch = data.training_batch(order, first, 20);
    for (std::size_t i = 0; i < 20; ++i) {
      seen.insert(static_cast<int>(std::lround((batch.images[i * bytes] + offset) / scale)));
    }
  }
  EXPECT_EQ(seen.size(), set.size());
  EXPECT_EQ(*seen.begin(), 1);
  EXPECT_EQ(*seen.rbegin(), 60);
}

TEST(Batches, DependOnSeedEpochAndPositionAlone) {
  const MemoryDataset data("images", {synthetic_images(40, 3), synthetic_images(1, 4)}, Augmentation{});
  const Batch all = data.training_batch(TrainingOrder(40, 5, 1), 0, 40);
  const Batch part = data.training_batch(TrainingOrder(40, 5, 1), 16, 8);
  const auto from = static_cast<std::ptrdiff_t>(16 * data.shape().image());
  EXPECT_TRUE(std::equal(part.images.begin(), part.images.end(), all.images.begin() + from));
  EXPECT_TRUE(std::equal(part.labels.begin(), part.labels.end(), all.labels.begin() + 16));
  EXPECT_NE(data.training_batch(TrainingOrder(40, 5, 2), 0, 40).images, all.images);
  EXPECT_NE(data.training_batch(TrainingOrder(40, 6, 1), 0, 40).images, all.images);
}

// Where one bright pixel at (10, 12) of an image goes in many epochs: rows and columns.
std::pair<std::set<int>, std::set<int>> places_of_a_pixel(const DataShape& shape, const Augmentation& augmentation) {
  ImageSet set = synthetic_images(1, 4, shape);
  std::fill(set.pixels.begin(), set.pixels.end(), std::uint8_t{0});
  set.pixels[10 * shape.side + 12] = 255;
  const MemoryDataset data("images", {set, set}, augmentation);
  std::pair<std::set<int>, std::set<int>> places;
  for (std::uint64_t epoch = 0; epoch < 600; ++epoch) {
    const Batch batch = data.training_batch(TrainingOrder(1, 1, epoch), 0, 1);
    const auto at =
        static_cast<std::size_t>(std::max_element(batch.images.begin(), batch.images.end()) - batch.images.begin());
    places.first.insert(static_cast<int>(at / shape.side));
    places.second.insert(static_cast<int>(at % shape.side));
  }
  return places;
}

TEST(Batches, CropByUpToFourAndMirror) {
  const auto [rows, columns] = places_of_a_pixel(kCifar10Shape, Augmentation{});
  EXPECT_EQ(rows, (std::set<int>{6, 7, 8, 9, 10, 11, 12, 13, 14}));
  std::set<int> expected;
  for (int d = -4; d <= 4; ++d) expected.insert({12 + d, 31 - 12 + d});
  EXPECT_EQ(columns, expected);
}

TEST(Batches, CropWithoutMirroring) {
  const auto [rows, columns] =
      places_of_a_pixel({.channels = 1, .side = 28, .classes = 10}, {.padding = 2, .mirrors = false});
  EXPECT_EQ(rows, (std::set<int>{8, 9, 10, 11, 12}));
  EXPECT_EQ(columns, (std::set<int>{10, 11, 12, 13, 14}));
}

TEST(BatchQueue, GivesBatchesInOrderAndWhatMakingThemThrew) {
  BatchQueue queue(
      [](std::size_t number) {
        if (number == 7) throw std::runtime_error("no batch 7");
        return Batch{.images = {}, .labels = {static_cast<std::int64_t>(number)}};
      },
      3, 9);
  for (std::int64_t number = 3; number < 7; ++number) EXPECT_EQ(queue.next().labels.at(0), number);
  EXPECT_THAT([&] { queue.next(); }, testing::ThrowsMessage<std::runtime_error>("no batch 7"));
  EXPECT_EQ(queue.next().labels.at(0), 8);
}

}  // namespace
}  // namespace mlsim::trainer
