#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <span>

#include "trainer/data/image_decoders.h"

namespace mlsim::trainer {
namespace {

// Deflate makes at most 1,032 bytes of one, and a pixel of a PNG file takes a bit or more.
constexpr std::uint64_t kMostPixelsOfAByte = 8 * 1032;

class PngReader {
 public:
  explicit PngReader(std::span<const std::uint8_t> bytes) : left_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, fail, ignore);
    if (png_ == nullptr) return;
    info_ = png_create_info_struct(png_);
    png_set_read_fn(png_, this, read);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  PngReader(PngReader&&) = delete;
  PngReader& operator=(PngReader&&) = delete;

  bool is_ready() const { return info_ != nullptr; }
  const char* message() const { return message_.data(); }
  std::uint32_t width() const { return png_get_image_width(png_, info_); }
  std::uint32_t height() const { return png_get_image_height(png_, info_); }

  bool read_header() {
    return guarded([&] { png_read_info(png_, info_); });
  }

  // Rows of 3 bytes a pixel.
  bool read_pixels(std::vector<std::uint8_t>& pixels, std::vector<png_bytep>& rows) {
    return guarded([&] {
      const png_byte type = png_get_color_type(png_, info_);
      if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
      if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png_);
      if ((type & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png_);
      png_set_strip_16(png_);
      png_set_strip_alpha(png_);
      png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
      if (png_get_rowbytes(png_, info_) != pixels.size() / rows.size()) png_error(png_, "is of a kind that is unknown");
      png_read_image(png_, rows.data());
    });
  }

 private:
  // libpng leaves by longjmp; what it leaves behind has no destructor.
  template <typename Step>
  bool guarded(const Step& step) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;  // NOLINT(cert-err52-cpp): libpng's way
    step();
    return true;
  }

  static PngReader& of(png_voidp reader) { return *static_cast<PngReader*>(reader); }

  [[noreturn]] static void fail(png_structp png, png_const_charp message) {
    std::array<char, 200>& kept = of(png_get_error_ptr(png)).message_;
    std::size_t i = 0;
    for (; message[i] != '\0' && i + 1 < kept.size(); ++i) kept[i] = message[i];
    kept[i] = '\0';
    png_longjmp(png, 1);
  }
  static void ignore(png_structp /*png*/, png_const_charp /*warning*/) {}
  static void read(png_structp png, png_bytep data, std::size_t size) {
    std::span<const std::uint8_t>& left = of(png_get_io_ptr(png)).left_;
    if (size > left.size()) png_error(png, "is cut off");
    std::copy_n(left.begin(), size, data);
    left = left.subspan(size);
  }

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::span<const std::uint8_t> left_;
  std::array<char, 200> message_{};
};

}  // namespace

RgbImage decode_png(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes) {
  PngReader reader(bytes);
  if (!reader.is_ready()) refuse_image(file, "no PNG decoder could be made");
  if (!reader.read_header()) refuse_image(file, reader.message());
  const std::uint64_t width = reader.width();
  const std::uint64_t height = reader.height();
  check_image_size(file, width, height);
  if (width * height > kMostPixelsOfAByte * bytes.size()) {
    refuse_image(file, fmt::format("is cut off, {} bytes cannot hold {}×{} pixels", bytes.size(), width, height));
  }
  RgbImage image{width, height, std::vector<std::uint8_t>(3 * width * height)};
  std::vector<png_bytep> rows(height);
  for (std::size_t y = 0; y < height; ++y) rows[y] = image.pixels.data() + 3 * width * y;
  if (!reader.read_pixels(image.pixels, rows)) refuse_image(file, reader.message());
  return image;
}

}  // namespace mlsim::trainer
