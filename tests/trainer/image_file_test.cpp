#include "trainer/data/image_file.h"

#include <gmock/gmock.h>
#include <png.h>

#include <cmath>
#include <random>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/odd_files.h"
#include "tests/trainer/png_header.h"
#include "tests/trainer/written_images.h"

namespace mlsim::trainer {
namespace {

using test::error_of;
using test::jpeg_of;
using test::TemporaryFolder;

// A pixel of the result is that of the image, 0 to 255.
constexpr Normalization kPlain{{0, 0, 0}, {1.0F / 255, 1.0F / 255, 1.0F / 255}};

// Smooth colours that JPEG keeps well.
std::vector<std::uint8_t> gradient(int width, int height) {
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      pixels.push_back(static_cast<std::uint8_t>(40 + 3 * x));
      pixels.push_back(static_cast<std::uint8_t>(20 + 4 * y));
      pixels.push_back(static_cast<std::uint8_t>(200 - 2 * x - y));
    }
  }
  return pixels;
}

void expect_near(const std::vector<std::uint8_t>& found, const std::vector<std::uint8_t>& expected, int tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], tolerance) << i;
}

TEST(ImageFile, DecodesColour) {
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> pixels = gradient(40, 30);
  const RgbImage image = read_image(folder.write("colour.jpg", jpeg_of(pixels, 40, 30)));
  EXPECT_EQ(image.width, 40U);
  EXPECT_EQ(image.height, 30U);
  expect_near(image.pixels, pixels, 4);
}

TEST(ImageFile, DecodesGrayAsThreeEqualPlanes) {
  const TemporaryFolder folder;
  std::vector<std::uint8_t> gray;
  for (int i = 0; i < 24 * 16; ++i) gray.push_back(static_cast<std::uint8_t>(100 + i % 24));
  const RgbImage image = read_image(folder.write("gray.jpg", jpeg_of(gray, 24, 16, TJPF_GRAY, TJSAMP_GRAY)));
  std::vector<std::uint8_t> expected;
  for (const std::uint8_t value : gray) expected.insert(expected.end(), 3, value);
  expect_near(image.pixels, expected, 3);
}

TEST(ImageFile, DecodesInksAsAdobeStoresThem) {
  const TemporaryFolder folder;
  // No black ink (255), then half of it: colours as they are, then half as bright.
  for (const int black : {255, 128}) {
    std::vector<std::uint8_t> inks;
    std::vector<std::uint8_t> expected;
    for (int i = 0; i < 16 * 16; ++i) {
      for (const int value : {200, 100, 50}) {
        inks.push_back(static_cast<std::uint8_t>(value));
        expected.push_back(static_cast<std::uint8_t>(value * black / 255));
      }
      inks.push_back(static_cast<std::uint8_t>(black));
    }
    expect_near(read_image(folder.write("inks.jpg", jpeg_of(inks, 16, 16, TJPF_CMYK))).pixels, expected, 3);
  }
}

TEST(ImageFile, DecodesPngWhateverItIsCalled) {
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> pixels = gradient(20, 10);
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = 20;
  png.height = 10;
  png.format = PNG_FORMAT_RGB;
  const std::filesystem::path file = folder.path() / "image.JPEG";
  ASSERT_NE(png_image_write_to_file(&png, file.c_str(), 0, pixels.data(), 0, nullptr), 0);
  EXPECT_EQ(read_image(file).pixels, pixels);
  const auto cut = folder.write("cut.png", folder.read("image.JPEG").substr(0, 60));
  EXPECT_THAT(error_of([&] { read_image(cut); }), testing::StartsWith(cut.string() + ": "));
}

TEST(ImageFile, RefusesWhatIsNoWholeImage) {
  const TemporaryFolder folder;
  const auto missing = folder.path() / "missing.jpg";
  EXPECT_EQ(error_of([&] { read_image(missing); }),
            missing.string() + ": cannot be opened, expected a whole JPEG or PNG image");
  const auto text = folder.write("text.jpg", "hello");
  EXPECT_EQ(error_of([&] { read_image(text); }),
            text.string() + ": Not a JPEG file: starts with 0x68 0x65, expected a whole JPEG or PNG image");
  const auto empty = folder.write("empty.jpg", "");
  EXPECT_THAT(error_of([&] { read_image(empty); }), testing::StartsWith(empty.string() + ": "));
  const std::string whole = jpeg_of(gradient(60, 40), 60, 40);
  for (const std::size_t part : {4, 2}) {
    const auto cut = folder.write("cut.jpg", whole.substr(0, whole.size() - whole.size() / part));
    EXPECT_THAT(error_of([&] { read_image(cut); }), testing::StartsWith(cut.string() + ": ")) << part;
  }
}

