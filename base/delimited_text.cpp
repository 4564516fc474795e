#include "base/delimited_text.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/terminal.h"

namespace mlsim::base {
namespace {

constexpr std::string_view kSpaces = " \t\v\f";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

std::string utf8_of_latin1(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      result += c;
    } else {
      result += static_cast<char>(0xC0 | (byte >> 6));
      result += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return result;
}

// No-break spaces, a figure's, a thin and an ideographic one, and what has no width at all, which pages and editors
// leave in numbers.
void plain_spaces(std::string& text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kReplaced{{{"\xC2\xA0", " "},
                                                                                    {"\xE2\x80\x87", " "},
                                                                                    {"\xE2\x80\xAF", " "},
                                                                                    {"\xE3\x80\x80", " "},
                                                                                    {"\xE2\x80\x8B", ""},
                                                                                    {"\xEF\xBB\xBF", ""}}};
  if (std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) return;
  for (const auto& [from, to] : kReplaced) {
    std::string result;
    std::size_t begin = 0;
    for (std::size_t found = text.find(from); found != std::string::npos; found = text.find(from, begin)) {
      result.append(text, begin, found - begin).append(to);
      begin = found + from.size();
    }
    if (begin != 0) text = result.append(text, begin);
  }
}

std::string decoded(std::string_view text, const std::string& file) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    refuse(file, "", "is UTF-16 text, expected UTF-8");
  }
  std::string result = is_utf8(text) ? std::string(text) : utf8_of_latin1(text);
  plain_spaces(result);
  return result;
}

// Past the quoted text at the start of `line`, which is added to `cell`. A quote without its end is a character.
std::size_t quoted(std::string_view line, std::string& cell) {
  std::string text;
  for (std::size_t i = 1; i < line.size(); ++i) {
    if (line[i] != '"') {
      text += line[i];
    } else if (i + 1 < line.size() && line[i + 1] == '"') {
      text += line[i++];
    } else {
      cell += text;
      return i + 1;
    }
  }
  cell += '"';
  return 1;
}

std::vector<std::string> cells_of(std::string_view line, char separator) {
  std::vector<std::string> cells;
  std::string cell;
  std::size_t i = 0;
  while (i < line.size()) {
    if (line[i] == '"' && trimmed(cell).empty()) {
      i += quoted(line.substr(i), cell);
    } else if (line[i] == separator) {
      cells.emplace_back(trimmed(cell));
      cell.clear();
      ++i;
    } else {
      cell += line[i++];
    }
  }
  cells.emplace_back(trimmed(cell));
  while (!cells.empty() && cells.back().empty()) cells.pop_back();
  return cells;
}

std::vector<std::string> cells_of(std::string_view line) {
  for (const char separator : {',', ';'}) {
    if (line.find(separator) != std::string_view::npos) return cells_of(line, separator);
  }
  return cells_of(line, '\t');
}

}  // namespace

const std::string& TextRow::cell(std::size_t column) const {
  static const std::string none;
  return column < cells.size() ? cells[column] : none;
}

std::vector<TextRow> read_rows(std::string_view text, const std::string& file) {
  const std::string whole = decoded(text, file);
  std::string_view left = whole;
  std::vector<TextRow> rows;
  for (std::size_t line = 1; !left.empty(); ++line) {
    const std::size_t end = std::min(left.find_first_of("\r\n"), left.size());
    std::vector<std::string> cells = cells_of(left.substr(0, end));
    if (!cells.empty()) rows.push_back({line, std::move(cells)});
    left.remove_prefix(end);
    left.remove_prefix(left.starts_with("\r\n") ? 2 : std::min<std::size_t>(1, left.size()));
  }
  return rows;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!(text = trimmed(text)).empty()) {
    const std::size_t end = std::min(text.find_first_of(kSpaces), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

}  // namespace mlsim::base
