#include "trainer/data/image_file.h"

#include <gmock/gmock.h>
#include <png.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
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
using testing::HasSubstr;

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

struct PngKind {
  int color_type = PNG_COLOR_TYPE_RGB;
  int depth = 8;
  bool interlaced = false;
  std::function<void(png_structp, png_infop)> chunks = [](png_structp, png_infop) {};
};

// A PNG file of rows as the kind has them.
std::string png_of(const PngKind& kind, int width, std::vector<std::string> rows) {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &file,
      [](png_structp writer, png_bytep data, png_size_t size) {
        static_cast<std::string*>(png_get_io_ptr(writer))->append(reinterpret_cast<char*>(data), size);
      },
      [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(rows.size()), kind.depth,
               kind.color_type, kind.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  kind.chunks(png, info);
  png_write_info(png, info);
  std::vector<png_bytep> pointers;
  for (std::string& row : rows) pointers.push_back(reinterpret_cast<png_bytep>(row.data()));
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

// What torchvision's loader makes of them: the stored samples, 64 as 64.
TEST(ImageFile, TakesTheSamplesOfPngAsTheyAreStored) {
  const TemporaryFolder folder;
  const auto pixels_of = [&](const PngKind& kind, int width, const std::vector<std::string>& rows) {
    return read_image(folder.write("a.png", png_of(kind, width, rows))).pixels;
  };
  const std::string colors("\x40\x10\xF0\x00\x7F\xFF", 6);
  const std::vector<std::uint8_t> expected{64, 16, 240, 0, 127, 255};
  // Whatever the file says of gamma and colours.
  const auto chunks = std::to_array<std::function<void(png_structp, png_infop)>>(
      {[](png_structp, png_infop) {}, [](png_structp png, png_infop info) { png_set_gAMA(png, info, 1.0); },
       [](png_structp png, png_infop info) { png_set_gAMA(png, info, 0.45455); },
       [](png_structp png, png_infop info) { png_set_gAMA(png, info, 0.55); },
       [](png_structp png, png_infop info) { png_set_sRGB(png, info, 0); },
       [](png_structp png, png_infop info) {
         png_set_cHRM(png, info, 0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06);
       },
       // A background, and a transparent colour that is there.
       [](png_structp png, png_infop info) {
         png_color_16 color{};
         color.red = 64;
         color.green = 16;
         color.blue = 240;
         png_set_tRNS(png, info, nullptr, 0, &color);
         png_set_bKGD(png, info, &color);
       }});
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    for (const bool interlaced : {false, true}) {
      EXPECT_EQ(pixels_of({.interlaced = interlaced, .chunks = chunks[i]}, 2, {colors}), expected) << i;
      std::string wide;
      for (const char sample : colors) wide += {sample, '\xFF'};
      const PngKind deep{.depth = 16, .interlaced = interlaced, .chunks = chunks[i]};
      EXPECT_EQ(pixels_of(deep, 2, {wide}), expected) << i;
    }
  }
  // Alpha of 0, a half and 1 is left out.
  const std::vector<std::uint8_t> three{64, 64, 64, 64, 64, 64, 64, 64, 64};
  for (const auto& chunk : {chunks[0], chunks[1], chunks[3]}) {
    const PngKind rgba{.color_type = PNG_COLOR_TYPE_RGB_ALPHA, .chunks = chunk};
    EXPECT_EQ(pixels_of(rgba, 3, {std::string("@@@\0@@@\x80@@@\xFF", 12)}), three);
    const PngKind gray{.color_type = PNG_COLOR_TYPE_GRAY_ALPHA, .chunks = chunk};
    EXPECT_EQ(pixels_of(gray, 3, {std::string("@\0@\x80@\xFF", 6)}), three);
    const PngKind deep{.color_type = PNG_COLOR_TYPE_GRAY_ALPHA, .depth = 16, .chunks = chunk};
    EXPECT_EQ(pixels_of(deep, 3, {std::string("@@\0\0@@\x80\0@@\xFF\xFF", 12)}), three);
    const PngKind gray16{.color_type = PNG_COLOR_TYPE_GRAY, .depth = 16, .chunks = chunk};
    EXPECT_EQ(pixels_of(gray16, 3, {std::string("@@@\0@\xFF", 6)}), three);
  }
}

TEST(ImageFile, SpreadsNarrowGrayAndPalettes) {
  const TemporaryFolder folder;
  const auto pixels_of = [&](const PngKind& kind, int width, const std::string& row) {
    return read_image(folder.write("a.png", png_of(kind, width, {row}))).pixels;
  };
  const auto gray = [](const std::vector<std::uint8_t>& values) {
    std::vector<std::uint8_t> pixels;
    for (const std::uint8_t value : values) pixels.insert(pixels.end(), 3, value);
    return pixels;
  };
  EXPECT_EQ(pixels_of({.color_type = PNG_COLOR_TYPE_GRAY, .depth = 1}, 3, "\x40"), gray({0, 255, 0}));
  EXPECT_EQ(pixels_of({.color_type = PNG_COLOR_TYPE_GRAY, .depth = 2}, 4, "\x1B"), gray({0, 85, 170, 255}));
  EXPECT_EQ(pixels_of({.color_type = PNG_COLOR_TYPE_GRAY, .depth = 4}, 2, "\x4F"), gray({68, 255}));
  for (const int depth : {2, 8}) {
    const PngKind palette{
        .color_type = PNG_COLOR_TYPE_PALETTE, .depth = depth, .chunks = [](png_structp png, png_infop info) {
          const png_color colors[] = {{1, 2, 3}, {64, 5, 6}, {7, 8, 9}};
          png_set_PLTE(png, info, colors, 3);
          const png_byte alpha[] = {255, 0, 128};
          png_set_tRNS(png, info, alpha, 3, nullptr);
        }};
    EXPECT_EQ(pixels_of(palette, 3, depth == 2 ? std::string("\x18") : std::string("\0\x01\x02", 3)),
              (std::vector<std::uint8_t>{1, 2, 3, 64, 5, 6, 7, 8, 9}));
  }
}

// What libjpeg-turbo says of a file: its first warning or error, nothing for a sound one.
std::string first_complaint(const std::string& jpeg) {
  const tjhandle decoder = tjInitDecompress();
  int width = 0;
  int height = 0;
  int subsampling = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(jpeg.data());
  std::string complaint;
  std::vector<unsigned char> pixels(std::size_t{3} * 64 * 64);
  if (tjDecompressHeader2(decoder, const_cast<unsigned char*>(bytes), jpeg.size(), &width, &height, &subsampling) !=
          0 ||
      tjDecompress2(decoder, bytes, jpeg.size(), pixels.data(), width, 0, height, TJPF_RGB,
                    TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING) != 0) {
    complaint = tjGetErrorStr2(decoder);
  }
  tjDestroy(decoder);
  return complaint;
}

std::vector<unsigned char> noise(int width, int height) {
  std::mt19937 random(5);
  std::vector<unsigned char> pixels(static_cast<std::size_t>(3 * width * height));
  for (unsigned char& pixel : pixels) pixel = static_cast<unsigned char>(random());
  return pixels;
}

TEST(ImageFile, RefusesEveryDamageThatIsSeenInAScan) {
  const TemporaryFolder folder;
  const std::string whole = jpeg_of(noise(40, 32), 40, 32);
  const std::size_t scan = whole.find("\xFF\xDA") + 14;
  std::mt19937 random(7);
  int refused = 0;
  for (int trial = 0; trial < 400; ++trial) {
    std::string damaged = whole;
    const std::size_t place = scan + random() % (whole.size() - scan - 2);
    damaged[place] = static_cast<char>(random());
    const std::string complaint = first_complaint(damaged);
    const std::string error = error_of([&] { read_image(folder.write("a.jpg", damaged)); });
    if (complaint.empty()) {
      EXPECT_EQ(error, "nothing was thrown");
    } else if (int stray = 0;
               std::sscanf(complaint.c_str(), "Corrupt JPEG data: %d extraneous", &stray) != 1 || stray > 16) {
      EXPECT_THAT(error, HasSubstr("a.jpg: " + complaint + ", expected a whole JPEG or PNG image"));
      ++refused;
    }
  }
  EXPECT_GT(refused, 50);
}

TEST(ImageFile, PassesOverStrayBytesBeforeMarkers) {
  const TemporaryFolder folder;
  const std::string whole = jpeg_of(noise(40, 32), 40, 32);
  const std::vector<std::uint8_t> pixels = read_image(folder.write("a.jpg", whole)).pixels;
  for (const char* const marker : {"\xFF\xDB", "\xFF\xC4", "\xFF\xDA", "\xFF\xD9"}) {
    for (const std::string& stray : {std::string("\0", 1), std::string("\xFF\xFF"), std::string(1000, '\0'),
                                     std::string(marker[1] == '\xD9' ? 16 : 200, 'x')}) {
      std::string padded = whole;
      padded.insert(whole.rfind(marker), stray);
      EXPECT_EQ(read_image(folder.write("a.jpg", padded)).pixels, pixels);
    }
  }
  EXPECT_EQ(read_image(folder.write("a.jpg", whole + "behind the end")).pixels, pixels);
  const std::size_t end = whole.rfind("\xFF\xD9");
  EXPECT_THAT(
      error_of([&] { read_image(folder.write("a.jpg", std::string(whole).insert(end, std::string(40, 'x')))); }),
      testing::ContainsRegex("a.jpg: Corrupt JPEG data: [0-9]+ extraneous bytes before marker 0xd9"));

  // The same before a marker that restarts a scan.
  setenv("TJ_RESTART", "2B", 1);
  std::string restarted = jpeg_of(noise(40, 32), 40, 32);
  unsetenv("TJ_RESTART");
  EXPECT_EQ(read_image(folder.write("a.jpg", restarted)).pixels, pixels);
  const std::size_t scan = restarted.find("\xFF\xDA");
  restarted.insert(restarted.find("\xFF\xD1", scan), std::string(40, 'x'));
  EXPECT_THAT(error_of([&] { read_image(folder.write("a.jpg", restarted)); }),
              testing::ContainsRegex("a.jpg: Corrupt JPEG data: [0-9]+ extraneous bytes before marker 0xd1"));
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
  // The same frame as a progressive one.
  jpeg[frame + 1] = '\xC2';
  const auto progressive = folder.write("progressive.jpg", jpeg);
  EXPECT_THAT(error_of([&] { read_image(progressive); }), HasSubstr(": is 60000×60000 pixels, 3600000000 in all"));
  const auto square = folder.write("square.png", test::png_header(60'000, 60'000));
  EXPECT_EQ(error_of([&] { read_image(square); }),
            square.string() + ": is 60000×60000 pixels, 3600000000 in all, expected at most 67108864");

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
