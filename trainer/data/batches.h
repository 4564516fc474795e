// Batches of images: order, augmentation and normalization, all from explicit seeds.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "trainer/data/images.h"

namespace mlsim::trainer {

// Each channel's mean and standard deviation over a set of images, pixels as 0..1.
struct Normalization {
  std::array<float, kMostChannels> mean{};
  std::array<float, kMostChannels> deviation{};

  // A normalized pixel is byte · scale(channel) - offset(channel), both rounded to binary32.
  float scale(std::size_t channel) const { return 1 / (255 * deviation[channel]); }
  float offset(std::size_t channel) const { return mean[channel] / deviation[channel]; }
};
Normalization normalization_of(const ImageSet& set);

// One batch: images (N, channels, side, side) in C order, and N labels.
struct Batch {
  std::vector<float> images;
  std::vector<std::int64_t> labels;
};

// The order of the images in a training epoch, and the random words that place them. Every draw depends on the seed,
// the epoch and the position in the epoch alone, so that training that goes on at any step sees the same images.
class TrainingOrder {
 public:
  TrainingOrder(std::size_t images, std::uint64_t seed, std::uint64_t epoch);

  std::uint32_t image(std::size_t position) const { return order_[position]; }
  // A whole number in 0 .. bound - 1 from word `index` of the epoch's words for augmentation.
  std::uint32_t draw(std::uint64_t index, std::uint32_t bound) const;

 private:
  std::uint64_t seed_;
  std::uint64_t epoch_;
  std::vector<std::uint32_t> order_;
};

class MemoryDataset;

// What training takes images from. Batches may be asked for from several threads at once.
class Dataset {
 public:
  Dataset() = default;
  virtual ~Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;
  Dataset(Dataset&&) = delete;
  Dataset& operator=(Dataset&&) = delete;

  virtual const std::string& name() const = 0;
  virtual const DataShape& shape() const = 0;
  virtual std::size_t train_size() const = 0;
  virtual std::size_t test_size() const = 0;

  // Images first .. first + count - 1 of an epoch, augmented and normalized.
  virtual Batch training_batch(const TrainingOrder& order, std::size_t first, std::size_t count) const = 0;
  // Images first .. first + count - 1 of the test set, normalized.
  virtual Batch test_batch(std::size_t first, std::size_t count) const = 0;

  // Tells data from others: a hash of the images, their labels and their order.
  virtual std::uint64_t fingerprint() const = 0;
  // Reads every image once: a sentence for each that cannot be, in their order.
  virtual std::vector<std::string> damages() const { return {}; }

  // Not null where the images are in memory, so that a GPU can keep them.
  virtual const MemoryDataset* in_memory() const { return nullptr; }
};

// Where an image of a batch comes from: pixel (y, x) is pixel (y + dy, x + dx) of image `image` of the set, mirrored
// before if told, and 0 where that lies outside.
struct Placement {
  std::uint32_t image = 0;
  std::int32_t dy = 0;
  std::int32_t dx = 0;
  bool mirrored = false;
};

// How training images are cropped out of the image with padding of 0 on each side, and mirrored or not at random.
struct Augmentation {
  int padding = 4;
  bool mirrors = true;
};

// Images in memory, normalized by the mean and the deviation of the training set.
class MemoryDataset : public Dataset {
 public:
  MemoryDataset(std::string name, ImageSets sets, Augmentation augmentation);

  const std::string& name() const override { return name_; }
  const DataShape& shape() const override { return sets_.train.shape; }
  std::size_t train_size() const override { return sets_.train.size(); }
  std::size_t test_size() const override { return sets_.test.size(); }
  // Padding is 0 after normalization.
  Batch training_batch(const TrainingOrder& order, std::size_t first, std::size_t count) const override;
  Batch test_batch(std::size_t first, std::size_t count) const override;
  std::uint64_t fingerprint() const override;
  const MemoryDataset* in_memory() const override { return this; }

  const ImageSet& train() const { return sets_.train; }
  const Normalization& normalization() const { return normalization_; }
  // The image at a position of an epoch.
  Placement placement(const TrainingOrder& order, std::size_t position) const;

 private:
  void append_image(const ImageSet& set, const Placement& placement, Batch& batch) const;

  std::string name_;
  ImageSets sets_;
  Augmentation augmentation_;
  Normalization normalization_;
};

}  // namespace mlsim::trainer
