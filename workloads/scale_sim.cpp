#include "workloads/scale_sim.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/delimited_text.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/terminal.h"
#include "base/text.h"

namespace mlsim::workloads {
namespace {

using Names = std::vector<std::string_view>;

const Names kConvolutionNumbers{"IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width",
                                "Channels",     "Num Filter",  "Strides",       "Stride width"};
const Names kProductNumbers{"M", "N", "K"};
constexpr std::size_t kConvolutionNumberCount = 7;  // with one stride
constexpr std::int64_t kLargest = std::int64_t{1} << 20;
constexpr std::string_view kExpected =
    "expected a name and 7 numbers (IFMAP height and width, filter height and width, channels, filters, stride) or 3 "
    "(M, N, K)";

enum class Role : std::uint8_t { kNumber, kBatch, kSparsity, kUnknown };

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "16", and "16.0" as tables of floats have it.
bool is_number(std::string_view cell) {
  if (cell.starts_with('-')) cell.remove_prefix(1);
  const std::size_t point = cell.find('.');
  return is_digits(cell.substr(0, point)) && (point == std::string_view::npos || is_digits(cell.substr(point + 1)));
}

// "2:4": of four weights two are not zero.
bool is_sparsity(std::string_view cell) {
  const std::size_t colon = cell.find(':');
  return colon != std::string_view::npos && is_digits(cell.substr(0, colon)) && is_digits(cell.substr(colon + 1));
}

bool has_number(const base::TextRow& row) {
  return std::any_of(row.cells.begin() + 1, row.cells.end(), [](const std::string& cell) { return is_number(cell); });
}

// What the columns behind the name are. A header's words decide only where there is a choice: the first seven numbers
// of a convolution stand in their order under whatever names.
struct Columns {
  bool has_header = false;
  bool products = false;  // M, N, K
  std::array<std::size_t, 3> order{0, 1, 2};
  std::vector<Role> roles;  // of the cells behind the name

  static Columns of_header(const base::TextRow& header);
  Role role_of(std::size_t column, std::string_view cell, std::size_t numbers) const;
};

std::optional<std::size_t> product_letter(std::string_view word) {
  const auto found = std::find(kProductNumbers.begin(), kProductNumbers.end(), word);
  if (found != kProductNumbers.end()) return found - kProductNumbers.begin();
  if (word.size() == 1 && std::islower(static_cast<unsigned char>(word[0])) != 0) {
    const char upper = static_cast<char>(std::toupper(static_cast<unsigned char>(word[0])));
    return product_letter(std::string_view(&upper, 1));
  }
  return std::nullopt;
}

Columns Columns::of_header(const base::TextRow& header) {
  Columns columns;
  columns.has_header = true;
  std::vector<std::size_t> letters;
  std::size_t numbers = 0;
  for (std::size_t i = 1; i < header.cells.size(); ++i) {
    const std::string word = base::lower(header.cells[i]);
    Role role = Role::kNumber;
    if (word.find("batch") != std::string::npos) {
      role = Role::kBatch;
    } else if (word.find("spars") != std::string::npos) {
      role = Role::kSparsity;
    } else if (numbers >= kConvolutionNumberCount && word.find("stride") == std::string::npos) {
      role = Role::kUnknown;
    }
    if (role == Role::kNumber) {
      ++numbers;
      if (const auto letter = product_letter(header.cells[i])) letters.push_back(*letter);
    }
    columns.roles.push_back(role);
  }
  const std::set<std::size_t> distinct(letters.begin(), letters.end());
  const bool lettered = letters.size() == 3 && distinct.size() == 3;
  columns.products = numbers == 3 || lettered;
  if (lettered) std::copy(letters.begin(), letters.end(), columns.order.begin());
  return columns;
}

Role Columns::role_of(std::size_t column, std::string_view cell, std::size_t numbers) const {
  if (column < roles.size())
    return roles[column] == Role::kNumber && is_sparsity(cell) ? Role::kSparsity : roles[column];
  if (is_sparsity(cell)) return Role::kSparsity;
  // Behind a header's columns a number is the stride across, as SCALE-Sim reads it.
  const bool fits = products ? numbers < 3 : numbers <= kConvolutionNumberCount;
  return is_number(cell) && fits ? Role::kNumber : Role::kUnknown;
}

// The values of a row, not yet read.
struct Values {
  std::vector<std::string> numbers;
  std::string batch;
  bool sparse = false;
  std::string passed_over;  // the first cell that means nothing here
};

class TopologyReader {
 public:
  explicit TopologyReader(const std::string& file) : file_(file) {}

  Network read(std::string_view text) {
    network_.name = std::filesystem::path(file_).stem().string();
    const std::vector<base::TextRow> rows = base::read_rows(text, file_);
    for (const base::TextRow& row : rows) read_row(row);
    if (network_.layers.empty()) {
      base::refuse(
          file_, "",
          rows.empty() ? "is empty, expected a SCALE-Sim topology" : "has no layer, " + std::string(kExpected));
    }
    network_.input = network_.layers.front().input;
    network_.content_hash = base::Hash().add(text).value();
    add_remarks();
    return std::move(network_);
  }

