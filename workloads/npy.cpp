#include "workloads/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace mlsim::workloads {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are copied as they lie in memory");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::int64_t kLargestPipe = std::int64_t{1} << 34;

[[noreturn]] void refuse(const std::string& name, const std::string& reason) {
  base::refuse(name, "", reason);
}

struct Header {
  std::string descr;
  bool fortran_order = false;
  models::Shape shape;
};

// Reads the header: a Python dictionary with the keys descr, fortran_order and shape, each once.
class HeaderParser {
 public:
  HeaderParser(const std::string& name, std::string_view text) : name_(name), rest_(text) {}

  Header parse() {
    Header header;
    bool has_descr = false;
    bool has_order = false;
    bool has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !has_descr) {
        has_descr = true;
        skip_space();
        if (rest_.starts_with('[')) refuse(name_, "holds records of several fields, expected float32 ('<f4')");
        header.descr = quoted();
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        header.fortran_order = boolean();
      } else if (key == "shape" && !has_shape) {
        has_shape = true;
        header.shape = extents();
      } else {
        malformed("key '" + key + "' is repeated or none of descr, fortran_order, shape");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) malformed("something follows the dictionary");
    if (!has_descr || !has_order || !has_shape) malformed("descr, fortran_order or shape is missing");
    return header;
  }

 private:
  [[noreturn]] void malformed(const std::string& reason) const { refuse(name_, "has a malformed header: " + reason); }

  void skip_space() {
    const std::size_t first = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(std::min(first, rest_.size()));
  }

  bool accept(char wanted) {
    skip_space();
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) malformed(std::string("expected '") + wanted + "' at '" + next_text() + "'");
  }

  // What comes next, fit for a message.
  std::string next_text() const {
    std::string text(rest_.substr(0, 12));
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
  }

  std::string quoted() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_[0];
    const std::size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) malformed("expected a text in quotes at '" + next_text() + "'");
    std::string text(rest_.substr(1, end - 1));
    if (std::any_of(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; })) {
      malformed("a text has characters that cannot be printed");
    }
    rest_.remove_prefix(end + 1);
    return text;
  }

  bool boolean() {
    skip_space();
    for (const auto& [word, value] : {std::pair{std::string_view("True"), true}, {"False", false}}) {
      if (rest_.starts_with(word)) {
        rest_.remove_prefix(word.size());
        return value;
      }
    }
    malformed("fortran_order is neither True nor False");
  }

  models::Shape extents() {
    models::Shape shape;
    expect('(');
    while (!accept(')')) {
      shape.push_back(extent());
      if (!accept(',')) {
        // As in Python, (3) is a number and (3,) a tuple.
        if (shape.size() == 1) malformed("shape is no tuple");
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::int64_t extent() {
    skip_space();
    std::int64_t value = 0;
    std::size_t digits = 0;
    while (digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9') {
      const int digit = rest_[digits++] - '0';
      if (value > (std::numeric_limits<std::int64_t>::max() - digit) / 10) refuse(name_, "has an extent beyond 2^63");
      value = value * 10 + digit;
    }
    if (digits == 0) malformed("expected an extent of 0 or more at '" + next_text() + "'");
    if (digits < rest_.size() && (rest_[digits] == 'L' || rest_[digits] == 'l')) {
      refuse(name_, "has a shape in long integers, as Python 2 writes them (" +
                        std::string(rest_.substr(0, digits + 1)) + "), expected " + std::to_string(value));
    }
    rest_.remove_prefix(digits);
    return value;
  }

  const std::string& name_;
  std::string_view rest_;
};

// float64 for '<f8', and so on; empty for what has no such name.
std::string type_name(std::string_view descr) {
  if (descr.size() < 3) return {};
  const std::string_view width = descr.substr(2);
  if (width.size() > 2 || width.find_first_not_of("0123456789") != std::string_view::npos) return {};
  const std::string bits = std::to_string(8 * std::stoi(std::string(width)));
  switch (descr[1]) {
    case 'f':
      return "float" + bits;
    case 'i':
      return "int" + bits;
    case 'u':
      return "uint" + bits;
    case 'c':
      return "complex" + bits;
    case 'b':
      return "bool";
    default:
      return {};
  }
}

void check_type(const std::string& name, const std::string& descr) {
  // Little-endian is the machine's own order, too.
  for (const std::string_view own : {"<f4", "=f4", "|f4", "f4", "float32"}) {
    if (descr == own) return;
  }
  const std::string type = type_name(descr);
  const std::string found = (descr.starts_with('>') ? "big-endian " : "") + (type.empty() ? "the type" : type);
  refuse(name, "holds " + found + " ('" + descr + "'), expected little-endian float32 ('<f4')");
}

std::string read_bytes(base::Input& input, std::size_t count) {
  std::string bytes(count, '\0');
  bytes.resize(input.read(bytes.data(), count));
  return bytes;
}

std::string read_header_text(base::Input& input) {
  const std::string& name = input.name();
  const std::string start = read_bytes(input, kMagic.size() + 2);
  if (!start.starts_with(kMagic)) refuse(name, "is no .npy file");
  if (start.size() < kMagic.size() + 2) refuse(name, "ends inside its header");
  const int major = static_cast<unsigned char>(start[kMagic.size()]);
  const int minor = static_cast<unsigned char>(start[kMagic.size() + 1]);
  if (minor != 0 || major < 1 || major > 3) {
    refuse(name, "has the .npy format version " + std::to_string(major) + "." + std::to_string(minor) +
                     ", expected 1.0, 2.0 or 3.0");
  }
  const std::string length_bytes = read_bytes(input, major == 1 ? 2 : 4);
  if (length_bytes.size() != (major == 1 ? 2U : 4U)) refuse(name, "ends inside its header");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes.size(); ++i) {
    length |= std::size_t{static_cast<unsigned char>(length_bytes[i])} << (8 * i);
  }
  // No array of numbers needs as much; a wrong length must not ask for gigabytes.
  constexpr std::size_t kLongestHeader = 1U << 20;
  if (length > kLongestHeader) refuse(name, "has a malformed header: it is " + std::to_string(length) + " bytes long");
  std::string text = read_bytes(input, length);
  if (text.size() != length) refuse(name, "ends inside its header");
  return text;
}

// Bytes of the array. The limit keeps every later product of extents and sizes inside 63 bits.
std::int64_t data_size(const std::string& name, const models::Shape& shape) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 60;
  std::int64_t bytes = sizeof(float);
  for (const std::int64_t extent : shape) {
    if (extent == 0) refuse(name, "has an extent of 0 in its shape");
    if (extent > kLargest / bytes) refuse(name, "has a shape of more than 2^60 bytes");
    bytes *= extent;
  }
  return bytes;
}

