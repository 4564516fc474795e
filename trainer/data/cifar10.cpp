#include "trainer/data/cifar10.h"

#include <fmt/format.h>

#include <span>
#include <stdexcept>

#include "base/input_file.h"

namespace mlsim::trainer {

void append_records(const std::filesystem::path& file, std::size_t records, ImageSet& set) {
  set.shape = kCifar10Shape;
  base::RegularFile input(file, "a CIFAR-10 binary file (trainer/fetch-cifar10 makes them)");
  if (input.size() != records * kRecordBytes) {
    throw std::runtime_error(fmt::format("{}: has {} bytes, expected {} ({} records of {} bytes)", file.string(),
                                         input.size(), records * kRecordBytes, records, kRecordBytes));
  }
  const std::vector<std::uint8_t> content = input.read_rest();
  set.labels.reserve(set.labels.size() + records);
  set.pixels.reserve(set.pixels.size() + records * kImageBytes);
  for (std::size_t record = 0; record < records; ++record) {
    const auto bytes = std::span(content).subspan(record * kRecordBytes, kRecordBytes);
    const std::uint8_t label = bytes[0];
    if (label >= kClasses) {
      throw std::runtime_error(fmt::format("{}: the label of record {} is {}, expected 0 to {}", file.string(), record,
                                           label, kClasses - 1));
    }
    set.labels.push_back(label);
    set.pixels.insert(set.pixels.end(), bytes.begin() + 1, bytes.end());
  }
}

ImageSets read_cifar10(const std::filesystem::path& folder) {
  ImageSets data;
  for (const char* const file : kTrainFiles) append_records(folder / file, kRecordsPerFile, data.train);
  append_records(folder / kTestFile, kRecordsPerFile, data.test);
  return data;
}

}  // namespace mlsim::trainer
