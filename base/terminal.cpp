#include "base/terminal.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <utility>

namespace mlsim::base {
namespace {

struct CodePoint {
  std::uint32_t value;
  std::size_t bytes;
};

// The first code point of a text that is not empty; none where it does not begin with well-formed UTF-8.
std::optional<CodePoint> first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return CodePoint{lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return std::nullopt;
  std::uint32_t value = lead & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80) return std::nullopt;
    value = value << 6 | (next & 0x3FU);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[bytes] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return std::nullopt;
  return CodePoint{value, bytes};
}

// Whether a terminal does more with it than show it, or shows others than itself elsewhere.
bool is_control(std::uint32_t c) {
  const bool c0_or_c1 = c < 0x20 || (c >= 0x7F && c <= 0x9F);
  const bool direction =
      c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
  const bool separator = c == 0x2028 || c == 0x2029;
  return c0_or_c1 || direction || separator;
}

std::string escaped(std::string_view text, bool keep_lines, bool as_json = false) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::optional<CodePoint> c = first_of(text);
    const std::size_t bytes = c ? c->bytes : 1;
    if (!c) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (is_control(c->value) && !(keep_lines && c->value == '\n')) {
      result += c->value == '\n'               ? "\\n"
                : c->value == '\t'             ? "\\t"
                : c->value < 0x100 && !as_json ? fmt::format("\\x{:02x}", c->value)
                                               : fmt::format("\\u{:04x}", c->value);
    } else {
      result += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return result;
}

}  // namespace

std::string printable(std::string_view text) {
  return escaped(text, false);
}

std::string printable_lines(std::string_view text) {
  return escaped(text, true);
}

std::string json_escaped(std::string_view text) {
  return escaped(text, true, true);
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::optional<CodePoint> c = first_of(text);
    if (!c) return false;
    text.remove_prefix(c->bytes);
  }
  return true;
}

void print_error(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t count = write(STDERR_FILENO, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

void keep_standard_streams() {
  for (const auto& [descriptor, mode] :
       {std::pair{STDIN_FILENO, O_WRONLY}, {STDOUT_FILENO, O_RDONLY}, {STDERR_FILENO, O_RDONLY}}) {
    // The lowest free descriptor is taken, which is this one.
    if (fcntl(descriptor, F_GETFD) < 0 && errno == EBADF && open("/dev/null", mode) < 0) return;
  }
}

StatusLine::StatusLine(std::string name, bool quiet, bool is_forwarded)
    : name_(std::move(name)), on_terminal_(!quiet && (is_forwarded || isatty(STDERR_FILENO) != 0)) {}

void StatusLine::show(const std::string& what) const {
  if (on_terminal_) print_error("\r\x1b[K" + name_ + ": " + printable(what));
}

void StatusLine::clear() const {
  if (on_terminal_) print_error("\r\x1b[K");
}

}  // namespace mlsim::base