// Values that lie in Fortran order, the first index fastest, in C order.
std::vector<float> in_c_order(const std::vector<float>& values, const models::Shape& shape) {
  const std::size_t dimensions = shape.size();
  std::vector<std::size_t> steps(dimensions, 1);
  for (std::size_t d = 1; d < dimensions; ++d) steps[d] = steps[d - 1] * static_cast<std::size_t>(shape[d - 1]);
  std::vector<std::int64_t> index(dimensions, 0);
  std::vector<float> result(values.size());
  std::size_t place = 0;
  for (float& value : result) {
    value = values[place];
    for (std::size_t d = dimensions; d-- > 0;) {
      place += steps[d];
      if (++index[d] < shape[d]) break;
      place -= steps[d] * static_cast<std::size_t>(shape[d]);
      index[d] = 0;
    }
  }
  return result;
}

template <typename T>
constexpr std::string_view kDescr = sizeof(T) == 1   ? "|u1"
                                    : sizeof(T) == 2 ? "<u2"
                                                     : "<u4";
template <>
constexpr std::string_view kDescr<float> = "<f4";
template <>
constexpr std::string_view kDescr<double> = "<f8";

}  // namespace

models::Tensor<float> read_npy(base::Input& input) {
  const std::string& name = input.name();
  const Header header = HeaderParser(name, read_header_text(input)).parse();
  check_type(name, header.descr);
  const std::int64_t expected = data_size(name, header.shape);
  const auto refuse_truncated = [&](std::uint64_t have) {
    refuse(name, "is truncated: it holds " + std::to_string(have) + " of the " + std::to_string(expected) +
                     " bytes of data that its shape asks for");
  };
  const std::optional<std::uint64_t> left = input.left();
  if (left && *left < static_cast<std::uint64_t>(expected)) refuse_truncated(*left);
  if (!left && expected > kLargestPipe) refuse(name, "has a shape of more than 16 GiB, the most that a pipe may bring");

  // In pieces, so that a shape that a pipe does not keep asks for no more memory than comes out of it.
  constexpr std::int64_t kPiece = std::int64_t{1} << 22;
  models::Tensor<float> tensor{header.shape, {}};
  if (left) tensor.values.reserve(static_cast<std::size_t>(expected) / sizeof(float));
  for (std::int64_t have = 0; have < expected;) {
    const std::int64_t bytes = std::min(kPiece, expected - have);
    tensor.values.resize(static_cast<std::size_t>(have + bytes) / sizeof(float));
    const std::size_t count =
        input.read(reinterpret_cast<char*>(tensor.values.data()) + have, static_cast<std::size_t>(bytes));
    have += static_cast<std::int64_t>(count);
    if (count != static_cast<std::size_t>(bytes)) refuse_truncated(static_cast<std::uint64_t>(have));
  }
  if (!read_bytes(input, 1).empty()) {
    refuse(name, "has bytes after the " + std::to_string(expected) + " bytes of data that its shape asks for");
  }
  if (header.fortran_order && header.shape.size() > 1) tensor.values = in_c_order(tensor.values, header.shape);
  return tensor;
}

models::Tensor<float> read_npy(const std::filesystem::path& path) {
  base::InputFile file(path);
  return read_npy(file);
}

template <typename T>
void write_npy(std::ostream& stream, const models::Tensor<T>& tensor) {
  assert(tensor.size() == models::element_count(tensor.shape));
  std::string shape;
  for (const std::int64_t extent : tensor.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(extent);
  if (tensor.shape.size() == 1) shape += ',';
  std::string header =
      "{'descr': '" + std::string(kDescr<T>) + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // The data begin at a multiple of 64 bytes, after a newline.
  constexpr std::size_t kAlignment = 64;
  const std::size_t before = kMagic.size() + 4;
  const std::size_t unpadded = before + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';

  const std::array<char, 4> version_and_length{1, 0, static_cast<char>(header.size() & 0xFF),
                                               static_cast<char>(header.size() >> 8)};
  stream << kMagic << std::string_view(version_and_length.data(), version_and_length.size()) << header;
  stream.write(reinterpret_cast<const char*>(tensor.values.data()),
               static_cast<std::streamsize>(tensor.values.size() * sizeof(T)));
}

template void write_npy(std::ostream&, const models::Tensor<float>&);
template void write_npy(std::ostream&, const models::Tensor<double>&);
template void write_npy(std::ostream&, const models::Tensor<std::uint8_t>&);
template void write_npy(std::ostream&, const models::Tensor<std::uint16_t>&);
template void write_npy(std::ostream&, const models::Tensor<std::uint32_t>&);

}  // namespace mlsim::workloads
