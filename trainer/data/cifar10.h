// CIFAR-10 in its official binary form: records of one label byte and 3,072 pixel bytes, the red, green and blue planes
// of a 32×32 image in C order (Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and the data
// set's page, "binary version").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "trainer/data/images.h"

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

inline constexpr DataShape kCifar10Shape{.channels = kImageChannels, .side = kImageSide, .classes = kClasses};

// Appends the records of one file to a set, whose shape becomes that of CIFAR-10. Throws std::runtime_error with the
// file and what was expected, for a file that is missing, that does not hold exactly `records` records, or that has a
// label above 9.
void append_records(const std::filesystem::path& file, std::size_t records, ImageSet& set);

// Reads the six files of a folder: 50,000 and 10,000 images. Throws as append_records does.
ImageSets read_cifar10(const std::filesystem::path& folder);

}  // namespace mlsim::trainer
