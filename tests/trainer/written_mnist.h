// Files in MNIST's format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

namespace mlsim::test {

inline std::string idx_word(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFF);
  return bytes;
}

// An IDX file of 28×28 images of which `pixels` has all bytes.
inline std::string idx_images(std::uint32_t count, const std::string& pixels) {
  return idx_word(0x803) + idx_word(count) + idx_word(28) + idx_word(28) + pixels;
}

inline std::string idx_labels(const std::string& values) {
  return idx_word(0x801) + idx_word(static_cast<std::uint32_t>(values.size())) + values;
}

// Images whose brightness tells the label.
inline void write_mnist(const std::filesystem::path& folder, std::uint32_t train, std::uint32_t test) {
  std::mt19937_64 random(1);
  for (const std::string name : {"train", "t10k"}) {
    const std::uint32_t count = name == "train" ? train : test;
    std::string labels;
    std::string pixels;
    for (std::uint32_t i = 0; i < count; ++i) {
      labels += static_cast<char>(i % 10);
      for (int pixel = 0; pixel < 28 * 28; ++pixel) pixels += static_cast<char>(20 * (i % 10) + random() % 64);
    }
    std::ofstream(folder / (name + "-images-idx3-ubyte"), std::ios::binary) << idx_images(count, pixels);
    std::ofstream(folder / (name + "-labels-idx1-ubyte"), std::ios::binary) << idx_labels(labels);
  }
}

}  // namespace mlsim::test
