// Reads the VCD of a small layer back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "models/quantizer/reference_quantizer.h"
#include "sim/simulate.h"

namespace mlsim::sim {
namespace {

// The values of chosen signals over time.
class ValueChangeDump {
 public:
  explicit ValueChangeDump(const std::string& path) : file_(path) {
    std::vector<std::string> scopes;
    std::string word;
    while (file_ >> word && word != "$enddefinitions") {
      if (word == "$scope") {
        file_ >> word >> word;
        scopes.push_back(word);
      } else if (word == "$upscope") {
        scopes.pop_back();
      } else if (word == "$var") {
        std::string type;
        std::string width;
        std::string id;
        std::string name;
        file_ >> type >> width >> id >> name;
        std::string full;
        for (const std::string& scope : scopes) full += scope == "SystemC" ? "" : scope + ".";
        id_of_[full + name] = id;
      }
    }
    while (file_ >> word && word != "$dumpvars") continue;  // the values at time 0 follow
  }

  bool has(const std::string& name) const { return id_of_.contains(name); }

  // Moves on to the next time stamp and takes all that changes at it; false at the end.
  bool advance() {
    std::string word;
    while (file_ >> word) {
      if (word[0] == '#') return true;
      if (word[0] == '0' || word[0] == '1') {
        value_[word.substr(1)] = word[0] - '0';
      } else if (word[0] == 'b') {
        std::string id;
        file_ >> id;
        value_[id] = static_cast<std::int64_t>(std::strtoull(word.c_str() + 1, nullptr, 2));
      } else if (word[0] == 'r') {
        file_ >> word;
      }
    }
    return !std::exchange(at_end_, true);
  }
  std::int64_t value(const std::string& name) const {
    const auto found = value_.find(id_of_.at(name));
    return found == value_.end() ? 0 : found->second;
  }

 private:
  std::ifstream file_;
  std::map<std::string, std::string> id_of_;
  std::map<std::string, std::int64_t> value_;
  bool at_end_ = false;
};

struct SmallLayer {
  // Two output channels and two output columns: one tile of a 2×2 array.
  models::ConvolutionShape shape{.batch = 1,
                                 .in_channels = 3,
                                 .out_channels = 2,
                                 .in_size = {3, 4},
                                 .kernel = {3, 3},
                                 .stride = {1, 1},
                                 .padding = {0, 0},
                                 .groups = 1};
  models::ScaledTensor activation = tensor(shape.activation_shape(), 1);
  models::ScaledTensor weight = tensor(shape.weight_shape(), 2);

