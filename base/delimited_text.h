// Tables as text, from whatever wrote them: spreadsheets, scripts and hands.
// Tested in tests/workloads/scale_sim_test.cpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mlsim::base {

struct TextRow {
  std::size_t line = 0;            // in the file, from 1
  std::vector<std::string> cells;  // without spaces and quotes around them, and without empty ones at the end

  const std::string& cell(std::size_t column) const;  // empty where the row ends before
};

// The rows of a text that have a cell with something in it. Lines end with LF, CR LF or CR. Cells are separated by
// commas, else by semicolons, else by tabs, else a line is one cell; a separator inside double quotes is text, where
// two quotes are one. A byte-order mark is passed over, kinds of space are a space, and text that is not UTF-8 is taken
// for Latin-1. Throws Error for UTF-16; `file` stands for the text there.
std::vector<TextRow> read_rows(std::string_view text, const std::string& file);

// The words between spaces and tabs.
std::vector<std::string> words_of(std::string_view text);

}  // namespace mlsim::base
