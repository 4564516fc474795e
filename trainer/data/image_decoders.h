// What reads the pixels of image files, each with the values that Pillow's convert("RGB"), torchvision's loader of
// folders, gives: samples as they are stored, whatever a file says of its gamma or colours, and without transparency.
// Tested in tests/trainer/image_file_test.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/data/image_file.h"

namespace mlsim::trainer {

// 16-bit samples become their upper byte. That is Pillow's value for colours; of 16-bit gray Pillow cuts all above 255
// off, which leaves a white page (python-pillow/Pillow, issue 3011).
RgbImage decode_png(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes);

// Gray, colour, or CMYK inverted, as Adobe writes it. Whatever libjpeg warns of in the data of the pixels is damage;
// stray bytes between segments are none, nor is padding or a handful of bytes behind a scan.
RgbImage decode_jpeg(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes);

[[noreturn]] void refuse_image(const std::filesystem::path& file, const std::string& why);
// Throws where there are more than kMostPixels; called before anything is allocated for them.
void check_image_size(const std::filesystem::path& file, std::uint64_t width, std::uint64_t height);

}  // namespace mlsim::trainer
