// A folder of images with a folder for each class, as ImageNet is usually laid out: FOLDER/train/CLASS/*.jpg and
// FOLDER/val/CLASS/*.jpg.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/data/batches.h"
#include "trainer/data/image_file.h"

namespace mlsim::trainer {

// Files are decoded anew for each batch, several at a time by oneTBB. Classes are numbered in the order of their names.
// In training, a part of 8 % to 100 % of the image's area with an aspect ratio of 3:4 to 4:3 is scaled to the side and
// mirrored or not at random (Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6). In evaluation,
// the shorter side is scaled to 256/224 of the side and the square in the middle is taken (He et al., CVPR 2016,
// section 3.4, at a side of 224). Channels are normalized by the mean (0.485, 0.456, 0.406) and the deviation (0.229,
// 0.224, 0.225) that torchvision documents for ImageNet ("Models and pre-trained weights").
class ImageFolder : public Dataset {
 public:
  // Finds the files; .jpg, .jpeg and .png are taken, in capitals too, links followed. What is hidden, its name
  // beginning with a dot, and files of other kinds are passed over and counted. Throws std::runtime_error that names a
  // folder that is missing or has no images, something of such a name that is neither a regular file nor a folder, and
  // a class of the test set that training does not have.
  ImageFolder(const std::filesystem::path& folder, std::size_t side);

  const std::string& name() const override { return name_; }
  const DataShape& shape() const override { return shape_; }
  std::size_t train_size() const override { return train_.size(); }
  std::size_t test_size() const override { return test_.size(); }
  // Throw std::runtime_error with the file for an image that cannot be decoded, the first of the batch.
  Batch training_batch(const TrainingOrder& order, std::size_t first, std::size_t count) const override;
  Batch test_batch(std::size_t first, std::size_t count) const override;

  // Of the content of all files together, or where they have more than 2^30 bytes of their sizes, and of their names.
  std::uint64_t fingerprint() const override;
  std::vector<std::string> damages() const override;

  const std::vector<std::string>& classes() const { return classes_; }
  // How many images and classes there are, and what was passed over, in a sentence.
  std::string findings() const;

 private:
  struct Entry {
    std::uint32_t label;
    std::string file;  // name in its class's folder
  };
  std::vector<std::string> folders_in(const std::filesystem::path& folder);
  std::vector<Entry> find_files(const std::string& part);
  // Of both parts, in order.
  std::vector<std::filesystem::path> all_files() const;
  std::filesystem::path path_of(const std::string& part, const Entry& entry) const;

  std::filesystem::path folder_;
  std::string name_ = "images";
  DataShape shape_;
  std::vector<std::string> classes_;
  std::vector<Entry> train_;
  std::vector<Entry> test_;
  std::size_t hidden_ = 0;  // passed over
  std::size_t others_ = 0;
};

// The part of a training image at a position of an epoch.
struct RandomPart {
  Box box;
  bool mirrored = false;
};
RandomPart random_part(const TrainingOrder& order, std::size_t position, std::size_t width, std::size_t height);

}  // namespace mlsim::trainer
