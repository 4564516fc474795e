#include "workloads/scale_sim.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <vector>

namespace mlsim::workloads {
namespace {

constexpr std::array<std::string_view, 8> kColumns{"Layer name",   "IFMAP Height", "IFMAP Width", "Filter Height",
                                                   "Filter Width", "Channels",     "Num Filter",  "Strides"};

[[noreturn]] void refuse(const std::string& file, std::size_t line, const std::string& reason) {
  throw std::runtime_error(fmt::format("{}: line {}: {}", file, line, reason));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// The cells of a line, without the empty one behind a comma at its end.
std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = line.find(',', begin);
    cells.push_back(trimmed(line.substr(begin, end - begin)));
    if (end == std::string_view::npos) break;
    begin = end + 1;
  }
  if (cells.size() > 1 && cells.back().empty()) cells.pop_back();
  return cells;
}

void check_header(const std::vector<std::string_view>& cells, const std::string& file, std::size_t line) {
  if (std::equal(cells.begin(), cells.end(), kColumns.begin(), kColumns.end(), same_word)) return;
  refuse(file, line,
         fmt::format("is '{}', expected the header '{}' of a SCALE-Sim topology of convolutions",
                     fmt::join(cells, ", "), fmt::join(kColumns, ", ")));
}

std::int64_t number_in(const std::vector<std::string_view>& cells, std::size_t column, const std::string& file,
                       std::size_t line) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 20;
  const std::string_view cell = cells[column];
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() || value < 1 || value > kLargest) {
    refuse(file, line,
           fmt::format("{} is '{}', expected a whole number from 1 to {}", kColumns[column], cell, kLargest));
  }
  return value;
}

NetworkLayer layer_of(const std::vector<std::string_view>& cells, const std::string& file, std::size_t line) {
  if (cells.size() != kColumns.size()) {
    refuse(file, line,
           fmt::format("has {} values, expected {}: {}", cells.size(), kColumns.size(), fmt::join(kColumns, ", ")));
  }
  const auto number = [&](std::size_t column) { return number_in(cells, column, file, line); };
  NetworkLayer layer;
  layer.name = std::string(cells[0]);
  if (layer.name.empty()) refuse(file, line, "has no layer name, expected one");
  if (std::any_of(layer.name.begin(), layer.name.end(), [](char c) { return c < ' ' || c > '~'; })) {
    refuse(file, line, "has a layer name with other characters than printable ASCII ones");
  }
  layer.inputs = {"input"};
  layer.input = {number(5), {number(1), number(2)}};
  layer.kernel = {number(3), number(4)};
  layer.stride = {number(7), number(7)};
  for (const std::size_t axis : {0U, 1U}) {
    if (layer.kernel[axis] > layer.input.size[axis]) {
      refuse(file, line,
             fmt::format("{} is {}, expected at most the {} of {}, which includes padding", kColumns[3 + axis],
                         layer.kernel[axis], layer.input.size[axis], kColumns[1 + axis]));
    }
  }
  layer.output.channels = number(6);
  const models::ConvolutionShape shape = layer.convolution_shape(1);
  layer.output.size = shape.out_size();
  double multiply_adds = 1;
  for (const std::int64_t extent : {layer.output.channels, layer.output.size[0], layer.output.size[1],
                                    layer.input.channels, layer.kernel[0], layer.kernel[1]}) {
    multiply_adds *= static_cast<double>(extent);
  }
  if (multiply_adds > 0x1p56) refuse(file, line, "has more than 2^56 multiply-adds");
  return layer;
}

}  // namespace

Network parse_scale_sim(std::string_view text, const std::string& file) {
  Network network;
  network.name = std::filesystem::path(file).stem().string();
  std::map<std::string, std::size_t> lines;
  bool has_header = false;
  std::size_t number = 0;
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty()) continue;
    const std::vector<std::string_view> cells = cells_of(line);
    if (!has_header) {
      check_header(cells, file, number);
      has_header = true;
      continue;
    }
    NetworkLayer layer = layer_of(cells, file, number);
    const auto [entry, is_new] = lines.emplace(layer.name, number);
    if (!is_new) {
      refuse(file, number,
             fmt::format("the layer name '{}' is also that of line {}, expected another", layer.name, entry->second));
    }
    network.layers.push_back(std::move(layer));
  }
  if (network.layers.empty()) {
    if (!has_header) throw std::runtime_error(file + ": is empty, expected a SCALE-Sim topology");
    refuse(file, number, "is the last one and no layer follows the header, expected one or more");
  }
  network.input = network.layers.front().input;
  return network;
}

}  // namespace mlsim::workloads
