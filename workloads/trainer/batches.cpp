#include "workloads/trainer/batches.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <utility>

#include "models/philox.h"

namespace mlsim::trainer {
namespace {

constexpr int kPadding = 4;
constexpr auto kSide = static_cast<int>(kImageSide);

// Streams of random words that no quantizer uses: those have the training step in their upper half, far below 2^31.
enum class Draw : std::uint64_t { kOrder = 0, kAugmentation = 1 };

std::uint64_t stream_of(Draw draw, std::uint64_t epoch) {
  return std::uint64_t{1} << 63 | epoch << 1 | static_cast<std::uint64_t>(draw);
}

// A whole number in 0 .. bound - 1 from a random word.
std::uint32_t below(std::uint32_t bound, std::uint32_t word) {
  return static_cast<std::uint32_t>(std::uint64_t{word} * bound >> 32);
}

void append_image(const ImageSet& set, const Normalization& normalization, const Placement& placement, Batch& batch) {
  const std::size_t index = placement.image;
  batch.labels.push_back(set.labels[index]);
  for (std::size_t channel = 0; channel < kImageChannels; ++channel) {
    const std::uint8_t* const plane = set.pixels.data() + index * kImageBytes + channel * kPlaneBytes;
    const float scale = normalization.scale(channel);
    const float offset = normalization.offset(channel);
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const int from_y = y + placement.dy;
        const int from_x = (placement.mirrored ? kSide - 1 - x : x) + placement.dx;
        const bool inside = from_y >= 0 && from_y < kSide && from_x >= 0 && from_x < kSide;
        batch.images.push_back(inside ? static_cast<float>(plane[from_y * kSide + from_x]) * scale - offset : 0.0F);
      }
    }
  }
}

}  // namespace

Normalization normalization_of(const ImageSet& set) {
  Normalization result;
  const auto count = static_cast<double>(set.size() * kPlaneBytes);
  for (std::size_t channel = 0; channel < kImageChannels; ++channel) {
    std::uint64_t sum = 0;
    std::uint64_t squares = 0;
    for (std::size_t image = 0; image < set.size(); ++image) {
      const std::uint8_t* const plane = set.pixels.data() + image * kImageBytes + channel * kPlaneBytes;
      for (std::size_t i = 0; i < kPlaneBytes; ++i) {
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

TrainingOrder::TrainingOrder(const ImageSet& set, const Normalization& normalization, std::uint64_t seed,
                             std::uint64_t epoch)
    : set_(set), normalization_(normalization), seed_(seed), epoch_(epoch), order_(set.size()) {
  std::iota(order_.begin(), order_.end(), std::uint32_t{0});
  for (auto left = static_cast<std::uint32_t>(order_.size()); left > 1; --left) {
    const std::uint32_t word = models::random_word(seed_, stream_of(Draw::kOrder, epoch_), left - 1);
    std::swap(order_[left - 1], order_[below(left, word)]);
  }
}

Placement TrainingOrder::placement(std::size_t position) const {
  assert(position < order_.size());
  constexpr std::uint32_t kOffsets = 2 * kPadding + 1;
  const auto draw = [&](std::size_t which) {
    return models::random_word(seed_, stream_of(Draw::kAugmentation, epoch_), position * 4 + which);
  };
  return {.image = order_[position],
          .dy = static_cast<std::int32_t>(below(kOffsets, draw(0))) - kPadding,
          .dx = static_cast<std::int32_t>(below(kOffsets, draw(1))) - kPadding,
          .mirrored = below(2, draw(2)) == 1};
}

Batch TrainingOrder::batch(std::size_t first, std::size_t count) const {
  assert(first + count <= order_.size());
  Batch result;
  result.images.reserve(count * kImageBytes);
  result.labels.reserve(count);
  for (std::size_t position = first; position < first + count; ++position) {
    append_image(set_, normalization_, placement(position), result);
  }
  return result;
}

Batch plain_batch(const ImageSet& set, const Normalization& normalization, std::size_t first, std::size_t count) {
  assert(first + count <= set.size());
  Batch result;
  result.images.reserve(count * kImageBytes);
  result.labels.reserve(count);
  for (std::size_t index = first; index < first + count; ++index) {
    append_image(set, normalization, {.image = static_cast<std::uint32_t>(index)}, result);
  }
  return result;
}

}  // namespace mlsim::trainer
