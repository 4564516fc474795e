#include "trainer/data/cifar10.h"

#include <algorithm>

#include "tests/fuzz/reader.h"
#include "trainer/data/cifar10_conversion.h"

namespace mlsim::fuzz {

void read_cifar10(std::string_view bytes) {
  const std::size_t records = std::max<std::size_t>(bytes.size() / trainer::kRecordBytes, 1);
  trainer::ImageSet set;
  trainer::append_records(file_of("batch.bin", bytes), records, set);
  require(set.size() == records && set.pixels.size() == records * set.shape.image(), "pixels or labels are missing");
}

void read_cifar10_rows(std::string_view bytes) {
  trainer::read_png_rows(file_of("batch.png", bytes));
}

void read_cifar10_labels(std::string_view bytes) {
  for (const std::uint8_t label : trainer::read_labels(file_of("labels.json", bytes))) {
    require(label < trainer::kClasses, "a label that no class has");
  }
}

}  // namespace mlsim::fuzz
