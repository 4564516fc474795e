#include "trainer/data/mnist.h"

#include <algorithm>

#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {

// The first two bytes tell where images end and labels begin. Training and test have the same files.
void read_mnist(std::string_view bytes) {
  if (bytes.size() < 2) return;
  const auto byte = [&](std::size_t index) { return std::size_t{static_cast<unsigned char>(bytes[index])}; };
  const std::string_view files = bytes.substr(2);
  const std::size_t end = std::min(byte(0) << 8 | byte(1), files.size());
  const auto& [train_images, train_labels, test_images, test_labels] = trainer::kMnistFiles;
  for (const char* const name : {train_images, test_images}) file_of(name, files.substr(0, end));
  for (const char* const name : {train_labels, test_labels}) file_of(name, files.substr(end));
  const trainer::ImageSets sets = trainer::read_mnist(scratch_folder());
  require(sets.train.pixels == sets.test.pixels && sets.train.labels == sets.test.labels, "one file is read as two");
  require(sets.train.pixels.size() == sets.train.size() * sets.train.shape.image(), "pixels or labels are missing");
}

}  // namespace mlsim::fuzz
