#include "trainer/data/cifar10.h"

#include <gmock/gmock.h>

#include <string>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/odd_files.h"

namespace mlsim::trainer {
namespace {

using test::error_of;
using test::TemporaryFolder;
using testing::ElementsAre;

std::string record(char label, char fill) {
  return std::string(1, label) + std::string(kImageBytes, fill);
}

TEST(Cifar10, ReadsRecordsInOrder) {
  const TemporaryFolder folder;
  const auto file = folder.write("two.bin", record(3, 'a') + record(9, 'b'));
  ImageSet set;
  append_records(file, 2, set);
  append_records(file, 2, set);
  EXPECT_THAT(set.labels, ElementsAre(3, 9, 3, 9));
  EXPECT_EQ(set.shape, (DataShape{.channels = 3, .side = 32, .classes = 10}));
  ASSERT_EQ(set.pixels.size(), 4 * kImageBytes);
  EXPECT_EQ(set.pixels[0], 'a');
  EXPECT_EQ(set.pixels[kImageBytes], 'b');
  EXPECT_EQ(set.pixels.back(), 'b');
}

TEST(Cifar10, NamesAMissingFileAndWhatMakesIt) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { read_cifar10(folder.path()); }),
            (folder.path() / "data_batch_1.bin").string() +
                ": cannot be opened, expected a CIFAR-10 binary file (trainer/fetch-cifar10 makes them)");
}

TEST(Cifar10, RefusesAFolderInPlaceOfAFile) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "data_batch_1.bin";
  std::filesystem::create_directory(file);
  EXPECT_EQ(error_of([&] { read_cifar10(folder.path()); }),
            file.string() + ": is a folder, expected a CIFAR-10 binary file (trainer/fetch-cifar10 makes them)");
}

TEST(Cifar10, RefusesAPipeInPlaceOfAFile) {
  const TemporaryFolder folder;
  const auto file = test::make_pipe(folder.path() / "data_batch_1.bin");
  EXPECT_THAT(error_of([&] { read_cifar10(folder.path()); }),
              testing::StartsWith(file.string() + ": is no regular file, expected a CIFAR-10 binary file"));
}

TEST(Cifar10, RefusesATruncatedFile) {
  const TemporaryFolder folder;
  const auto file = folder.write("data_batch_1.bin", record(1, 'a').substr(1));
  EXPECT_EQ(error_of([&] { read_cifar10(folder.path()); }),
            file.string() + ": has 3072 bytes, expected 30730000 (10000 records of 3073 bytes)");
}

TEST(Cifar10, RefusesALabelOutOfRange) {
  const TemporaryFolder folder;
  const auto file = folder.write("two.bin", record(0, 'a') + record(10, 'b'));
  ImageSet set;
  EXPECT_EQ(error_of([&] { append_records(file, 2, set); }),
            file.string() + ": the label of record 1 is 10, expected 0 to 9");
}

}  // namespace
}  // namespace mlsim::trainer