  static models::ScaledTensor tensor(const models::Shape& shape, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    models::Tensor<float> values{shape, {}};
    for (std::int64_t i = 0; i < models::element_count(shape); ++i) values.values.push_back(normal(generator));
    return models::reference_quantize(values, models::parse_scaled_format("e2m4"), {}, "operand").tensor;
  }
};

ArrayConfig small_array() {
  ArrayConfig config;
  config.rows = 2;
  config.columns = 2;
  config.elements_per_scaler = 4;
  config.quantizer_lanes = 2;
  return config;
}

// What an element multiplies, holds in its accumulator and hands over.
struct Followed {
  std::vector<std::int64_t> products;
  std::vector<std::int64_t> sums;
  std::vector<std::int64_t> group_sums;
};

// Of element (0, 0): output channel 0, output position 0.
Followed first_element(const SmallLayer& layer) {
  const models::ElementFormat format = layer.weight.format.element;
  Followed element;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    std::int64_t sum = 0;
    for (std::size_t y = 0; y < 3; ++y) {
      for (std::size_t x = 0; x < 3; ++x) {
        const std::uint16_t a = layer.activation.codes[channel * 12 + y * 4 + x];
        const std::uint16_t w = layer.weight.codes[channel * 9 + y * 3 + x];
        const auto significand = [](std::uint16_t code) { return code % 16 + ((code >> 4) % 4 == 0 ? 0 : 16); };
        element.products.push_back(significand(a) * significand(w));
        sum += std::int64_t{models::decode_element(format, a)} * models::decode_element(format, w);
        element.sums.push_back(sum);
      }
    }
    element.group_sums.push_back(sum);
    element.sums.back() = 0;  // the register is cleared as its sum is handed over
  }
  return element;
}

TEST(Trace, ElementFollowsTheReference) {
  const std::string path = testing::TempDir() + "small-" + std::to_string(getpid()) + ".vcd";
  const SmallLayer layer;
  PassResult result;
  PassResult second;
  {
    Simulator simulator(Detail::kStructural, small_array(), TraceRequest{.file = path});
    result = simulator.simulate_pass(models::Pass::kForward, layer.shape, layer.activation, layer.weight, {},
                                     ResultQuantization{{models::parse_scaled_format("e2m4")}, {}});
    second =
        simulator.simulate_pass(models::Pass::kForward, layer.shape, layer.activation, layer.weight, {}, std::nullopt);
    EXPECT_FALSE(std::filesystem::exists(path));
    simulator.finish_trace();
  }
  ASSERT_TRUE(std::filesystem::exists(path));

  ValueChangeDump dump(path);
  const std::string element = "accelerator.array.element_0_0.";
  for (const std::string name :
       {"accelerator.clock", "accelerator.reset", "accelerator.hand_over", "accelerator.row_feeder.significand_0",
        "accelerator.column_feeder.valid_0", "accelerator.array.element_0_0.shift",
        "accelerator.array.element_1_1.accumulator", "accelerator.array.scaler_0.scaled.low",
        "accelerator.array.scaler_0.partial_sum_3", "accelerator.result_0", "accelerator.quantizer.code_1"}) {
    EXPECT_TRUE(dump.has(name)) << name;
  }
  Followed seen;
  std::uint64_t rising = 0;
  std::uint64_t falling = 0;
  std::int64_t clock = 0;
  bool adds = false;
  bool hands_over = false;
  bool in_reset = false;
  std::uint64_t resets = 0;
  while (dump.advance()) {
    const std::int64_t level = dump.value("accelerator.clock");
    rising += level == 1 && clock == 0 ? 1 : 0;
    falling += level == 0 && clock == 1 ? 1 : 0;
    if (level == 1 && clock == 0) {
      // Registers have taken what their inputs were before this edge.
      if (adds) seen.sums.push_back(dump.value(element + "accumulator"));
      if (hands_over) seen.group_sums.push_back(dump.value(element + "handed_over"));
      adds = dump.value("accelerator.row_feeder.valid_0") == 1 && dump.value("accelerator.column_feeder.valid_0") == 1;
      if (adds) seen.products.push_back(dump.value(element + "product"));
      hands_over = dump.value("accelerator.hand_over") == 1;
    }
    clock = level;
    resets += dump.value("accelerator.reset") == 1 && !in_reset ? 1 : 0;
    in_reset = dump.value("accelerator.reset") == 1;
  }
  // The pass was run twice.
  Followed expected = first_element(layer);
  for (auto* sequence : {&expected.products, &expected.sums, &expected.group_sums}) {
    const std::vector<std::int64_t> once = *sequence;
    sequence->insert(sequence->end(), once.begin(), once.end());
  }
  EXPECT_EQ(seen.products, expected.products);
  EXPECT_EQ(seen.sums, expected.sums);
  EXPECT_EQ(seen.group_sums, expected.group_sums);
  EXPECT_EQ(resets, 2U);
  EXPECT_EQ(rising, result.cycles.total() + second.cycles.total());
  EXPECT_GE(falling + 1, rising);
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
}

// Two convolution groups, of a row each.
struct TwoGroups {
  models::ConvolutionShape shape{.in_channels = 2, .out_channels = 2, .in_size = {3, 4}, .kernel = {3, 3}, .groups = 2};
  models::ScaledTensor activation = SmallLayer::tensor(shape.activation_shape(), 1);
  models::ScaledTensor weight = SmallLayer::tensor(shape.weight_shape(), 2);

