// Images of any size from files, and the part of one at the size that a network takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "trainer/data/batches.h"

namespace mlsim::trainer {

inline constexpr std::size_t kColors = 3;

struct RgbImage {
  std::size_t width = 0;
  std::size_t height = 0;
  std::vector<std::uint8_t> pixels;  // height rows of width times red, green, blue
};

// Of an image that is read, and of its file.
inline constexpr std::uint64_t kMostPixels = std::uint64_t{1} << 26;
inline constexpr std::uint64_t kMostImageBytes = std::uint64_t{1} << 29;

// Decodes a JPEG file (gray, colour, or CMYK as Adobe writes it) or a PNG file, whatever it is called. Throws
// std::runtime_error with the file for one that cannot be read, is no regular file, is neither, is broken or cut off,
// or is larger than that.
RgbImage read_image(const std::filesystem::path& file);

// A part of an image; edges may lie between pixels.
struct Box {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;
};

// The box at side×side pixels, mirrored or not, normalized, as three planes: `output` has 3 · side · side elements.
// A pixel is the mean of the image around it under a triangle as wide as two pixels of the result, or of the image if
// those are wider.
void resample(const RgbImage& image, const Box& box, std::size_t side, bool mirrored,
              const Normalization& normalization, std::span<float> output);

}  // namespace mlsim::trainer
