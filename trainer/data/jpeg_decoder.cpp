// libjpeg's headers need it before them.
#include <cstdio>
// And these it.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <span>
#include <utility>

#include "trainer/data/image_decoders.h"

namespace mlsim::trainer {
namespace {

constexpr std::size_t kInks = 4;

class JpegReader {
 public:
  explicit JpegReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = fail;
    errors_.emit_message = take_message;
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  JpegReader(JpegReader&&) = delete;
  JpegReader& operator=(JpegReader&&) = delete;

  const char* message() const { return message_.data(); }
  std::size_t width() const { return info_.image_width; }
  std::size_t height() const { return info_.image_height; }
  bool has_inks() const { return info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK; }

  bool read_header() {
    return guarded([&] {
      jpeg_create_decompress(&info_);
      jpeg_mem_src(&info_, bytes_.data(), static_cast<unsigned long>(bytes_.size()));
      jpeg_read_header(&info_, TRUE);
    });
  }

  // Rows of red, green, blue or of four inks.
  bool read_pixels(std::vector<std::uint8_t>& pixels) {
    in_scan_ = true;
    return guarded([&] {
      info_.out_color_space = has_inks() ? JCS_CMYK : JCS_RGB;
      info_.dct_method = JDCT_ISLOW;
      jpeg_start_decompress(&info_);
      while (info_.output_scanline < info_.output_height) {
        JSAMPROW row = pixels.data() + pixels.size() / info_.output_height * info_.output_scanline;
        jpeg_read_scanlines(&info_, &row, 1);
      }
      jpeg_finish_decompress(&info_);
    });
  }

 private:
  // libjpeg is left by longjmp; what it leaves behind has no destructor.
  template <typename Step>
  bool guarded(const Step& step) {
    if (setjmp(jump_) != 0) return false;  // NOLINT(cert-err52-cpp): libjpeg's way
    step();
    return true;
  }

  [[noreturn]] static void fail(j_common_ptr info) {
    auto* const reader = static_cast<JpegReader*>(info->client_data);
    info->err->format_message(info, reader->message_.data());
    std::longjmp(reader->jump_, 1);  // NOLINT(cert-err52-cpp)
  }

  // Every warning from the first scan on ends decoding, but for stray bytes that do no harm.
  static void take_message(j_common_ptr info, int level) {
    const auto* const reader = static_cast<JpegReader*>(info->client_data);
    if (level >= 0 || !reader->in_scan_) return;
    const jpeg_error_mgr& error = *info->err;
    if (error.msg_code == JWRN_EXTRANEOUS_DATA && reader->is_harmless(error.msg_parm.i[0])) return;
    fail(info);
  }

  // Where decoding goes astray in a scan, much of it is left over. A few bytes, or padding, are what writers leave.
  bool is_harmless(int stray) const {
    constexpr int kFew = 16;
    if (stray <= kFew) return true;
    const JOCTET* const end = info_.src->next_input_byte;
    const JOCTET* const begin = end - std::min<std::ptrdiff_t>(stray, end - bytes_.data());
    return std::all_of(begin, end, [](JOCTET byte) { return byte == 0 || byte == 0xFF; });
  }

  std::span<const std::uint8_t> bytes_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  std::jmp_buf jump_{};
  std::array<char, JMSG_LENGTH_MAX> message_{};
  bool in_scan_ = false;
};

// Adobe stores inks inverted: 255 is no ink.
std::vector<std::uint8_t> colors_of(const std::vector<std::uint8_t>& inks) {
  std::vector<std::uint8_t> colors;
  colors.reserve(inks.size() / kInks * kColors);
  for (std::size_t i = 0; i < inks.size(); i += kInks) {
    for (std::size_t color = 0; color < kColors; ++color) {
      colors.push_back(static_cast<std::uint8_t>((inks[i + color] * inks[i + kColors] + 127) / 255));
    }
  }
  return colors;
}

}  // namespace

RgbImage decode_jpeg(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes) {
  JpegReader reader(bytes);
  if (!reader.read_header()) refuse_image(file, reader.message());
  check_image_size(file, reader.width(), reader.height());
  RgbImage image{reader.width(), reader.height(), {}};
  std::vector<std::uint8_t> pixels(image.width * image.height * (reader.has_inks() ? kInks : kColors));
  if (!reader.read_pixels(pixels)) refuse_image(file, reader.message());
  image.pixels = reader.has_inks() ? colors_of(pixels) : std::move(pixels);
  return image;
}

}  // namespace mlsim::trainer