  std::int64_t significand(std::size_t channel, std::size_t place) const {
    return models::split_fields(activation.format.element, activation.codes[channel * 12 + place]).significand;
  }
};

// Of a forward pass with both groups side by side: what the first column of each row takes, in the cycles in which
// `taken`, followed by the row's number where it ends in "_", is 1.
std::array<std::vector<std::int64_t>, 2> first_columns(const TwoGroups& layer, DataflowKind dataflow,
                                                       const std::string& significands, const std::string& taken) {
  const std::string path = testing::TempDir() + "groups-" + std::to_string(getpid()) + ".vcd";
  ArrayConfig config = small_array();
  config.dataflow = dataflow;
  config.depthwise = DepthwiseMapping::kRows;
  {
    Simulator simulator(Detail::kStructural, config, TraceRequest{.file = path});
    simulator.simulate_pass(models::Pass::kForward, layer.shape, layer.activation, layer.weight, {}, std::nullopt);
    simulator.finish_trace();
  }
  ValueChangeDump dump(path);
  std::array<std::vector<std::int64_t>, 2> seen;
  std::int64_t clock = 0;
  while (dump.advance()) {
    const std::int64_t level = dump.value("accelerator.clock");
    if (level == 1 && clock == 0) {
      for (const std::size_t row : {0U, 1U}) {
        const std::string wire = std::to_string(row) + "_0";
        if (dump.value(taken.back() == '_' ? taken + wire : taken) == 1) {
          seen.at(row).push_back(dump.value(significands + "_" + wire));
        }
      }
    }
    clock = level;
  }
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
  return seen;
}

// The rows take their operand of the columns from wires of their own, which show the codes of the channel of their
// group: all nine taps of the first position.
TEST(Trace, RowsOfGroupsSideBySideHaveWiresOfTheirOwn) {
  const TwoGroups layer;
  const auto seen = first_columns(layer, DataflowKind::kOutputStationary, "accelerator.column_feeder.significand",
                                  "accelerator.column_feeder.valid_");
  for (const std::size_t row : {0U, 1U}) {
    std::vector<std::int64_t> expected;
    for (std::size_t tap = 0; tap < 9; ++tap) expected.push_back(layer.significand(row, tap / 3 * 4 + tap % 3));
    EXPECT_EQ(seen.at(row), expected) << row;
  }
}

// Of a weight-stationary array: the first column has the even taps, and both positions pass by for each.
TEST(Trace, WeightStationaryRowsOfGroupsSideBySideHaveWiresOfTheirOwn) {
  const TwoGroups layer;
  const auto seen = first_columns(layer, DataflowKind::kWeightStationary, "accelerator.array.column_significand",
                                  "accelerator.array.passes_0");
  for (const std::size_t row : {0U, 1U}) {
    std::vector<std::int64_t> expected;
    for (std::size_t tap = 0; tap < 9; tap += 2) {
      for (const std::size_t x : {0U, 1U}) expected.push_back(layer.significand(row, tap / 3 * 4 + tap % 3 + x));
    }
    EXPECT_EQ(seen.at(row), expected) << row;
  }
}

// Leaves the trace of a forward pass on elements of four multipliers.
void trace_dot_products(const std::string& path, const SmallLayer& layer, DataflowKind dataflow) {
  ArrayConfig config = small_array();
  config.dataflow = dataflow;
  config.taps_per_cycle = 4;
  Simulator simulator(Detail::kStructural, config, TraceRequest{.file = path});
  simulator.simulate_pass(models::Pass::kForward, layer.shape, layer.activation, layer.weight, {.taps_per_cycle = 4},
                          std::nullopt);
  simulator.finish_trace();
}

// Of four multipliers: a kernel's nine products are three additions, the last one of a single product.
TEST(Trace, AnElementOfSeveralMultipliersFollowsTheReference) {
  const std::string path = testing::TempDir() + "dot-" + std::to_string(getpid()) + ".vcd";
  const SmallLayer layer;
  trace_dot_products(path, layer, DataflowKind::kOutputStationary);
  ValueChangeDump dump(path);
  for (const std::string name :
       {"accelerator.row_feeder.significand_1_3", "accelerator.column_feeder.valid_0_2",
        "accelerator.array.element_0_0.product_3", "accelerator.array.element_1_1.tree_sum.high"}) {
    EXPECT_TRUE(dump.has(name)) << name;
  }
  std::vector<std::int64_t> additions;
  std::vector<std::int64_t> widths;
  std::vector<std::int64_t> group_sums;
  std::int64_t clock = 0;
  bool hands_over = false;
  const std::string element = "accelerator.array.element_0_0.";
  while (dump.advance()) {
    const std::int64_t level = dump.value("accelerator.clock");
    if (level == 1 && clock == 0) {
      if (hands_over) group_sums.push_back(dump.value(element + "handed_over"));
      const std::int64_t products = dump.value(element + "tree_sum.products");
      if (products > 0) {
        widths.push_back(products);
        additions.push_back(dump.value(element + "tree_sum.low"));
        EXPECT_EQ(dump.value(element + "tree_sum.high"), additions.back() < 0 ? -1 : 0);
      }
      hands_over = dump.value("accelerator.hand_over") == 1;
    }
    clock = level;
  }
  const Followed expected = first_element(layer);
  EXPECT_EQ(group_sums, expected.group_sums);
  EXPECT_EQ(widths, (std::vector<std::int64_t>{4, 4, 1, 4, 4, 1, 4, 4, 1}));
  ASSERT_EQ(additions.size(), 9U);
  for (std::size_t group = 0; group < 3; ++group) {
    const auto sum_at = [&](std::size_t tap) { return expected.sums[group * 9 + tap]; };
    EXPECT_EQ(additions[group * 3], sum_at(3));
    EXPECT_EQ(additions[group * 3 + 1], sum_at(7) - sum_at(3));
    EXPECT_EQ(additions[group * 3 + 2], expected.group_sums[group] - sum_at(7));
  }
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
}

// Of a weight-stationary one: operands by element, or column, and tap; a word's products in one addition.
TEST(Trace, NamesAWeightStationaryElementOfSeveralMultipliers) {
  const std::string path = testing::TempDir() + "stationary-dot-" + std::to_string(getpid()) + ".vcd";
  const SmallLayer layer;
  trace_dot_products(path, layer, DataflowKind::kWeightStationary);
  ValueChangeDump dump(path);
  for (const std::string name : {"accelerator.array.own_significand_1_3", "accelerator.array.column_valid_0_2",
                                 "accelerator.array.element_0_0.product_3",
                                 "accelerator.array.element_1_1.tree_sum.high", "accelerator.array.element_1_1.sum"}) {
    EXPECT_TRUE(dump.has(name)) << name;
  }
  std::int64_t most = 0;
  while (dump.advance()) {
    most = std::max(most, dump.value("accelerator.array.element_0_0.tree_sum.products"));
  }
  EXPECT_EQ(most, 4);
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
}

// Of a tile for two channels at each position: the scale wires of the first row and the first column at each start of
// the group-scale units.
TEST(Trace, ScalesFollowTheTiles) {
  const std::string path = testing::TempDir() + "scales-" + std::to_string(getpid()) + ".vcd";
  const SmallLayer layer;
  const auto quantized = [](const models::Shape& shape, unsigned seed) {
    const models::Tensor<double> values = models::dequantize(SmallLayer::tensor(shape, seed));
    return models::reference_quantize({shape, {values.values.begin(), values.values.end()}},
                                      models::parse_scaled_format("nvfp4/t1x2x1x1"), {}, "operand")
        .tensor;
  };
  const models::ScaledTensor activation = quantized(layer.shape.activation_shape(), 1);
  const models::ScaledTensor weight = quantized(layer.shape.weight_shape(), 2);
  {
    Simulator simulator(Detail::kStructural, small_array(), TraceRequest{.file = path});
    simulator.simulate_pass(models::Pass::kForward, layer.shape, activation, weight, {}, std::nullopt);
    simulator.finish_trace();
  }
  struct Scales {
    models::TileScale row;
    models::TileScale column;
    bool operator==(const Scales&) const = default;
  };
  std::vector<Scales> expected;
  for (std::size_t run = 0; run < 2; ++run) {
    for (std::size_t y = 0; y < 3; ++y) {
      for (std::size_t x = 0; x < 3; ++x) {
        expected.push_back({weight.scales[run * 9 + y * 3 + x], activation.scales[run * 12 + y * 4 + x]});
      }
    }
  }
  ValueChangeDump dump(path);
  const auto scale = [&](const std::string& feeder) {
    return models::TileScale{static_cast<std::int16_t>(dump.value("accelerator." + feeder + ".scale_exponent_0")),
                             static_cast<std::uint8_t>(dump.value("accelerator." + feeder + ".scale_significand_0"))};
  };
  std::vector<Scales> seen;
  std::int64_t clock = 0;
  while (dump.advance()) {
    const std::int64_t level = dump.value("accelerator.clock");
    if (level == 0 && clock == 1 && dump.value("accelerator.scaler_start") == 1) {
      seen.push_back({scale("row_feeder"), scale("column_feeder")});
    }
    clock = level;
  }
  EXPECT_TRUE(seen == expected) << seen.size() << " groups, expected " << expected.size();
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
}

TEST(Trace, NamesThePass) {
  const std::string path = testing::TempDir() + "passes-" + std::to_string(getpid()) + ".vcd";
  const SmallLayer layer;
  const models::ScaledTensor error = SmallLayer::tensor(layer.shape.error_shape(), 3);
  {
    Simulator simulator(Detail::kStructural, small_array(), TraceRequest{.file = path});
    simulator.simulate_pass(models::Pass::kForward, layer.shape, layer.activation, layer.weight, {}, std::nullopt);
    simulator.simulate_pass(models::Pass::kBackwardWeight, layer.shape, error, layer.activation, {}, std::nullopt);
    simulator.simulate_pass(models::Pass::kBackwardData, layer.shape, error, layer.weight, {}, std::nullopt);
    simulator.finish_trace();
  }
  ValueChangeDump dump(path);
  std::vector<std::pair<std::int64_t, std::int64_t>> passes;
  bool in_reset = false;
  while (dump.advance()) {
    if (dump.value("accelerator.reset") == 1 && !in_reset) {
      passes.emplace_back(dump.value("accelerator.pass_number"), dump.value("accelerator.pass"));
    }
    in_reset = dump.value("accelerator.reset") == 1;
  }
  EXPECT_THAT(passes, testing::ElementsAre(std::pair(1, 0), std::pair(2, 2), std::pair(3, 1)));
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
}

// All that a VCD has: declared names, and by time what is written then.
struct Written {
  std::vector<std::string> declarations;
  std::map<std::uint64_t, std::string> times;
  std::string text;