 private:
  // Lines of a kind, of which the first is told.
  struct Seen {
    std::size_t count = 0;
    std::string first;

    void add(const std::string& what) {
      if (count++ == 0) first = what;
    }
  };

  [[noreturn]] void refuse(const base::TextRow& row, const std::string& reason) const {
    base::refuse(file_, fmt::format("line {}", row.line), reason);
  }

  void read_row(base::TextRow row) {
    if (row.cells.size() == 1) {
      // A title, unless its words are a row without separators.
      const std::vector<std::string> words = base::words_of(row.cells[0]);
      const auto numbers =
          std::count_if(words.begin() + 1, words.end(), [](const auto& word) { return is_number(word); });
      const auto all = static_cast<std::ptrdiff_t>(words.size()) - 1;
      if (numbers != all || (numbers != 3 && numbers < static_cast<std::ptrdiff_t>(kConvolutionNumberCount))) return;
      row.cells = words;
    }
    if (!has_number(row)) {
      if (network_.layers.empty() || is_header(row)) {
        columns_ = Columns::of_header(row);
        return;
      }
    }
    Values values = values_of(row);
    NetworkLayer layer = is_product(values) ? product_of(row, values) : convolution_of(row, values);
    layer.name = name_of(row);
    if (!values.batch.empty()) layer.rows *= number_in(row, values.batch, "Batch");
    make_depthwise(row, layer);
    check(row, layer);
    if (values.sparse) sparse_.add(layer.name);
    if (!values.passed_over.empty()) passed_over_.add(fmt::format("'{}' in line {}", values.passed_over, row.line));
    network_.layers.push_back(std::move(layer));
  }

  // A header among the layers, where files were put together.
  static bool is_header(const base::TextRow& row) {
    const std::string words = base::lower(fmt::format("{}", fmt::join(row.cells, " ")));
    const bool names_numbers = words.find("filter") != std::string::npos && words.find("channel") != std::string::npos;
    return names_numbers || (product_letter(row.cell(1)) && product_letter(row.cell(2)) && product_letter(row.cell(3)));
  }

  bool is_product(const Values& values) const {
    return columns_.has_header ? columns_.products : values.numbers.size() == 3;
  }

  bool has_fitting_count(const std::vector<std::string>& numbers) const {
    if (numbers.size() == 3) return !columns_.has_header || columns_.products;
    if (columns_.products) return false;
    return numbers.size() == kConvolutionNumberCount || numbers.size() == kConvolutionNumberCount + 1;
  }

  Values values_of(const base::TextRow& row) {
    Values values;
    for (std::size_t i = 1; i < row.cells.size(); ++i) {
      const std::string& cell = row.cells[i];
      switch (columns_.role_of(i - 1, cell, values.numbers.size())) {
        case Role::kNumber:
          values.numbers.push_back(cell);
          break;
        case Role::kBatch:
          values.batch = cell;
          break;
        case Role::kSparsity:
          values.sparse = values.sparse || !cell.empty();
          break;
        case Role::kUnknown:
          if (values.passed_over.empty()) values.passed_over = cell;
          break;
      }
    }
    // The optional stride across may be empty.
    if (values.numbers.size() == kConvolutionNumberCount + 1 && values.numbers.back().empty())
      values.numbers.pop_back();
    if (has_fitting_count(values.numbers) &&
        std::none_of(values.numbers.begin(), values.numbers.end(), needs_mending)) {
      return values;
    }
    // A comma at a wrong place: the numbers are there, in their order.
    std::vector<std::string> numbers;
    for (const std::string& cell : values.numbers) {
      for (std::string& word : base::words_of(cell)) numbers.push_back(std::move(word));
    }
    if (has_fitting_count(numbers) && std::all_of(numbers.begin(), numbers.end(), is_number)) {
      values.numbers = std::move(numbers);
      mended_.add(fmt::format("line {} is read as {}", row.line, fmt::join(values.numbers, ", ")));
      return values;
    }
    if (!has_fitting_count(values.numbers)) {
      refuse(row, fmt::format("has {} numbers behind the name, {}", values.numbers.size(), kExpected));
    }
    return values;
  }

  static bool needs_mending(std::string_view cell) { return cell.empty() || cell.find(' ') != std::string_view::npos; }

  std::int64_t number_in(const base::TextRow& row, std::string_view cell, std::string_view name) const {
    std::string_view digits = cell;
    const std::size_t point = cell.find('.');
    if (is_number(cell) && cell.find_first_not_of('0', point + 1) == std::string_view::npos) {
      digits = cell.substr(0, point);
    }
    const auto value = base::number_of<std::int64_t>(digits);
    if (!value || *value < 1 || *value > kLargest) {
      refuse(row, fmt::format("{} is '{}', expected a whole number from 1 to {}", name, cell, kLargest));
    }
    return *value;
  }