TEST(ImageFile, RefusesASizeBeforeMemoryIsTakenForIt) {
  const TemporaryFolder folder;
  const auto png = folder.write("large.png", test::png_header(65'000, 20'000));
  EXPECT_EQ(error_of([&] { read_image(png); }),
            png.string() + ": is 65000×20000 pixels, 1300000000 in all, expected at most 67108864");
  // As many as are allowed, but more than so few bytes can stand for.
  const auto empty = folder.write("empty.png", test::png_header(8192, 8192));
  EXPECT_EQ(error_of([&] { read_image(empty); }),
            empty.string() + ": is cut off, " + std::to_string(std::filesystem::file_size(empty)) +
                " bytes cannot hold 8192×8192 pixels, expected a whole JPEG or PNG image");

  std::string jpeg = jpeg_of(gradient(40, 30), 40, 30);
  const std::size_t frame = jpeg.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  // Height and width follow the segment's length and the precision.
  for (std::size_t i = frame + 5; i < frame + 9; i += 2) jpeg.replace(i, 2, "\xEA\x60");
  const auto large = folder.write("large.jpg", jpeg);
  EXPECT_EQ(error_of([&] { read_image(large); }),
            large.string() + ": is 60000×60000 pixels, 3600000000 in all, expected at most 67108864");

  const auto file = folder.write("file.jpg", "");
  std::filesystem::resize_file(file, kMostImageBytes + 1);
  EXPECT_EQ(error_of([&] { read_image(file); }),
            file.string() + ": has 536870913 bytes, more than 536870912, expected a whole JPEG or PNG image");
  EXPECT_LT(test::most_memory(), std::uint64_t{1} << 28);
}

TEST(ImageFile, RefusesWhatIsNoRegularFile) {
  const TemporaryFolder folder;
  const auto pipe = test::make_pipe(folder.path() / "pipe.jpg");
  for (const std::filesystem::path& file : {pipe, std::filesystem::path("/dev/zero")}) {
    EXPECT_EQ(error_of([&] { read_image(file); }),
              file.string() + ": is no regular file, expected a whole JPEG or PNG image");
  }
  EXPECT_EQ(error_of([&] { read_image(folder.path()); }),
            folder.path().string() + ": is a folder, expected a whole JPEG or PNG image");
}

std::vector<float> resampled(const RgbImage& image, const Box& box, std::size_t side, bool mirrored = false) {
  std::vector<float> output(3 * side * side);
  resample(image, box, side, mirrored, kPlain, output);
  return output;
}

TEST(Resample, KeepsPixelsAtTheirOwnSize) {
  const RgbImage image{12, 9, gradient(12, 9)};
  for (const bool mirrored : {false, true}) {
    const std::vector<float> output = resampled(image, {3, 2, 6, 6}, 6, mirrored);
    for (std::size_t color = 0; color < 3; ++color) {
      for (std::size_t y = 0; y < 6; ++y) {
        for (std::size_t x = 0; x < 6; ++x) {
          const std::size_t from = ((y + 2) * 12 + 3 + (mirrored ? 5 - x : x)) * 3 + color;
          EXPECT_NEAR(output[(color * 6 + y) * 6 + x], image.pixels[from], 1e-3) << color << " " << y << " " << x;
        }
      }
    }
  }
}

TEST(Resample, KeepsALinearSlopeAtAnySize) {
  // Away from the edges a triangle filter gives back a slope, whatever the size of the result.
  const RgbImage image{60, 50, gradient(60, 50)};
  for (const std::size_t side : {5, 13, 40}) {
    const Box box{10, 12, 33, 21};
    const std::vector<float> output = resampled(image, box, side);
    for (std::size_t y = 0; y < side; ++y) {
      for (std::size_t x = 0; x < side; ++x) {
        const double at_x = box.left + (static_cast<double>(x) + 0.5) * box.width / static_cast<double>(side) - 0.5;
        const double at_y = box.top + (static_cast<double>(y) + 0.5) * box.height / static_cast<double>(side) - 0.5;
        EXPECT_NEAR(output[y * side + x], 40 + 3 * at_x, 0.6);
        EXPECT_NEAR(output[(side + y) * side + x], 20 + 4 * at_y, 0.6);
      }
    }
  }
}

TEST(Resample, AveragesWhereItShrinks) {
  // A chess board becomes gray instead of a pattern.
  RgbImage image{64, 64, {}};
  for (std::size_t i = 0; i < 64 * 64; ++i) image.pixels.insert(image.pixels.end(), 3, (i / 64 + i) % 2 == 0 ? 255 : 0);
  for (const float value : resampled(image, {0, 0, 64, 64}, 8)) EXPECT_NEAR(value, 127.5, 1);
}

TEST(Resample, EnlargesASinglePixel) {
  const RgbImage image{1, 1, {10, 20, 30}};
  const std::vector<float> output = resampled(image, {0, 0, 1, 1}, 4);
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_NEAR(output[i], 10, 1e-4);
    EXPECT_NEAR(output[32 + i], 30, 1e-4);
  }
}

}  // namespace
}  // namespace mlsim::trainer
