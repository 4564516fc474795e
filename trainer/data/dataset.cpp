#include "trainer/data/dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cassert>
#include <stdexcept>
#include <vector>

#include "trainer/data/cifar10.h"
#include "trainer/data/image_folder.h"
#include "trainer/data/mnist.h"

namespace mlsim::trainer {

std::string to_string(DatasetKind kind) {
  switch (kind) {
    case DatasetKind::kCifar10:
      return "cifar10";
    case DatasetKind::kMnist:
      return "mnist";
    case DatasetKind::kImages:
      return "images";
  }
  assert(false);
  return {};
}

DatasetKind parse_dataset(const std::string& name) {
  std::vector<std::string> names;
  for (const DatasetKind kind : kDatasetKinds) {
    if (to_string(kind) == name) return kind;
    names.push_back(to_string(kind));
  }
  throw std::runtime_error(fmt::format("data set '{}' is unknown, expected one of {}", name, fmt::join(names, ", ")));
}

std::unique_ptr<Dataset> open_dataset(DatasetKind kind, const std::filesystem::path& folder, std::size_t side) {
  switch (kind) {
    case DatasetKind::kCifar10:
      return std::make_unique<MemoryDataset>(to_string(kind), read_cifar10(folder), Augmentation{4, true});
    case DatasetKind::kMnist:
      // A mirrored digit is none.
      return std::make_unique<MemoryDataset>(to_string(kind), read_mnist(folder), Augmentation{2, false});
    case DatasetKind::kImages:
      return std::make_unique<ImageFolder>(folder, side);
  }
  assert(false);
  return nullptr;
}

std::vector<std::filesystem::path> files_of(DatasetKind kind, const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  if (kind == DatasetKind::kCifar10) {
    for (const char* const file : kTrainFiles) files.push_back(folder / file);
    files.push_back(folder / kTestFile);
  } else if (kind == DatasetKind::kMnist) {
    for (const char* const file : kMnistFiles) files.push_back(folder / file);
  }
  return files;
}

}  // namespace mlsim::trainer
