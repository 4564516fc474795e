#include "evaluation/sweep_lines.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"

namespace mlsim::evaluation {
namespace {

// A line is {"point":7,"row":{...},"check":"0123456789abcdef"}.
constexpr std::string_view kPoint = R"({"point":)";
constexpr std::string_view kRow = R"(,"row":)";
constexpr std::string_view kCheck = R"(,"check":")";
constexpr std::string_view kLineEnd = R"("})";
constexpr std::size_t kDigits = 16;
constexpr std::size_t kLongestLine = std::size_t{1} << 20;

std::string checksum(const std::string& identity, std::size_t point, std::string_view row) {
  return fmt::format("{:016x}", base::Hash().add(identity).add(std::to_string(point)).add(row).value());
}

}  // namespace

std::string line_of(const std::string& identity, std::size_t point, const std::string& row) {
  return fmt::format("{}{}{}{}{}{}{}\n", kPoint, point, kRow, row, kCheck, checksum(identity, point, row), kLineEnd);
}

std::size_t row_offset(std::size_t point) {
  return kPoint.size() + std::to_string(point).size() + kRow.size();
}

std::optional<PointLine> parse_line(std::string_view line, const std::string& identity, std::size_t points) {
  constexpr std::size_t kTail = kCheck.size() + kDigits + kLineEnd.size();
  if (!line.starts_with(kPoint) || !line.ends_with(kLineEnd)) return std::nullopt;
  PointLine result;
  const char* const begin = line.data() + kPoint.size();
  const auto [digits_end, error] = std::from_chars(begin, line.data() + line.size(), result.point);
  if (error != std::errc() || result.point >= points) return std::nullopt;
  const auto after_digits = static_cast<std::size_t>(digits_end - line.data());
  if (line.substr(after_digits, kRow.size()) != kRow) return std::nullopt;
  result.row.offset = after_digits + kRow.size();
  if (line.size() <= result.row.offset + kTail) return std::nullopt;
  result.row.length = static_cast<std::uint32_t>(line.size() - result.row.offset - kTail);
  const std::string_view row = line.substr(result.row.offset, result.row.length);
  const std::string_view tail = line.substr(line.size() - kTail);
  if (!tail.starts_with(kCheck)) return std::nullopt;
  if (tail.substr(kCheck.size(), kDigits) != checksum(identity, result.point, row)) return std::nullopt;
  return result;
}

nlohmann::ordered_json read_row(int descriptor, const RowPlace& place, const std::string& identity, std::size_t point,
                                const std::string& name) {
  std::string text(place.length + kCheck.size() + kDigits, '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count =
        pread(descriptor, text.data() + done, text.size() - done, static_cast<off_t>(place.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::refuse(name, "", fmt::format("cannot be read: {}", std::strerror(errno)));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  const std::string_view row = std::string_view(text).substr(0, place.length);
  if (std::string_view(text).substr(place.length + kCheck.size()) != checksum(identity, point, row)) {
    base::refuse(name, "", "has changed while it was in use, expected it to stay as it was");
  }
  return base::parse_ordered_json(row, name);
}

std::uint64_t for_each_line(base::Input& input,
                            const std::function<void(std::string_view line, std::uint64_t offset)>& use) {
  std::string line;
  std::uint64_t begin = 0;
  std::uint64_t position = 0;
  std::array<char, std::size_t{1} << 16> piece{};
  while (const std::size_t size = input.read(piece.data(), piece.size())) {
    std::string_view rest(piece.data(), size);
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::size_t part = std::min(end, rest.size());
      line += rest.substr(0, std::min(part, kLongestLine + 1 - line.size()));
      position += part;
      rest.remove_prefix(part);
      if (end == std::string_view::npos) break;
      rest.remove_prefix(1);
      ++position;
      use(line, begin);
      line.clear();
      begin = position;
    }
  }
  return begin;
}

}  // namespace mlsim::evaluation
