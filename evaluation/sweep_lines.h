// Finished points as lines of a file, each with a checksum: of a journal, and of a shard's results.
// Tested in tests/evaluation/sweep_journal_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/input_file.h"

namespace mlsim::evaluation {

// Where the text of a row stands in a file; no row is empty.
struct RowPlace {
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};

struct PointLine {
  std::size_t point = 0;
  RowPlace row;  // within the line
};

// The line of a point of the sweep `identity`, of whose row this is the text, with its end; lines of other sweeps have
// other checksums.
std::string line_of(const std::string& identity, std::size_t point, const std::string& row);
// Where the row begins in it.
std::size_t row_offset(std::size_t point);
// What a line without its end holds; nothing where it is damaged or is none of the sweep's `points` points.
std::optional<PointLine> parse_line(std::string_view line, const std::string& identity, std::size_t points);

// A row by its place in an open file, with its line's checksum looked at again. Throws base::Error with the file's name
// where it cannot be read or is no longer what it was.
nlohmann::ordered_json read_row(int descriptor, const RowPlace& place, const std::string& identity, std::size_t point,
                                const std::string& name);

// Calls `use` with each line that has an end, without it, and where it begins; lines too long for a row are given as
// their beginning. What stays in memory is one line. The bytes up to the end of the last line that has one.
std::uint64_t for_each_line(base::Input& input,
                            const std::function<void(std::string_view line, std::uint64_t offset)>& use);

}  // namespace mlsim::evaluation
