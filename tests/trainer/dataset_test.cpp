#include "trainer/data/dataset.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/written_images.h"
#include "tests/trainer/written_mnist.h"

namespace mlsim::trainer {
namespace {

using test::error_of;
using test::TemporaryFolder;

TEST(Dataset, HasNames) {
  for (const DatasetKind kind : kDatasetKinds) EXPECT_EQ(parse_dataset(to_string(kind)), kind);
  EXPECT_EQ(error_of([] { parse_dataset("svhn"); }),
            "data set 'svhn' is unknown, expected one of cifar10, mnist, images");
}

TEST(Dataset, OpensMnistWithoutMirroring) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 30, 20);
  const auto data = open_dataset(DatasetKind::kMnist, folder.path(), 0);
  EXPECT_EQ(data->name(), "mnist");
  EXPECT_EQ(data->shape(), (DataShape{.channels = 1, .side = 28, .classes = 10}));
  EXPECT_EQ(data->train_size(), 30U);
  EXPECT_EQ(data->test_size(), 20U);
  ASSERT_NE(data->in_memory(), nullptr);
  const TrainingOrder order(30, 1, 0);
  for (std::size_t i = 0; i < 30; ++i) {
    const Placement placement = data->in_memory()->placement(order, i);
    EXPECT_FALSE(placement.mirrored);
    EXPECT_LE(std::abs(placement.dx), 2);
    EXPECT_LE(std::abs(placement.dy), 2);
  }
}

TEST(Dataset, OpensAFolderOfImages) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 2, 3, 1, 32);
  const auto data = open_dataset(DatasetKind::kImages, folder.path(), 24);
  EXPECT_EQ(data->shape(), (DataShape{.channels = 3, .side = 24, .classes = 2}));
  EXPECT_EQ(data->train_size(), 6U);
}

TEST(Dataset, NamesWhatIsMissing) {
  const TemporaryFolder folder;
  for (const DatasetKind kind : kDatasetKinds) {
    EXPECT_THAT(error_of([&] { open_dataset(kind, folder.path() / "none", 24); }),
                testing::StartsWith((folder.path() / "none").string()));
  }
}

}  // namespace
}  // namespace mlsim::trainer
