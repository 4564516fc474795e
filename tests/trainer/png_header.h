// The beginning of a PNG file.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>

namespace mlsim::test {

// Of 8-bit colours, with a first chunk of pixels that is empty.
inline std::string png_header(std::uint32_t width, std::uint32_t height) {
  const auto word = [](std::uint32_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFF);
    return bytes;
  };
  const auto chunk = [&](const std::string& type, const std::string& data) {
    const std::string content = type + data;
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
    return word(static_cast<std::uint32_t>(data.size())) + content + word(static_cast<std::uint32_t>(crc));
  };
  return "\x89PNG\r\n\x1A\n" + chunk("IHDR", word(width) + word(height) + std::string("\x08\x02\x00\x00\x00", 5)) +
         chunk("IDAT", {});
}

}  // namespace mlsim::test
