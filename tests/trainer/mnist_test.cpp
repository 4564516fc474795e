#include "trainer/data/mnist.h"

#include <gmock/gmock.h>

#include <string>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/odd_files.h"
#include "tests/trainer/written_mnist.h"

namespace mlsim::trainer {
namespace {

using test::error_of;
using test::idx_labels;
using test::idx_word;
using test::TemporaryFolder;
using testing::ElementsAre;

// Images whose pixels are all the number of the image.
std::string images(std::uint32_t count) {
  std::string pixels;
  for (std::uint32_t i = 0; i < count; ++i) pixels += std::string(28 * 28, static_cast<char>(i));
  return test::idx_images(count, pixels);
}

void write_set(const TemporaryFolder& folder) {
  folder.write("train-images-idx3-ubyte", images(3));
  folder.write("train-labels-idx1-ubyte", idx_labels({7, 0, 9}));
  folder.write("t10k-images-idx3-ubyte", images(2));
  folder.write("t10k-labels-idx1-ubyte", idx_labels({1, 2}));
}

TEST(Mnist, ReadsImagesAndLabels) {
  const TemporaryFolder folder;
  write_set(folder);
  const ImageSets sets = read_mnist(folder.path());
  EXPECT_EQ(sets.train.shape, (DataShape{.channels = 1, .side = 28, .classes = 10}));
  EXPECT_EQ(sets.test.shape, sets.train.shape);
  EXPECT_THAT(sets.train.labels, ElementsAre(7, 0, 9));
  EXPECT_THAT(sets.test.labels, ElementsAre(1, 2));
  ASSERT_EQ(sets.train.pixels.size(), 3U * 28 * 28);
  EXPECT_EQ(sets.train.pixels[28 * 28 - 1], 0);
  EXPECT_EQ(sets.train.pixels[28 * 28], 1);
  EXPECT_EQ(sets.train.pixels.back(), 2);
}

TEST(Mnist, RefusesWhatIsNoSuchFile) {
  const TemporaryFolder folder;
  const auto error_with = [&](const std::string& name, const std::string& content) {
    write_set(folder);
    const std::string path = folder.write(name, content).string();
    const std::string error = error_of([&] { read_mnist(folder.path()); });
    EXPECT_TRUE(error.starts_with(path + ": ")) << error;
    return error.substr(std::min(path.size() + 2, error.size()));
  };
  const std::string name = "train-images-idx3-ubyte";
  EXPECT_EQ(error_with(name, "no images"),
            "does not begin as an IDX file of unsigned bytes in 3 dimensions, expected 0x00000803");
  EXPECT_EQ(error_with(name, idx_word(0x803)),
            "does not begin as an IDX file of unsigned bytes in 3 dimensions, expected 0x00000803");
  EXPECT_EQ(error_with(name, idx_labels({1, 2, 3})),
            "does not begin as an IDX file of unsigned bytes in 3 dimensions, expected 0x00000803");
  EXPECT_EQ(error_with(name, idx_word(0x803) + idx_word(1) + idx_word(28) + idx_word(32) + std::string(28 * 32, 'x')),
            "dimension 2 is 32, expected images of 28×28 pixels");
  EXPECT_EQ(error_with(name, images(3) + "x"), "has 2353 bytes behind its header, expected 2352 for 3 records");
  EXPECT_EQ(error_with(name, images(3).substr(0, 2000)),
            "has 1984 bytes behind its header, expected 2352 for 3 records");
  EXPECT_EQ(error_with(name, images(0)), "has 0 bytes behind its header, expected 0 for 0 records");
  EXPECT_EQ(error_with("t10k-labels-idx1-ubyte", idx_labels({1, 2, 3})),
            "has 3 labels, expected 2 as there are images");
  EXPECT_EQ(error_with("t10k-labels-idx1-ubyte", idx_labels({1, 10})), "the label of record 1 is 10, expected 0 to 9");
}

TEST(Mnist, RefusesAFolderInPlaceOfAFile) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "train-images-idx3-ubyte";
  std::filesystem::create_directory(file);
  EXPECT_EQ(error_of([&] { read_mnist(folder.path()); }), file.string() + ": is a folder, expected a file of MNIST");
}

TEST(Mnist, RefusesAPipeInPlaceOfAFile) {
  const TemporaryFolder folder;
  const auto file = test::make_pipe(folder.path() / "train-images-idx3-ubyte");
  EXPECT_EQ(error_of([&] { read_mnist(folder.path()); }),
            file.string() + ": is no regular file, expected a file of MNIST");
}

TEST(Mnist, ReadsNoMoreThanAHeaderOfAFileThatDoesNotFitIt) {
  const TemporaryFolder folder;
  write_set(folder);
  const auto file = folder.path() / "train-images-idx3-ubyte";
  std::filesystem::resize_file(file, std::uintmax_t{3} << 30);
  EXPECT_EQ(error_of([&] { read_mnist(folder.path()); }),
            file.string() + ": has 3221225456 bytes behind its header, expected 2352 for 3 records");
  EXPECT_LT(test::most_memory(), std::uint64_t{1} << 29);
}

TEST(Mnist, TellsOfCompressedFiles) {
  const TemporaryFolder folder;
  const std::string file = (folder.path() / "train-images-idx3-ubyte").string();
  EXPECT_EQ(error_of([&] { read_mnist(folder.path()); }), file + ": cannot be opened, expected a file of MNIST");
  folder.write("train-images-idx3-ubyte.gz", "");
  EXPECT_EQ(error_of([&] { read_mnist(folder.path()); }),
            file + ": cannot be opened, expected a file of MNIST (gunzip the .gz beside it)");
}

}  // namespace
}  // namespace mlsim::trainer