  explicit Written(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> scopes;
    std::string* at = nullptr;
    for (std::string line; std::getline(file, line); text += line + "\n") {
      std::istringstream words(line);
      std::string word;
      words >> word;
      if (word == "$scope") {
        words >> word >> word;
        scopes.push_back(word);
      } else if (word == "$upscope") {
        scopes.pop_back();
      } else if (word == "$var") {
        for (int i = 0; i < 4; ++i) words >> word;
        std::string full;
        for (const std::string& scope : scopes) full += scope + ".";
        declarations.push_back(full + word);
      } else if (word.starts_with('#')) {
        at = &times[std::stoull(word.substr(1))];
      } else if (at != nullptr) {
        *at += line + "\n";
      }
    }
  }
};

PassResult run_traced(const TraceRequest& request) {
  const SmallLayer layer;
  const models::ScaledTensor error = SmallLayer::tensor(layer.shape.error_shape(), 3);
  Simulator simulator(Detail::kStructural, small_array(), request);
  simulator.mark("conv.forward");
  PassResult result =
      simulator.simulate_pass(models::Pass::kForward, layer.shape, layer.activation, layer.weight, {}, std::nullopt);
  simulator.mark("conv.backward_weight");
  simulator.simulate_pass(models::Pass::kBackwardWeight, layer.shape, error, layer.activation, {}, std::nullopt);
  simulator.finish_trace();
  return result;
}

TEST(Trace, HasTheCyclesAndSignalsThatAreAskedFor) {
  const std::string path = testing::TempDir() + "window-" + std::to_string(getpid()) + ".vcd";
  run_traced({.file = path,
              .first_cycle = 20,
              .last_cycle = 29,
              .scopes = {"accelerator.array.element_0_*", "accelerator.clock"}});
  const Written written(path);
  for (const std::string& name : written.declarations) {
    EXPECT_TRUE(name.starts_with("accelerator.array.element_0_") || name == "accelerator.clock") << name;
  }
  EXPECT_THAT(written.declarations, testing::Contains("accelerator.array.element_0_0.accumulator"));
  EXPECT_THAT(written.declarations, testing::Contains("accelerator.array.element_0_1.accumulator"));
  ASSERT_FALSE(written.times.empty());
  EXPECT_EQ(written.times.begin()->first, 20'000U);
  EXPECT_THAT(written.times.begin()->second, testing::HasSubstr("$dumpvars"));
  EXPECT_GE(written.times.rbegin()->first, 30'000U);
  EXPECT_LE(written.times.rbegin()->first, 31'000U);
  EXPECT_TRUE(written.times.rbegin()->second.empty());
  // A clock that ticks at each of the ten cycles.
  EXPECT_GE(written.times.size(), 20U);
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
}

TEST(Trace, MarksLayersAndPassesAndForetellsItsSize) {
  const std::string path = testing::TempDir() + "marks-" + std::to_string(getpid()) + ".vcd";
  const SmallLayer layer;
  const models::ScaledTensor error = SmallLayer::tensor(layer.shape.error_shape(), 3);
  Simulator simulator(Detail::kStructural, small_array(), TraceRequest{.file = path});
  const auto size = simulator.trace_size();
  ASSERT_TRUE(size);
  simulator.mark("conv.forward");
  const PassResult first =
      simulator.simulate_pass(models::Pass::kForward, layer.shape, layer.activation, layer.weight, {}, std::nullopt);
  simulator.mark("conv.backward_weight");
  const PassResult second =
      simulator.simulate_pass(models::Pass::kBackwardWeight, layer.shape, error, layer.activation, {}, std::nullopt);
  simulator.finish_trace();
  const Written written(path);
  EXPECT_EQ(written.declarations.size(), size->signals);
  EXPECT_THAT(written.text, testing::HasSubstr("$comment conv.forward $end"));
  EXPECT_THAT(written.text, testing::HasSubstr("$comment conv.backward_weight $end"));
  const auto header = static_cast<double>(written.text.find("$enddefinitions"));
  const double bytes = static_cast<double>(written.text.size()) - header;
  const double foretold = size->bytes_a_cycle * static_cast<double>(first.cycles.total() + second.cycles.total());
  EXPECT_LT(bytes / foretold, 2.5);
  EXPECT_GT(bytes / foretold, 0.4);

  std::ifstream save(gtkw_file(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(save, line);) lines.push_back(line);
  EXPECT_THAT(lines, testing::Contains("[markername] Aconv.forward"));
  EXPECT_THAT(lines, testing::Contains("[markername] Bconv.backward_weight"));
  EXPECT_THAT(lines, testing::Contains("[dumpfile] \"" + std::filesystem::path(path).filename().string() + "\""));
  EXPECT_THAT(lines, testing::Contains("accelerator.clock"));
  const auto markers =
      std::find_if(lines.begin(), lines.end(), [](const std::string& line) { return line.starts_with("*-12"); });
  ASSERT_NE(markers, lines.end());
  std::istringstream words(*markers);
  std::string word;
  words >> word >> word;
  EXPECT_EQ(word, "-1");
  std::uint64_t begin = 0;
  std::uint64_t next = 0;
  words >> begin >> next;
  EXPECT_EQ(begin, 0U);
  EXPECT_NEAR(static_cast<double>(next) / 1000, static_cast<double>(first.cycles.total()), 8);
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
}

// Sums are in two's complement.
TEST(Trace, BusesAreAsWideAsTheMachines) {
  const std::string path = testing::TempDir() + "narrow-" + std::to_string(getpid()) + ".vcd";
  const SmallLayer layer;
  BusWidths widths;
  const int accumulator_bits = 19;
  widths.add_pass(layer.activation.format, layer.weight.format, accumulator_bits, 4);
  Simulator simulator(Detail::kStructural, small_array(), TraceRequest{.file = path, .widths = widths});
  simulator.simulate_pass(models::Pass::kForward, layer.shape, layer.activation, layer.weight, {}, std::nullopt);
  simulator.finish_trace();
  const Written written(path);
  EXPECT_THAT(written.text, testing::ContainsRegex("wire 5 [^ ]+ significand_0 \\[4:0\\]"));
  EXPECT_THAT(written.text, testing::ContainsRegex("wire 10 [^ ]+ product \\[9:0\\]"));
  EXPECT_THAT(written.text, testing::ContainsRegex("wire 19 [^ ]+ accumulator \\[18:0\\]"));
  EXPECT_THAT(written.text, testing::ContainsRegex("wire 2 [^ ]+ address_1 \\[1:0\\]"));
  ValueChangeDump dump(path);
  std::vector<std::int64_t> seen;
  const Followed expected = first_element(layer);
  while (dump.advance()) {
    const std::int64_t bits = dump.value("accelerator.array.element_0_0.handed_over");
    const std::int64_t sum = bits >> (accumulator_bits - 1) == 0 ? bits : bits - (std::int64_t{1} << accumulator_bits);
    if (sum != (seen.empty() ? 0 : seen.back())) seen.push_back(sum);
  }
  EXPECT_EQ(seen, expected.group_sums);
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
}

TEST(Trace, AScopeWithoutASignalIsRefused) {
  const std::string path = testing::TempDir() + "scope-" + std::to_string(getpid()) + ".vcd";
  EXPECT_THAT(
      [&] {
        Simulator(Detail::kStructural, small_array(),
                  TraceRequest{.file = path, .scopes = {"accelerator.array", "accelerator.array.element_9_*"}});
      },
      testing::ThrowsMessage<std::runtime_error>(
          testing::HasSubstr("--trace-scope accelerator.array.element_9_*: no signal")));
  EXPECT_FALSE(std::filesystem::exists(path));
}

// A tile of 54 weights and 36 activations of 7 bits, each with 9 bits of scale a plane, and of 4 results.
TEST(Trace, ChannelMovesTheBytesOfATile) {
  const std::string path = testing::TempDir() + "memory-" + std::to_string(getpid()) + ".vcd";
  const SmallLayer layer;
  ArrayConfig config = small_array();
  config.dram_bytes_per_cycle = {2000};
  config.dram_latency_cycles = 5;
  config.sram_read_bytes_per_cycle = {1000};
  PassResult result;
  {
    Simulator simulator(Detail::kStructural, config, TraceRequest{.file = path});
    result = simulator.simulate_pass(models::Pass::kForward, layer.shape, layer.activation, layer.weight, {},
                                     ResultQuantization{{layer.activation.format}, {}});
    simulator.finish_trace();
  }
  ValueChangeDump dump(path);
  std::array<std::uint64_t, 4> moves{};
  std::uint64_t busy = 0;
  std::uint64_t rising = 0;
  std::int64_t clock = 0;
  while (dump.advance()) {
    const std::int64_t level = dump.value("accelerator.clock");
    rising += level == 1 && clock == 0 ? 1 : 0;
    if (level == 0 && clock == 1) {
      ++moves[static_cast<std::size_t>(dump.value("accelerator.dram_channel.moves"))];
      busy += static_cast<std::uint64_t>(dump.value("accelerator.row_sram_port.busy"));
    }
    clock = level;
  }
  EXPECT_EQ(moves[1], (54U + (36 * 7 + 3 * 9 + 7) / 8 + 1) / 2);
  EXPECT_EQ(moves[2], 16U) << "slowed down by the port of the SRAM";
  EXPECT_EQ(moves[3], ((4U * 7 + 2 * 9 + 7) / 8 + 1) / 2);
  EXPECT_EQ(busy, (54U * 7 + 6 * 9) / 8);
  EXPECT_EQ(rising, result.cycles.total()) << "no cycle goes by uncounted";
  std::filesystem::remove(path);
  std::filesystem::remove(gtkw_file(path));
}

TEST(Trace, UnwritableFileIsRefused) {
  EXPECT_THAT(
      [] { Simulator(Detail::kStructural, small_array(), TraceRequest{.file = "no-such-folder/trace.vcd"}); },
      testing::ThrowsMessage<std::runtime_error>(testing::HasSubstr("no-such-folder/trace.vcd: cannot be written")));
}

}  // namespace
}  // namespace mlsim::sim
