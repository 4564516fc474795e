// JPEG files of classes that a network can tell apart.
#pragma once

#include <turbojpeg.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace mlsim::test {

inline std::string jpeg_of(const std::vector<unsigned char>& pixels, int width, int height, int pixel_format = TJPF_RGB,
                           int subsampling = TJSAMP_444) {
  tjhandle encoder = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const int failed = tjCompress2(encoder, pixels.data(), width, 0, height, pixel_format, &bytes, &size, subsampling, 95,
                                 TJFLAG_ACCURATEDCT);
  std::string result(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(encoder);
  if (failed != 0) throw std::runtime_error("no JPEG was made");
  return result;
}

// FOLDER/train/classN/imageM.jpg and FOLDER/val/classN/imageM.jpg, of about side × side pixels.
inline void write_image_folder(const std::filesystem::path& folder, int classes, int train, int test, int side) {
  std::mt19937_64 random(1);
  for (const std::string part : {"train", "val"}) {
    for (int label = 0; label < classes; ++label) {
      const std::filesystem::path place = folder / part / ("class" + std::to_string(label));
      std::filesystem::create_directories(place);
      for (int image = 0; image < (part == "train" ? train : test); ++image) {
        const int width = side + image % 7;
        const int height = side - image % 5;
        std::vector<unsigned char> pixels(static_cast<std::size_t>(3 * width * height));
        for (unsigned char& pixel : pixels) pixel = static_cast<unsigned char>(60 * label + random() % 64);
        std::ofstream(place / ("image" + std::to_string(image) + ".jpg"), std::ios::binary)
            << jpeg_of(pixels, width, height);
      }
    }
  }
}

}  // namespace mlsim::test
