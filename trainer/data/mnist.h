// MNIST and the sets in its format (LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
// recognition", 1998, and the data set's page, "File formats"): IDX files of 28×28 gray images and of labels 0 to 9.
#pragma once

#include <array>
#include <filesystem>

#include "trainer/data/images.h"

namespace mlsim::trainer {

// Images and labels of training, of the test.
inline constexpr std::array<const char*, 4> kMnistFiles{"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                                        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

// Reads the four files, which are not compressed. Throws std::runtime_error with the file and what was expected, for a
// file that is missing, that is no IDX file of unsigned bytes, whose images are not 28×28, whose size is not what its
// header tells, that has a label above 9, and for images and labels that differ in number.
ImageSets read_mnist(const std::filesystem::path& folder);

}  // namespace mlsim::trainer
