// The data sets that can be trained on, by name.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "trainer/data/batches.h"

namespace mlsim::trainer {

enum class DatasetKind : std::uint8_t {
  kCifar10,  // cifar10.h
  kMnist,    // mnist.h
  kImages,   // image_folder.h
};
inline constexpr std::array kDatasetKinds{DatasetKind::kCifar10, DatasetKind::kMnist, DatasetKind::kImages};

// cifar10, mnist, images.
std::string to_string(DatasetKind kind);
// Throws std::runtime_error that tells the names.
DatasetKind parse_dataset(const std::string& name);

// Reads or, for a folder of images, finds them; `side` is that of the images then and 0 for the others, who have their
// own. Throws std::runtime_error with the file or folder and what was expected.
std::unique_ptr<Dataset> open_dataset(DatasetKind kind, const std::filesystem::path& folder, std::size_t side);

// What open_dataset reads, but for images, which are the files of the folders train and val.
std::vector<std::filesystem::path> files_of(DatasetKind kind, const std::filesystem::path& folder);

}  // namespace mlsim::trainer
