#include "trainer/data/image_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <stdexcept>
#include <string>

#include "base/input_file.h"
#include "trainer/data/image_decoders.h"

namespace mlsim::trainer {
namespace {

constexpr const char* kExpected = "a whole JPEG or PNG image";

// What the pixels first .. first + weights.size() - 1 of a line add to a pixel of the result.
struct Taps {
  std::size_t first = 0;
  std::vector<float> weights;
};

std::vector<Taps> taps_of(double start, double length, std::size_t pixels, std::size_t side) {
  const double scale = length / static_cast<double>(side);
  const double reach = std::max(scale, 1.0);
  std::vector<Taps> result(side);
  for (std::size_t i = 0; i < side; ++i) {
    const double center = start + (static_cast<double>(i) + 0.5) * scale;
    const double last = static_cast<double>(pixels) - 1;
    const auto from = static_cast<std::size_t>(std::clamp(std::ceil(center - reach - 0.5), 0.0, last));
    const auto to = static_cast<std::size_t>(std::clamp(std::floor(center + reach - 0.5), 0.0, last));
    result[i].first = from;
    double sum = 0;
    for (std::size_t j = from; j <= to; ++j) {
      sum += std::max(1 - std::abs(static_cast<double>(j) + 0.5 - center) / reach, 0.0);
    }
    for (std::size_t j = from; j <= to; ++j) {
      const double weight = std::max(1 - std::abs(static_cast<double>(j) + 0.5 - center) / reach, 0.0);
      result[i].weights.push_back(static_cast<float>(weight / sum));
    }
  }
  return result;
}

}  // namespace

void refuse_image(const std::filesystem::path& file, const std::string& why) {
  throw std::runtime_error(fmt::format("{}: {}, expected {}", file.string(), why, kExpected));
}

void check_image_size(const std::filesystem::path& file, std::uint64_t width, std::uint64_t height) {
  if (width * height > kMostPixels) {
    throw std::runtime_error(fmt::format("{}: is {}×{} pixels, {} in all, expected at most {}", file.string(), width,
                                         height, width * height, kMostPixels));
  }
}

RgbImage read_image(const std::filesystem::path& file) {
  const std::vector<std::uint8_t> bytes = base::RegularFile(file, kExpected).read_rest(kMostImageBytes);
  constexpr std::array<std::uint8_t, 8> kPngSignature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  const bool png =
      bytes.size() >= kPngSignature.size() && std::equal(kPngSignature.begin(), kPngSignature.end(), bytes.begin());
  return png ? decode_png(file, bytes) : decode_jpeg(file, bytes);
}

void resample(const RgbImage& image, const Box& box, std::size_t side, bool mirrored,
              const Normalization& normalization, std::span<float> output) {
  assert(output.size() == kColors * side * side);
  const std::vector<Taps> columns = taps_of(box.left, box.width, image.width, side);
  const std::vector<Taps> rows = taps_of(box.top, box.height, image.height, side);
  const std::size_t first_row = rows.front().first;
  const std::size_t row_count = rows.back().first + rows.back().weights.size() - first_row;
  // Each row that is needed, at the width of the result.
  std::vector<float> narrow(row_count * side * kColors);
  for (std::size_t row = 0; row < row_count; ++row) {
    const std::uint8_t* const line = image.pixels.data() + (first_row + row) * image.width * kColors;
    float* out = narrow.data() + row * side * kColors;
    for (const Taps& taps : columns) {
      std::array<float, kColors> sum{};
      const std::uint8_t* pixel = line + taps.first * kColors;
      for (const float weight : taps.weights) {
        for (std::size_t color = 0; color < kColors; ++color) sum[color] += weight * static_cast<float>(*pixel++);
      }
      out = std::copy(sum.begin(), sum.end(), out);
    }
  }
  std::vector<float> line(side * kColors);
  for (std::size_t y = 0; y < side; ++y) {
    std::fill(line.begin(), line.end(), 0.0F);
    const float* in = narrow.data() + (rows[y].first - first_row) * side * kColors;
    for (const float weight : rows[y].weights) {
      for (float& sum : line) sum += weight * *in++;
    }
    for (std::size_t color = 0; color < kColors; ++color) {
      const float scale = normalization.scale(color);
      const float offset = normalization.offset(color);
      float* const out = output.data() + (color * side + y) * side;
      for (std::size_t x = 0; x < side; ++x) {
        out[mirrored ? side - 1 - x : x] = line[x * kColors + color] * scale - offset;
      }
    }
  }
}

}  // namespace mlsim::trainer