  NetworkLayer product_of(const base::TextRow& row, const Values& values) const {
    std::array<std::int64_t, 3> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::size_t letter = columns_.order[i];
      numbers[letter] = number_in(row, values.numbers[i], kProductNumbers[letter]);
    }
    NetworkLayer layer;
    layer.type = LayerType::kLinear;
    layer.inputs = {"input"};
    layer.rows = numbers[0];
    layer.input.channels = numbers[2];
    layer.output.channels = numbers[1];
    return layer;
  }

  NetworkLayer convolution_of(const base::TextRow& row, const Values& values) const {
    const bool two_strides = values.numbers.size() > kConvolutionNumberCount;
    const auto number = [&](std::size_t column) {
      const bool height = two_strides && column + 1 == kConvolutionNumberCount;
      return number_in(row, values.numbers[column], height ? "Stride height" : kConvolutionNumbers[column]);
    };
    NetworkLayer layer;
    layer.inputs = {"input"};
    layer.input = {number(4), {number(0), number(1)}};
    layer.kernel = {number(2), number(3)};
    layer.stride = {number(6), number(two_strides ? 7 : 6)};
    for (const std::size_t axis : {0U, 1U}) {
      if (layer.kernel[axis] <= layer.input.size[axis]) continue;
      refuse(row, fmt::format("{} is {}, expected at most the {} of {}, which includes padding",
                              kConvolutionNumbers[2 + axis], layer.kernel[axis], layer.input.size[axis],
                              kConvolutionNumbers[axis]));
    }
    layer.output.channels = number(5);
    layer.output.size = layer.convolution_shape(1).out_size();
    return layer;
  }

  // A name that is fit for a file and not yet there.
  std::string name_of(const base::TextRow& row) {
    std::string name = row.cells[0];
    if (name.empty()) {
      name = fmt::format("line_{}", row.line);
      nameless_.add(fmt::format("'{}'", name));
    }
    if (base::printable(name) != name) refuse(row, "has control characters in its name, expected a name without them");
    if (name.find_first_of("/\\") != std::string::npos) {
      std::replace_if(
          name.begin(), name.end(), [](char c) { return c == '/' || c == '\\'; }, '_');
      slashed_.add(fmt::format("'{}' becomes '{}'", row.cells[0], name));
    }
    if (lines_.emplace(name, row.line).second) return name;
    std::size_t& number = repetitions_.emplace(name, 2).first->second;
    while (!lines_.emplace(fmt::format("{}_{}", name, number), row.line).second) ++number;
    std::string other = fmt::format("{}_{}", name, number);
    repeated_.add(fmt::format("'{}' of line {} is also that of line {} and becomes '{}'", name, row.line,
                              lines_.at(name), other));
    return other;
  }

  // SCALE-Sim runs such a layer once for each channel, with all of its filters.
  void make_depthwise(const base::TextRow& row, NetworkLayer& layer) {
    if (layer.type != LayerType::kConvolution || row.cells[0].find("DP") == std::string::npos) return;
    layer.groups = layer.input.channels;
    layer.output.channels *= layer.groups;
    depthwise_.add(fmt::format("'{}'", layer.name));
  }

  void check(const base::TextRow& row, const NetworkLayer& layer) const {
    if (layer.rows > kLargest) {
      refuse(row, fmt::format("has {} rows in all, expected at most {}", layer.rows, kLargest));
    }
    if (layer.output.channels > kLargest) {
      refuse(row, fmt::format("has {} filters for all channels, expected at most {}", layer.output.channels, kLargest));
    }
    double multiply_adds = 1;
    for (const std::int64_t extent : {layer.rows, layer.output.channels, layer.output.size[0], layer.output.size[1],
                                      layer.input.channels / layer.groups, layer.kernel[0], layer.kernel[1]}) {
      multiply_adds *= static_cast<double>(extent);
    }
    if (multiply_adds > 0x1p56) refuse(row, "has more than 2^56 multiply-adds");
  }

  void add_remarks() {
    const auto remark = [&](const Seen& seen, std::string_view one) {
      if (seen.count == 0) return;
      network_.remarks.push_back(fmt::format("{}: {}: {}{}", file_, one, seen.first,
                                             seen.count == 1 ? "" : fmt::format(", and {} more", seen.count - 1)));
    };
    remark(mended_, "has commas at wrong places");
    remark(nameless_, "has rows without a name, which are called by their line");
    remark(slashed_, "has names that cannot be files'");
    remark(repeated_, "has names more than once");
    remark(depthwise_, "has DP in names, which makes layers depthwise, as in SCALE-Sim");
    remark(sparse_, "has a sparsity, which is not modelled: weights are dense");
    remark(passed_over_, "has cells without a meaning, which are passed over");
  }

  const std::string& file_;
  Columns columns_;
  Network network_;
  std::map<std::string, std::size_t> lines_;
  std::map<std::string, std::size_t> repetitions_;  // the number that a repeated name was given last
  Seen mended_;
  Seen nameless_;
  Seen slashed_;
  Seen repeated_;
  Seen depthwise_;
  Seen sparse_;
  Seen passed_over_;
};

}  // namespace

Network parse_scale_sim(std::string_view text, const std::string& file) {
  return TopologyReader(file).read(text);
}

}  // namespace mlsim::workloads
