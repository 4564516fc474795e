#include <cstdint>
#include <vector>

#include "tests/fuzz/reader.h"
#include "trainer/data/image_decoders.h"

namespace mlsim::fuzz {
namespace {

template <typename Decoder>
void decode(const Decoder& decoder, std::string_view bytes) {
  const trainer::RgbImage image = decoder(kInput, std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
  require(image.pixels.size() == 3 * image.width * image.height && !image.pixels.empty(), "pixels are missing");
}

}  // namespace

void read_png(std::string_view bytes) {
  decode(trainer::decode_png, bytes);
}

void read_jpeg(std::string_view bytes) {
  decode(trainer::decode_jpeg, bytes);
}

}  // namespace mlsim::fuzz
