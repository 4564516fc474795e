#include "trainer/data/image_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <span>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/hash.h"
#include "base/input_file.h"
#include "base/parallel.h"
#include "base/text.h"

namespace mlsim::trainer {
namespace {

constexpr const char* kTrain = "train";
constexpr const char* kTest = "val";
constexpr Normalization kNormalization{{0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}};

// What a folder holds, links followed.
struct Found {
  std::string name;
  std::filesystem::file_type type;
};

// In the order of the names.
std::vector<Found> entries_of(const std::filesystem::path& folder) {
  std::error_code problem;
  std::vector<Found> entries;
  for (std::filesystem::directory_iterator entry(folder, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    std::error_code ignored;
    // No call for the type where the folder itself tells it.
    const bool regular = entry->is_regular_file(ignored);
    entries.push_back({entry->path().filename().string(),
                       regular ? std::filesystem::file_type::regular : entry->status(ignored).type()});
  }
  if (problem) {
    throw std::runtime_error(
        fmt::format("{}: cannot be opened ({}), expected a folder with a folder of images for "
                    "each class",
                    folder.string(), problem.message()));
  }
  std::ranges::sort(entries, {}, &Found::name);
  return entries;
}

bool is_image(const std::string& name) {
  const std::string extension = base::lower(std::filesystem::path(name).extension().string());
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

// As copies from other systems and notebooks leave them: ._1.png, .ipynb_checkpoints.
bool is_hidden(const std::string& name) {
  return name.starts_with('.');
}

std::string counted(std::size_t count, const std::string& one, const std::string& more) {
  return fmt::format("{} {}", count, count == 1 ? one : more);
}

Box middle(double width, double height, double part_width, double part_height) {
  return {(width - part_width) / 2, (height - part_height) / 2, part_width, part_height};
}

// Fills a batch by a function of each image's place in it that gives the label. Throws what the first image threw that
// cannot be made, whichever was tried first.
template <typename MakeImage>
Batch make_batch(const DataShape& shape, std::size_t count, const MakeImage& make_image) {
  Batch batch;
  batch.images.resize(count * shape.image());
  batch.labels.resize(count);
  base::side_by_side(count, [&](std::size_t i) {
    batch.labels[i] = make_image(i, std::span(batch.images).subspan(i * shape.image(), shape.image()));
  });
  return batch;
}

}  // namespace

RandomPart random_part(const TrainingOrder& order, std::size_t position, std::size_t width, std::size_t height) {
  constexpr std::uint64_t kAttempts = 10;
  constexpr std::uint64_t kWords = 4 * kAttempts + 4;
  const std::uint64_t first = position * kWords;
  // 0 to 1 in steps of 2^-24.
  const auto fraction = [&](std::uint64_t index) { return std::ldexp(order.draw(first + index, 1U << 24), -24); };
  const auto w = static_cast<double>(width);
  const auto h = static_cast<double>(height);
  const double most = std::log(4.0 / 3);
  RandomPart part{middle(w, h, std::min(w, h * 4 / 3), std::min(h, w * 4 / 3)), fraction(4 * kAttempts) < 0.5};
  for (std::uint64_t attempt = 0; attempt < kAttempts; ++attempt) {
    const double area = w * h * (0.08 + 0.92 * fraction(4 * attempt));
    const double ratio = std::exp(most * (2 * fraction(4 * attempt + 1) - 1));
    const double part_width = std::round(std::sqrt(area * ratio));
    const double part_height = std::round(std::sqrt(area / ratio));
    if (part_width < 1 || part_height < 1 || part_width > w || part_height > h) continue;
    const auto place = [&](std::uint64_t index, double room) {
      return static_cast<double>(order.draw(first + index, static_cast<std::uint32_t>(room) + 1));
    };
    part.box = {place(4 * attempt + 2, w - part_width), place(4 * attempt + 3, h - part_height), part_width,
                part_height};
    break;
  }
  return part;
}

ImageFolder::ImageFolder(const std::filesystem::path& folder, std::size_t side) : folder_(folder) {
  classes_ = folders_in(folder / kTrain);
  shape_ = {.channels = 3, .side = side, .classes = classes_.size()};
  if (classes_.size() < 2) {
    throw std::runtime_error(fmt::format("{}: has {} folders of classes, expected two or more",
                                         (folder / kTrain).string(), classes_.size()));
  }
  for (const std::string& name : folders_in(folder / kTest)) {
    if (!std::binary_search(classes_.begin(), classes_.end(), name)) {
      throw std::runtime_error(fmt::format("{}: is no class of {}, expected a folder of the same name there",
                                           (folder / kTest / name).string(), (folder / kTrain).string()));
    }
  }
  train_ = find_files(kTrain);
  test_ = find_files(kTest);
}

std::vector<std::string> ImageFolder::folders_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (Found& entry : entries_of(folder)) {
    if (is_hidden(entry.name)) {
      ++hidden_;
    } else if (entry.type == std::filesystem::file_type::directory) {
      names.push_back(std::move(entry.name));
    } else {
      ++others_;
    }
  }
  return names;
}

std::vector<ImageFolder::Entry> ImageFolder::find_files(const std::string& part) {
  std::vector<Entry> entries;
  for (std::size_t label = 0; label < classes_.size(); ++label) {
    const std::filesystem::path place = folder_ / part / classes_[label];
    const std::size_t before = entries.size();
    for (Found& found : entries_of(place)) {
      if (is_hidden(found.name)) {
        ++hidden_;
        continue;
      }
      if (!is_image(found.name) || found.type == std::filesystem::file_type::directory) {
        ++others_;
        continue;
      }
      if (found.type != std::filesystem::file_type::regular) {
        throw std::runtime_error(
            fmt::format("{}: is no regular file, expected an image", (place / found.name).string()));
      }
      entries.push_back({static_cast<std::uint32_t>(label), std::move(found.name)});
    }
    if (entries.size() == before) {
      throw std::runtime_error(fmt::format("{}: has no images, expected .jpg, .jpeg or .png files", place.string()));
    }
  }
  return entries;
}

std::vector<std::filesystem::path> ImageFolder::all_files() const {
  std::vector<std::filesystem::path> files;
  files.reserve(train_.size() + test_.size());
  for (const Entry& entry : train_) files.push_back(path_of(kTrain, entry));
  for (const Entry& entry : test_) files.push_back(path_of(kTest, entry));
  return files;
}

std::uint64_t ImageFolder::fingerprint() const {
  constexpr std::uint64_t kMostToRead = std::uint64_t{1} << 30;
  const std::vector<std::filesystem::path> files = all_files();
  std::vector<std::uint64_t> figures(files.size());
  base::side_by_side(files.size(),
                     [&](std::size_t i) { figures[i] = static_cast<std::uint64_t>(base::stamp_of(files[i]).size); });
  const bool read = std::accumulate(figures.begin(), figures.end(), std::uint64_t{0}) <= kMostToRead;
  if (read) {
    base::side_by_side(files.size(), [&](std::size_t i) {
      const std::vector<std::uint8_t> bytes = base::RegularFile(files[i], "an image").read_rest(kMostToRead);
      figures[i] = base::Hash().add({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).value();
    });
  }
  base::Hash hash;
  hash.add(read ? "contents" : "sizes");
  for (std::size_t i = 0; i < files.size(); ++i) {
    hash.add(files[i].lexically_relative(folder_).string()).add(std::to_string(figures[i]));
  }
  return hash.value();
}

std::vector<std::string> ImageFolder::damages() const {
  const std::vector<std::filesystem::path> files = all_files();
  std::vector<std::string> sentences(files.size());
  base::side_by_side(files.size(), [&](std::size_t i) {
    try {
      read_image(files[i]);
    } catch (const std::runtime_error& error) {
      sentences[i] = error.what();
    }
  });
  std::erase(sentences, "");
  return sentences;
}

std::string ImageFolder::findings() const {
  std::string sentence = fmt::format("{}: has {} of {} to train on and {} to test on", folder_.string(),
                                     counted(train_.size(), "image", "images"),
                                     counted(classes_.size(), "class", "classes"), test_.size());
  std::vector<std::string> passed_over;
  if (hidden_ > 0) passed_over.push_back(counted(hidden_, "hidden file or folder", "hidden files and folders"));
  if (others_ > 0) passed_over.push_back(counted(others_, "file of another kind", "files of other kinds"));
  if (!passed_over.empty()) sentence += fmt::format("; passed over: {}", fmt::join(passed_over, ", "));
  return sentence;
}

std::filesystem::path ImageFolder::path_of(const std::string& part, const Entry& entry) const {
  return folder_ / part / classes_[entry.label] / entry.file;
}

Batch ImageFolder::training_batch(const TrainingOrder& order, std::size_t first, std::size_t count) const {
  assert(first + count <= train_size());
  return make_batch(shape_, count, [&](std::size_t i, std::span<float> output) {
    const Entry& entry = train_[order.image(first + i)];
    const RgbImage image = read_image(path_of(kTrain, entry));
    const RandomPart part = random_part(order, first + i, image.width, image.height);
    resample(image, part.box, shape_.side, part.mirrored, kNormalization, output);
    return entry.label;
  });
}

Batch ImageFolder::test_batch(std::size_t first, std::size_t count) const {
  assert(first + count <= test_size());
  return make_batch(shape_, count, [&](std::size_t i, std::span<float> output) {
    const Entry& entry = test_[first + i];
    const RgbImage image = read_image(path_of(kTest, entry));
    const auto width = static_cast<double>(image.width);
    const auto height = static_cast<double>(image.height);
    const double part = std::min(width, height) * 224 / 256;
    resample(image, middle(width, height, part, part), shape_.side, false, kNormalization, output);
    return entry.label;
  });
}

}  // namespace mlsim::trainer
