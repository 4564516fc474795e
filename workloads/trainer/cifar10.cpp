#include "workloads/trainer/cifar10.h"

#include <fmt/format.h>

#include <fstream>
#include <stdexcept>
#include <system_error>

#include "base/output_file.h"

namespace mlsim::trainer {

void append_records(const std::filesystem::path& file, std::size_t records, ImageSet& set) {
  set.shape = kCifar10Shape;
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw std::runtime_error(fmt::format("{}: is a folder, expected a CIFAR-10 binary file", file.string()));
  }
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  if (!stream) {
    throw std::runtime_error(fmt::format(
        "{}: cannot be opened, expected a CIFAR-10 binary file (workloads/trainer/fetch-cifar10 makes them)",
        file.string()));
  }
  base::protect_input(file);
  const auto bytes = static_cast<std::size_t>(stream.tellg());
  if (bytes != records * kRecordBytes) {
    throw std::runtime_error(fmt::format("{}: has {} bytes, expected {} ({} records of {} bytes)", file.string(), bytes,
                                         records * kRecordBytes, records, kRecordBytes));
  }
  std::vector<char> content(bytes);
  stream.seekg(0);
  if (!stream.read(content.data(), static_cast<std::streamsize>(bytes))) {
    throw std::runtime_error(fmt::format("{}: cannot be read, expected {} bytes", file.string(), bytes));
  }
  set.labels.reserve(set.labels.size() + records);
  set.pixels.reserve(set.pixels.size() + records * kImageBytes);
  for (std::size_t record = 0; record < records; ++record) {
    const char* const bytes_of_record = content.data() + record * kRecordBytes;
    const auto label = static_cast<std::uint8_t>(bytes_of_record[0]);
    if (label >= kClasses) {
      throw std::runtime_error(fmt::format("{}: the label of record {} is {}, expected 0 to {}", file.string(), record,
                                           label, kClasses - 1));
    }
    set.labels.push_back(label);
    set.pixels.insert(set.pixels.end(), bytes_of_record + 1, bytes_of_record + kRecordBytes);
  }
}

ImageSets read_cifar10(const std::filesystem::path& folder) {
  ImageSets data;
  for (const char* const file : kTrainFiles) append_records(folder / file, kRecordsPerFile, data.train);
  append_records(folder / kTestFile, kRecordsPerFile, data.test);
  return data;
}

}  // namespace mlsim::trainer
