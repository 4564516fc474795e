#include "trainer/data/image_folder.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/odd_files.h"
#include "tests/trainer/written_images.h"

namespace mlsim::trainer {
namespace {

using test::error_of;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(ImageFolder, FindsClassesAndImages) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 3, 5, 2, 32);
  folder.write("train/class0/notes.txt", "no image");
  folder.write("train/labels.csv", "");
  folder.write("train/class0/._image1.jpg", "left by another system");
  folder.write("val/class1/.DS_Store", "");
  std::filesystem::create_directories(folder.path() / "val/.hidden");
  folder.write("val/.hidden/image0.jpg", "not a class");
  std::filesystem::create_directories(folder.path() / "train/.ipynb_checkpoints");
  std::filesystem::rename(folder.path() / "train/class0/image0.jpg", folder.path() / "train/class0/IMAGE.JPEG");
  const ImageFolder data(folder.path(), 16);
  EXPECT_EQ(data.name(), "images");
  EXPECT_EQ(data.shape(), (DataShape{.channels = 3, .side = 16, .classes = 3}));
  EXPECT_EQ(data.train_size(), 15U);
  EXPECT_EQ(data.test_size(), 6U);
  EXPECT_THAT(data.classes(), ElementsAre("class0", "class1", "class2"));
  EXPECT_EQ(data.findings(),
            folder.path().string() +
                ": has 15 images of 3 classes to train on and 6 to test on; passed over: 4 hidden files "
                "and folders, 2 files of other kinds");
  EXPECT_TRUE(data.damages().empty());
  EXPECT_EQ(data.in_memory(), nullptr);

  const Batch test = data.test_batch(1, 4);
  EXPECT_THAT(test.labels, ElementsAre(0, 1, 1, 2));
  EXPECT_EQ(test.images.size(), 4 * data.shape().image());
  const Batch train = data.training_batch(TrainingOrder(15, 1, 0), 0, 15);
  for (std::int64_t label = 0; label < 3; ++label) {
    EXPECT_EQ(std::count(train.labels.begin(), train.labels.end(), label), 5);
  }
}

TEST(ImageFolder, TakesRegularFilesAndLinksToThem) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 2, 2, 1, 32);
  const std::filesystem::path place = folder.path() / "train" / "class0";
  std::filesystem::create_symlink("image0.jpg", place / "link.jpg");
  std::filesystem::create_directory(place / "folder.jpg");
  test::make_pipe(place / "pipe.txt");
  test::make_pipe(folder.path() / "train" / "pipe.jpg");
  EXPECT_EQ(ImageFolder(folder.path(), 16).train_size(), 5U);

  const auto error = [&] { return error_of([&] { ImageFolder(folder.path(), 16); }); };
  std::filesystem::create_symlink("none.jpg", place / "nowhere.jpg");
  EXPECT_EQ(error(), (place / "nowhere.jpg").string() + ": is no regular file, expected an image");
  test::make_pipe(place / "a.png");
  EXPECT_EQ(error(), (place / "a.png").string() + ": is no regular file, expected an image");
}

TEST(ImageFolder, TellsOfTheFirstImageThatIsBroken) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 2, 1, 32, 32);
  const ImageFolder data(folder.path(), 16);
  // Of class 0 the last in the order of names; the first half of it takes longer to find broken than the others.
  std::vector<unsigned char> pixels(std::size_t{3} * 1000 * 1000);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<unsigned char>(i * i >> 7);
  const std::string image = test::jpeg_of(pixels, 1000, 1000);
  const auto first = folder.write("val/class0/image9.jpg", std::string_view(image).substr(0, image.size() / 2));
  for (int i = 0; i < 32; ++i) folder.write("val/class1/image" + std::to_string(i) + ".jpg", "no picture");
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(error_of([&] { data.test_batch(0, 64); }), testing::StartsWith(first.string() + ": "));
  }
}

TEST(ImageFolder, ListsEveryImageThatIsBroken) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 2, 4, 3, 32);
  const ImageFolder data(folder.path(), 16);
  EXPECT_TRUE(data.damages().empty());
  for (const char* const file : {"train/class0/image2.jpg", "train/class1/image0.jpg", "val/class1/image1.jpg"}) {
    folder.write(file, "no picture");
  }
  const std::vector<std::string> damages = data.damages();
  ASSERT_EQ(damages.size(), 3U);
  EXPECT_THAT(damages[0], HasSubstr("train/class0/image2.jpg: Not a JPEG file"));
  EXPECT_THAT(damages[1], HasSubstr("train/class1/image0.jpg: Not a JPEG file"));
  EXPECT_THAT(damages[2], HasSubstr("val/class1/image1.jpg: Not a JPEG file"));
}

TEST(ImageFolder, NormalizesByTheMeanAndDeviationOfImageNet) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 2, 1, 1, 32);
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 48 * 40; ++i) pixels.insert(pixels.end(), {50, 100, 200});
  folder.write("val/class1/image0.jpg", test::jpeg_of(pixels, 48, 40));
  const Batch batch = ImageFolder(folder.path(), 16).test_batch(1, 1);
  constexpr double kMean[] = {0.485, 0.456, 0.406};
  constexpr double kDeviation[] = {0.229, 0.224, 0.225};
  constexpr double kColors[] = {50, 100, 200};
  for (std::size_t color = 0; color < 3; ++color) {
    for (std::size_t i = 0; i < 256; ++i) {
      EXPECT_NEAR(batch.images[color * 256 + i], (kColors[color] / 255 - kMean[color]) / kDeviation[color], 0.04);
    }
  }
}

