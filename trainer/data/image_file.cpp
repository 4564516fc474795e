#include "trainer/data/image_file.h"

#include <fmt/format.h>
#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "base/input_file.h"

namespace mlsim::trainer {
namespace {

constexpr std::size_t kColors = 3;

// Deflate makes at most 1,032 bytes of one, and a pixel of a PNG file takes a bit or more.
constexpr std::uint64_t kMostPixelsOfAByte = 8 * 1032;

constexpr const char* kExpected = "a whole JPEG or PNG image";

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& why) {
  throw std::runtime_error(fmt::format("{}: {}, expected {}", file.string(), why, kExpected));
}

// Before anything is allocated for the pixels.
void check_size(const std::filesystem::path& file, std::uint64_t width, std::uint64_t height) {
  if (width * height > kMostPixels) {
    throw std::runtime_error(fmt::format("{}: is {}×{} pixels, {} in all, expected at most {}", file.string(), width,
                                         height, width * height, kMostPixels));
  }
}

RgbImage decode_png(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  RgbImage image;
  if (png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()) == 0) refuse(file, png.message);
  // Its memory goes whatever is thrown.
  const std::unique_ptr<png_image, void (*)(png_image*)> owner(&png, png_image_free);
  check_size(file, png.width, png.height);
  if (std::uint64_t{png.width} * png.height > kMostPixelsOfAByte * bytes.size()) {
    refuse(file, fmt::format("is cut off, {} bytes cannot hold {}×{} pixels", bytes.size(), png.width, png.height));
  }
  png.format = PNG_FORMAT_RGB;
  image.width = png.width;
  image.height = png.height;
  image.pixels.resize(PNG_IMAGE_SIZE(png));
  // What is transparent becomes black.
  const png_color black{};
  if (png_image_finish_read(&png, &black, image.pixels.data(), 0, nullptr) == 0) refuse(file, png.message);
  return image;
}

RgbImage decode_jpeg(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes) {
  const std::unique_ptr<std::remove_pointer_t<tjhandle>, int (*)(tjhandle)> decoder(tjInitDecompress(), tjDestroy);
  if (decoder == nullptr) refuse(file, "no JPEG decoder could be made");
  const auto size = static_cast<unsigned long>(bytes.size());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colors = 0;
  if (tjDecompressHeader3(decoder.get(), bytes.data(), size, &width, &height, &subsampling, &colors) != 0) {
    refuse(file, tjGetErrorStr2(decoder.get()));
  }
  check_size(file, static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height));
  RgbImage image{static_cast<std::size_t>(width), static_cast<std::size_t>(height), {}};
  const bool inks = colors == TJCS_CMYK || colors == TJCS_YCCK;
  std::vector<std::uint8_t> pixels(image.width * image.height * (inks ? 4 : kColors));
  if (tjDecompress2(decoder.get(), bytes.data(), size, pixels.data(), width, 0, height, inks ? TJPF_CMYK : TJPF_RGB,
                    TJFLAG_ACCURATEDCT) != 0) {
    const std::string problem = tjGetErrorStr2(decoder.get());
    // Stray bytes between segments do no harm; missing data does.
    const bool harmless =
        tjGetErrorCode(decoder.get()) == TJERR_WARNING && problem.find("remature end") == std::string::npos;
    if (!harmless) refuse(file, problem);
  }
  if (!inks) {
    image.pixels = std::move(pixels);
    return image;
  }
  // Adobe stores inks inverted: 255 is no ink.
  image.pixels.reserve(image.width * image.height * kColors);
  for (std::size_t i = 0; i < pixels.size(); i += 4) {
    for (std::size_t color = 0; color < kColors; ++color) {
      image.pixels.push_back(static_cast<std::uint8_t>((pixels[i + color] * pixels[i + 3] + 127) / 255));
    }
  }
  return image;
}

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
