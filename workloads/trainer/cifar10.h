// CIFAR-10 in its official binary form: records of one label byte and 3,072 pixel bytes, the red, green and blue planes
// of a 32×32 image in C order (Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and the data
// set's page, "binary version").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace mlsim::trainer {

inline constexpr int kClasses = 10;
inline constexpr std::size_t kImageChannels = 3;
inline constexpr std::size_t kImageSide = 32;
inline constexpr std::size_t kPlaneBytes = kImageSide * kImageSide;
inline constexpr std::size_t kImageBytes = kImageChannels * kPlaneBytes;
inline constexpr std::size_t kRecordBytes = 1 + kImageBytes;
inline constexpr std::size_t kRecordsPerFile = 10'000;

inline constexpr std::array<const char*, 5> kTrainFiles{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                                        "data_batch_4.bin", "data_batch_5.bin"};
inline constexpr const char* kTestFile = "test_batch.bin";

struct ImageSet {
  std::vector<std::uint8_t> pixels;  // kImageBytes for each image
  std::vector<std::uint8_t> labels;  // 0..9

  std::size_t size() const { return labels.size(); }
};

struct Cifar10 {
  ImageSet train;  // 50,000 images
  ImageSet test;   // 10,000 images
};

// Appends the records of one file. Throws std::runtime_error with the file and what was expected, for a file that is
// missing, that does not hold exactly `records` records, or that has a label above 9.
void append_records(const std::filesystem::path& file, std::size_t records, ImageSet& set);

// Reads the six files of a folder. Throws as append_records does.
Cifar10 read_cifar10(const std::filesystem::path& folder);

}  // namespace mlsim::trainer
