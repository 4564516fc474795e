#include "trainer/data/cifar10_conversion.h"

#include <gmock/gmock.h>
#include <png.h>

#include <random>
#include <string>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/odd_files.h"
#include "tests/trainer/png_header.h"

namespace mlsim::trainer {
namespace {

using test::error_of;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<std::uint8_t> random_bytes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

void write_png(const std::filesystem::path& file, unsigned width, unsigned height, unsigned format,
               const std::vector<std::uint8_t>& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  ASSERT_NE(png_image_write_to_file(&image, file.c_str(), 0, pixels.data(), 0, nullptr), 0) << image.message;
}

// A package of ten images a file, with labels 0 to 9 in each.
void write_package(const TemporaryFolder& folder) {
  std::string labels;
  for (int i = 0; i < 50; ++i) labels += (i == 0 ? "" : ",") + std::to_string(i % kClasses);
  folder.write("train_lables.json", "[" + labels + "]");
  folder.write("test_lables.json", "[9,8,7,6,5,4,3,2,1,0]");
  std::uint64_t seed = 1;
  for (const std::string name :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
    write_png(folder.path() / (name + ".png"), kPlaneBytes, 10, PNG_FORMAT_RGB, random_bytes(10 * kImageBytes, seed++));
  }
}

TEST(Cifar10Conversion, TurnsPixelsIntoPlanes) {
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> pixels = random_bytes(2 * kImageBytes, 7);
  write_png(folder.path() / "two.png", kPlaneBytes, 2, PNG_FORMAT_RGB, pixels);
  const std::vector<std::uint8_t> planes = read_png_rows(folder.path() / "two.png");
  ASSERT_EQ(planes.size(), pixels.size());
  for (std::size_t i = 0; i < planes.size(); ++i) {
    const std::size_t image = i / kImageBytes;
    const std::size_t channel = i % kImageBytes / kPlaneBytes;
    const std::size_t pixel = i % kPlaneBytes;
    ASSERT_EQ(planes[i], pixels[image * kImageBytes + pixel * kImageChannels + channel]) << i;
  }
}

TEST(Cifar10Conversion, WritesFilesThatAreReadBack) {
  const TemporaryFolder package;
  const TemporaryFolder out;
  write_package(package);
  convert_package(package.path(), out.path() / "new" / "folder", 10);
  ImageSet set;
  append_records(out.path() / "new" / "folder" / "test_batch.bin", 10, set);
  EXPECT_THAT(set.labels, ElementsAre(9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  EXPECT_EQ(set.pixels, read_png_rows(package.path() / "test_batch.png"));
  for (const char* const file : kTrainFiles) {
    ImageSet train;
    append_records(out.path() / "new" / "folder" / file, 10, train);
    EXPECT_THAT(train.labels, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
}

TEST(Cifar10Conversion, RefusesWhatIsNoSuchPng) {
  const TemporaryFolder folder;
  const auto text = folder.write("text.png", "no picture");
  EXPECT_THAT(error_of([&] { read_png_rows(text); }), StartsWith(text.string() + ": "));
  EXPECT_THAT(error_of([&] { read_png_rows(folder.path() / "missing.png"); }), HasSubstr("missing.png: "));

  write_png(folder.path() / "narrow.png", 32, 1, PNG_FORMAT_RGB, random_bytes(96, 1));
  EXPECT_THAT(error_of([&] { read_png_rows(folder.path() / "narrow.png"); }),
              HasSubstr("narrow.png: is 32 pixels wide, expected rows of 1024 RGB pixels"));
  write_png(folder.path() / "gray.png", kPlaneBytes, 1, PNG_FORMAT_GRAY, random_bytes(kPlaneBytes, 1));
  EXPECT_THAT(error_of([&] { read_png_rows(folder.path() / "gray.png"); }),
              HasSubstr("not of 8-bit RGB pixels, expected rows of 1024 RGB pixels"));

  const auto high = folder.write("high.png", test::png_header(kPlaneBytes, 900'000));
  EXPECT_EQ(error_of([&] { read_png_rows(high); }), high.string() + ": has 900000 images, expected at most 10000");
  EXPECT_LT(test::most_memory(), std::uint64_t{1} << 29);
  const auto pipe = test::make_pipe(folder.path() / "pipe.png");
  EXPECT_EQ(error_of([&] { read_png_rows(pipe); }), pipe.string() + ": is no regular file, expected a PNG file");
  EXPECT_EQ(error_of([&] { read_labels(pipe); }), pipe.string() + ": is no regular file, expected a list of labels");

  write_png(folder.path() / "whole.png", kPlaneBytes, 4, PNG_FORMAT_RGB, random_bytes(4 * kImageBytes, 1));
  const auto cut = folder.write("cut.png", folder.read("whole.png").substr(0, 5000));
  EXPECT_THAT(error_of([&] { read_png_rows(cut); }), StartsWith(cut.string() + ": "));
}

TEST(Cifar10Conversion, RefusesLabels) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { read_labels(folder.path() / "none.json"); }), HasSubstr("none.json: cannot be opened"));
  EXPECT_THAT(error_of([&] { read_labels(folder.write("broken.json", "[1, 2")); }),
              HasSubstr("broken.json: line 1, column 6: is no JSON: "));
  EXPECT_THAT(error_of([&] { read_labels(folder.write("object.json", "{}")); }),
              HasSubstr("object.json: is not a JSON array of labels"));
  // Enough to exhaust the stack of what would print it.
  const std::string nest = std::string(1 << 20, '[') + std::string(1 << 20, ']');
  EXPECT_THAT(error_of([&] { read_labels(folder.write("nest.json", nest)); }),
              HasSubstr("nest.json: is nested deeper than 64 levels"));
  for (const char* const label : {"10", "-1", "1.5", "\"1\"", "18446744073709551615"}) {
    EXPECT_THAT(error_of([&] { read_labels(folder.write("odd.json", std::string("[0, ") + label + "]")); }),
                HasSubstr("the label at index 1 is " + std::string(label) + ", expected a whole number from 0 to 9"));
  }
}

TEST(Cifar10Conversion, RefusesAPackageThatDoesNotFit) {
  const TemporaryFolder package;
  const TemporaryFolder out;
  write_package(package);
  EXPECT_THAT(error_of([&] { convert_package(package.path(), out.path(), 20); }),
              HasSubstr("train_lables.json: has 50 labels, expected 100"));
  package.write("test_lables.json", "[0,1,2,3,4,5,6,7,8,8]");
  EXPECT_THAT(error_of([&] { convert_package(package.path(), out.path(), 10); }),
              HasSubstr("test_lables.json: class 8 has 2 images of 10, expected a tenth"));
  write_package(package);
  write_png(package.path() / "data_batch_3.png", kPlaneBytes, 9, PNG_FORMAT_RGB, random_bytes(9 * kImageBytes, 1));
  EXPECT_THAT(error_of([&] { convert_package(package.path(), out.path(), 10); }),
              HasSubstr("data_batch_3.png: has 9 images, expected 10"));
}

}  // namespace
}  // namespace mlsim::trainer
