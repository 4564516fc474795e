#include "trainer/data/batches.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/hash.h"
#include "base/philox.h"

namespace mlsim::trainer {
namespace {

// Streams of random words that no quantizer uses: those have the training step in their upper half, far below 2^31.
enum class Draw : std::uint64_t { kOrder = 0, kAugmentation = 1 };

std::uint64_t stream_of(Draw draw, std::uint64_t epoch) {
  return std::uint64_t{1} << 63 | epoch << 1 | static_cast<std::uint64_t>(draw);
}

// A whole number in 0 .. bound - 1 from a random word.
std::uint32_t below(std::uint32_t bound, std::uint32_t word) {
  return static_cast<std::uint32_t>(std::uint64_t{word} * bound >> 32);
}

}  // namespace

Normalization normalization_of(const ImageSet& set) {
  Normalization result;
  const std::size_t plane_size = set.shape.plane();
  const auto count = static_cast<double>(set.size() * plane_size);
  for (std::size_t channel = 0; channel < set.shape.channels; ++channel) {
    std::uint64_t sum = 0;
    std::uint64_t squares = 0;
    for (std::size_t image = 0; image < set.size(); ++image) {
      const std::uint8_t* const plane = set.pixels.data() + image * set.shape.image() + channel * plane_size;
      for (std::size_t i = 0; i < plane_size; ++i) {
        sum += plane[i];
        squares += std::uint64_t{plane[i]} * plane[i];
      }
    }
    const double mean = static_cast<double>(sum) / count;
    const double variance = static_cast<double>(squares) / count - mean * mean;
    result.mean[channel] = static_cast<float>(mean / 255);
    result.deviation[channel] = static_cast<float>(std::max(std::sqrt(variance), 1.0) / 255);
  }
  return result;
}

TrainingOrder::TrainingOrder(std::size_t images, std::uint64_t seed, std::uint64_t epoch)
    : seed_(seed), epoch_(epoch), order_(images) {
  std::iota(order_.begin(), order_.end(), std::uint32_t{0});
  for (auto left = static_cast<std::uint32_t>(order_.size()); left > 1; --left) {
    const std::uint32_t word = base::random_word(seed_, stream_of(Draw::kOrder, epoch_), left - 1);
    std::swap(order_[left - 1], order_[below(left, word)]);
  }
}

std::uint32_t TrainingOrder::draw(std::uint64_t index, std::uint32_t bound) const {
  return below(bound, base::random_word(seed_, stream_of(Draw::kAugmentation, epoch_), index));
}

MemoryDataset::MemoryDataset(std::string name, ImageSets sets, Augmentation augmentation)
    : name_(std::move(name)),
      sets_(std::move(sets)),
      augmentation_(augmentation),
      normalization_(normalization_of(sets_.train)) {
  assert(sets_.train.shape == sets_.test.shape);
}

std::uint64_t MemoryDataset::fingerprint() const {
  base::Hash hash;
  for (const ImageSet* const set : {&sets_.train, &sets_.test}) {
    for (const std::vector<std::uint8_t>* const bytes : {&set->pixels, &set->labels}) {
      hash.add({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
    }
  }
  return hash.value();
}

Placement MemoryDataset::placement(const TrainingOrder& order, std::size_t position) const {
  const auto offsets = static_cast<std::uint32_t>(2 * augmentation_.padding + 1);
  return {.image = order.image(position),
          .dy = static_cast<std::int32_t>(order.draw(position * 4, offsets)) - augmentation_.padding,
          .dx = static_cast<std::int32_t>(order.draw(position * 4 + 1, offsets)) - augmentation_.padding,
          .mirrored = augmentation_.mirrors && order.draw(position * 4 + 2, 2) == 1};
}

void MemoryDataset::append_image(const ImageSet& set, const Placement& placement, Batch& batch) const {
  const std::size_t index = placement.image;
  const auto side = static_cast<int>(set.shape.side);
  batch.labels.push_back(set.labels[index]);
  for (std::size_t channel = 0; channel < set.shape.channels; ++channel) {
    const std::uint8_t* const plane = set.pixels.data() + index * set.shape.image() + channel * set.shape.plane();
    const float scale = normalization_.scale(channel);
    const float offset = normalization_.offset(channel);
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        const int from_y = y + placement.dy;
        const int from_x = (placement.mirrored ? side - 1 - x : x) + placement.dx;
        const bool inside = from_y >= 0 && from_y < side && from_x >= 0 && from_x < side;
        batch.images.push_back(inside ? static_cast<float>(plane[from_y * side + from_x]) * scale - offset : 0.0F);
      }
    }
  }
}

Batch MemoryDataset::training_batch(const TrainingOrder& order, std::size_t first, std::size_t count) const {
  assert(first + count <= train_size());
  Batch result;
  result.images.reserve(count * shape().image());
  result.labels.reserve(count);
  for (std::size_t position = first; position < first + count; ++position) {
    append_image(sets_.train, placement(order, position), result);
  }
  return result;
}

Batch MemoryDataset::test_batch(std::size_t first, std::size_t count) const {
  assert(first + count <= test_size());
  Batch result;
  result.images.reserve(count * shape().image());
  result.labels.reserve(count);
  for (std::size_t index = first; index < first + count; ++index) {
    append_image(sets_.test, {.image = static_cast<std::uint32_t>(index)}, result);
  }
  return result;
}

}  // namespace mlsim::trainer
