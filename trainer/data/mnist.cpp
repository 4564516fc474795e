#include "trainer/data/mnist.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "base/input_file.h"

namespace mlsim::trainer {
namespace {

constexpr std::uint32_t kSide = 28;
constexpr DataShape kShape{.channels = 1, .side = kSide, .classes = 10};

// The bytes behind the header of an IDX file with `dimensions` dimensions, the first of which is told in `count` and
// the others are `kSide`.
std::vector<std::uint8_t> read_idx(const std::filesystem::path& file, std::uint32_t dimensions, std::size_t& count) {
  std::error_code ignored;
  const bool compressed =
      !std::filesystem::exists(file, ignored) && std::filesystem::exists(file.string() + ".gz", ignored);
  base::RegularFile input(file, std::string("a file of MNIST") + (compressed ? " (gunzip the .gz beside it)" : ""));
  const std::size_t header = 4 * (1 + std::size_t{dimensions});
  std::array<std::uint8_t, 16> beginning{};
  if (input.size() >= header) input.read(std::span(beginning).first(header));
  const auto word = [&](std::size_t index) {
    std::uint32_t value = 0;
    for (std::size_t i = 4 * index; i < 4 * index + 4; ++i) value = value << 8 | beginning[i];
    return value;
  };
  // Two zero bytes, the type (8: unsigned bytes), the number of dimensions.
  if (word(0) != (0x800U | dimensions)) {
    throw std::runtime_error(
        fmt::format("{}: does not begin as an IDX file of unsigned bytes in {} dimension{}, expected {:#010x}",
                    file.string(), dimensions, dimensions == 1 ? "" : "s", 0x800U | dimensions));
  }
  count = word(1);
  std::uint64_t expected = count;
  for (std::size_t dimension = 2; dimension <= dimensions; ++dimension) {
    if (word(dimension) != kSide) {
      throw std::runtime_error(fmt::format("{}: dimension {} is {}, expected images of {}×{} pixels", file.string(),
                                           dimension - 1, word(dimension), kSide, kSide));
    }
    expected *= kSide;
  }
  if (count == 0 || input.size() - header != expected) {
    throw std::runtime_error(fmt::format("{}: has {} bytes behind its header, expected {} for {} records",
                                         file.string(), input.size() - header, expected, count));
  }
  return input.read_rest();
}

ImageSet read_set(const std::filesystem::path& images, const std::filesystem::path& labels) {
  ImageSet set{.shape = kShape, .pixels = {}, .labels = {}};
  std::size_t image_count = 0;
  std::size_t label_count = 0;
  set.pixels = read_idx(images, 3, image_count);
  set.labels = read_idx(labels, 1, label_count);
  if (image_count != label_count) {
    throw std::runtime_error(
        fmt::format("{}: has {} labels, expected {} as there are images", labels.string(), label_count, image_count));
  }
  for (std::size_t i = 0; i < set.labels.size(); ++i) {
    if (set.labels[i] >= kShape.classes) {
      throw std::runtime_error(
          fmt::format("{}: the label of record {} is {}, expected 0 to 9", labels.string(), i, set.labels[i]));
    }
  }
  return set;
}

}  // namespace

ImageSets read_mnist(const std::filesystem::path& folder) {
  const auto& [train_images, train_labels, test_images, test_labels] = kMnistFiles;
  return {read_set(folder / train_images, folder / train_labels), read_set(folder / test_images, folder / test_labels)};
}

}  // namespace mlsim::trainer
