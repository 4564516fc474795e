#include "trainer/data/cifar10_conversion.h"

#include <fmt/format.h>
#include <png.h>

#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>

#include "base/input_file.h"
#include "base/json.h"
#include "base/output_file.h"

namespace mlsim::trainer {
namespace {

// Of files of the package: many times as many as they have.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 28;
constexpr std::uint64_t kMostLabelBytes = std::uint64_t{1} << 24;

void check_balance(const std::filesystem::path& file, std::span<const std::uint8_t> labels) {
  std::array<std::size_t, kClasses> count{};
  for (const std::uint8_t label : labels) ++count[label];
  for (std::size_t label = 0; label < count.size(); ++label) {
    if (count[label] * kClasses != labels.size()) {
      throw std::runtime_error(fmt::format("{}: class {} has {} images of {}, expected a tenth", file.string(), label,
                                           count[label], labels.size()));
    }
  }
}

void write_records(const std::filesystem::path& path, std::span<const std::uint8_t> pixels,
                   std::span<const std::uint8_t> labels) {
  base::AtomicFile file(path);
  for (std::size_t record = 0; record < labels.size(); ++record) {
    file.stream().put(static_cast<char>(labels[record]));
    const std::span<const std::uint8_t> image = pixels.subspan(record * kImageBytes, kImageBytes);
    file.stream().write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
  }
  file.commit();
}

}  // namespace

std::vector<std::uint8_t> read_png_rows(const std::filesystem::path& file) {
  const std::vector<std::uint8_t> bytes = base::RegularFile(file, "a PNG file").read_rest(kMostBytes);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) {
    throw std::runtime_error(fmt::format("{}: {}, expected a PNG file", file.string(), image.message));
  }
  if (image.width != kPlaneBytes || image.format != PNG_FORMAT_RGB) {
    const std::string found = fmt::format("{} pixels wide{}", image.width,
                                          image.format == PNG_FORMAT_RGB ? "" : " and not of 8-bit RGB pixels");
    png_image_free(&image);
    throw std::runtime_error(
        fmt::format("{}: is {}, expected rows of {} RGB pixels", file.string(), found, kPlaneBytes));
  }
  if (image.height > kRecordsPerFile) {
    png_image_free(&image);
    throw std::runtime_error(
        fmt::format("{}: has {} images, expected at most {}", file.string(), image.height, kRecordsPerFile));
  }
  std::vector<std::uint8_t> rows(std::size_t{image.height} * kImageBytes);
  if (png_image_finish_read(&image, nullptr, rows.data(), 0, nullptr) == 0) {
    throw std::runtime_error(
        fmt::format("{}: {}, expected {} rows of pixels", file.string(), image.message, image.height));
  }
  std::vector<std::uint8_t> planes(rows.size());
  for (std::size_t start = 0; start < rows.size(); start += kImageBytes) {
    for (std::size_t pixel = 0; pixel < kPlaneBytes; ++pixel) {
      for (std::size_t channel = 0; channel < kImageChannels; ++channel) {
        planes[start + channel * kPlaneBytes + pixel] = rows[start + pixel * kImageChannels + channel];
      }
    }
  }
  return planes;
}

std::vector<std::uint8_t> read_labels(const std::filesystem::path& file) {
  const std::vector<std::uint8_t> bytes = base::RegularFile(file, "a list of labels").read_rest(kMostLabelBytes);
  const nlohmann::json json =
      base::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string());
  if (!json.is_array()) throw std::runtime_error(fmt::format("{}: is not a JSON array of labels", file.string()));
  std::vector<std::uint8_t> labels;
  labels.reserve(json.size());
  for (const nlohmann::json& entry : json) {
    if (!entry.is_number_unsigned() || entry.get<std::uint64_t>() >= kClasses) {
      throw std::runtime_error(fmt::format("{}: the label at index {} is {}, expected a whole number from 0 to {}",
                                           file.string(), labels.size(), base::shown(entry), kClasses - 1));
    }
    labels.push_back(entry.get<std::uint8_t>());
  }
  return labels;
}

void convert_package(const std::filesystem::path& package, const std::filesystem::path& folder, std::size_t records) {
  // The package spells its label files so.
  const std::filesystem::path train_labels = package / "train_lables.json";
  const std::filesystem::path test_labels = package / "test_lables.json";

  const auto read_set_labels = [&](const std::filesystem::path& file, std::size_t expected) {
    std::vector<std::uint8_t> labels = read_labels(file);
    if (labels.size() != expected) {
      throw std::runtime_error(fmt::format("{}: has {} labels, expected {}", file.string(), labels.size(), expected));
    }
    check_balance(file, labels);
    return labels;
  };
  const auto convert_file = [&](const std::string& binary_name, std::span<const std::uint8_t> labels) {
    const std::filesystem::path png = package / std::filesystem::path(binary_name).replace_extension(".png");
    const std::vector<std::uint8_t> pixels = read_png_rows(png);
    if (pixels.size() != labels.size() * kImageBytes) {
      throw std::runtime_error(
          fmt::format("{}: has {} images, expected {}", png.string(), pixels.size() / kImageBytes, labels.size()));
    }
    write_records(folder / binary_name, pixels, labels);
  };

  const std::vector<std::uint8_t> train = read_set_labels(train_labels, kTrainFiles.size() * records);
  const std::vector<std::uint8_t> test = read_set_labels(test_labels, records);
  base::create_directories(folder);
  for (std::size_t i = 0; i < kTrainFiles.size(); ++i) {
    convert_file(kTrainFiles[i], std::span(train).subspan(i * records, records));
  }
  convert_file(kTestFile, test);
}

}  // namespace mlsim::trainer