TEST(ImageFolder, EvaluatesOnTheMiddle) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 2, 1, 1, 32);
  // White in the middle 7/8 of the height (28 of 32) and as many columns of 64, black around.
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 64; ++x) {
      const bool inside = y >= 2 && y < 30 && x >= 18 && x < 46;
      pixels.insert(pixels.end(), 3, inside ? 255 : 0);
    }
  }
  folder.write("val/class0/image0.jpg", test::jpeg_of(pixels, 64, 32));
  const Batch batch = ImageFolder(folder.path(), 28).test_batch(0, 1);
  const float white = (1 - 0.485F) / 0.229F;
  for (std::size_t i = 0; i < 28 * 28; ++i) EXPECT_NEAR(batch.images[i], white, 0.25) << i;
}

TEST(ImageFolder, DependsOnSeedEpochAndPositionAlone) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 3, 8, 1, 32);
  const ImageFolder data(folder.path(), 16);
  const Batch all = data.training_batch(TrainingOrder(24, 5, 1), 0, 24);
  const Batch part = ImageFolder(folder.path(), 16).training_batch(TrainingOrder(24, 5, 1), 16, 8);
  const auto from = static_cast<std::ptrdiff_t>(16 * data.shape().image());
  EXPECT_TRUE(std::equal(part.images.begin(), part.images.end(), all.images.begin() + from));
  EXPECT_TRUE(std::equal(part.labels.begin(), part.labels.end(), all.labels.begin() + 16));
  EXPECT_NE(data.training_batch(TrainingOrder(24, 5, 2), 0, 24).images, all.images);
  EXPECT_NE(data.training_batch(TrainingOrder(24, 6, 1), 0, 24).images, all.images);
}

TEST(ImageFolder, TakesPartsOfAllSizesAndPlaces) {
  constexpr double kWidth = 500;
  constexpr double kHeight = 375;
  const TrainingOrder order(4000, 3, 0);
  double smallest = 1;
  double largest = 0;
  double narrowest = 2;
  double widest = 0;
  int mirrored = 0;
  for (std::size_t i = 0; i < 4000; ++i) {
    const RandomPart part = random_part(order, i, 500, 375);
    EXPECT_GE(part.box.left, 0);
    EXPECT_GE(part.box.top, 0);
    EXPECT_LE(part.box.left + part.box.width, kWidth);
    EXPECT_LE(part.box.top + part.box.height, kHeight);
    const double area = part.box.width * part.box.height / (kWidth * kHeight);
    const double ratio = part.box.width / part.box.height;
    smallest = std::min(smallest, area);
    largest = std::max(largest, area);
    narrowest = std::min(narrowest, ratio);
    widest = std::max(widest, ratio);
    mirrored += part.mirrored ? 1 : 0;
  }
  EXPECT_NEAR(smallest, 0.08, 0.005);
  EXPECT_NEAR(largest, 1, 0.02);
  EXPECT_NEAR(narrowest, 0.75, 0.01);
  EXPECT_NEAR(widest, 4.0 / 3, 0.02);
  EXPECT_NEAR(mirrored, 2000, 150);
}

TEST(ImageFolder, TakesTheMiddleOfALongImage) {
  const TrainingOrder order(50, 3, 0);
  for (std::size_t i = 0; i < 50; ++i) {
    const RandomPart part = random_part(order, i, 5000, 10);
    EXPECT_LE(part.box.width / part.box.height, 1.5);
    EXPECT_LE(part.box.height, 10);
  }
}

TEST(ImageFolder, RefusesAFolderThatDoesNotFit) {
  const TemporaryFolder folder;
  const auto error = [&] { return error_of([&] { ImageFolder(folder.path(), 16); }); };
  EXPECT_THAT(error(), HasSubstr((folder.path() / "train").string() + ": cannot be opened ("));
  std::filesystem::create_directories(folder.path() / "train" / "class0");
  EXPECT_EQ(error(), (folder.path() / "train").string() + ": has 1 folders of classes, expected two or more");
  test::write_image_folder(folder.path(), 2, 1, 1, 32);
  std::filesystem::create_directories(folder.path() / "val" / "other");
  EXPECT_EQ(error(), (folder.path() / "val" / "other").string() + ": is no class of " +
                         (folder.path() / "train").string() + ", expected a folder of the same name there");
  std::filesystem::remove(folder.path() / "val" / "other");
  std::filesystem::remove(folder.path() / "val" / "class1" / "image0.jpg");
  EXPECT_EQ(error(),
            (folder.path() / "val" / "class1").string() + ": has no images, expected .jpg, .jpeg or .png files");
  std::filesystem::remove_all(folder.path() / "val");
  EXPECT_THAT(error(), HasSubstr((folder.path() / "val").string() + ": cannot be opened ("));
}

}  // namespace
}  // namespace mlsim::trainer
