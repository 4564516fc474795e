// One layer's energy in nvfp4 in plain arithmetic, against what the engine counts and the table prices, and against
// docs/energy-by-hand-nvfp4.md.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "energy/pricing.h"
#include "evaluation/counted_operations.h"
#include "models/convolution/convolution.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "models/quantizer/quantizer.h"
#include "tests/support/by_hand.h"
#include "tests/support/laws.h"

namespace mlsim {
namespace {

using energy::Operation;
using models::Operand;
using models::Pass;
using test::adder;
using test::kRegister;
using test::laws;

const models::ConvolutionShape& layer() {
  static const models::ConvolutionShape shape{.batch = 16, .in_channels = 40, .out_channels = 16, .in_size = {4, 4}};
  return shape;
}

// On the elements of the default array of 16 × 16.
energy::Surroundings surroundings() {
  return {.left_fanout = 16, .right_fanout = 16};
}

models::ScaledTensor operand(const models::ScaledFormat& format, Operand operand, Pass pass) {
  std::mt19937 random(1);
  models::Tensor<float> tensor{layer().shape_of(operand), {}};
  for (std::int64_t i = models::element_count(tensor.shape); i > 0; --i) {
    tensor.values.push_back(std::normal_distribution<float>()(random));
  }
  return models::quantize(tensor, format.of(operand, pass), {}, models::to_string(operand)).tensor;
}

models::Reduction reduction(const models::ScaledFormat& format, Pass pass) {
  return {pass, layer(), format.of(left_operand(pass), pass).layout, format.of(right_operand(pass), pass).layout};
}

// An array has one width: that of the pass with the largest groups.
int accumulator_bits(const models::ScaledFormat& format) {
  int widest = 0;
  for (const Pass pass : models::kPasses) {
    const std::int64_t taps = reduction(format, pass).taps();
    widest = std::max(widest, models::full_accumulator_bits(format.element, format.element, taps));
  }
  return widest;
}

void add_quantization(const models::Format& format, Pass pass, energy::Counts& counts) {
  const models::Shape shape = layer().result_shape(pass);
  const auto results = static_cast<std::uint64_t>(models::element_count(shape));
  for (const models::Format& next : models::next_formats(format, pass)) {
    counts[Operation::kQuantize] += results;
    counts[Operation::kGroupQuantize] +=
        static_cast<std::uint64_t>(std::get<models::ScaledFormat>(next).layout.count(shape));
    // Errors are rounded with 16 random bits each.
    if (models::result_operand(pass) == Operand::kError) counts[Operation::kRandomBits] += 16 * results;
  }
}

energy::Breakdown scaled_energy(const std::string& name, Pass pass) {
  const models::ScaledFormat format = models::parse_scaled_format(name);
  const energy::ScaledDatapath datapath{format, format, accumulator_bits(format)};
  const models::OperationCounts counted =
      models::functional_convolution(pass, layer(), operand(format, left_operand(pass), pass),
                                     operand(format, right_operand(pass), pass), {})
          .counts;
  energy::Counts counts = energy::multiply_add_counts(datapath, layer().multiply_adds(pass));
  evaluation::visit_operations(counted, [&](Operation operation, std::uint64_t count) { counts[operation] = count; });
  add_quantization(format, pass, counts);
  return energy::price(counts, energy::price_datapath(laws(), datapath, surroundings()));
}

energy::Breakdown fp32_energy(Pass pass) {
  const energy::BaselineDatapath datapath{};
  return energy::price(energy::multiply_add_counts(datapath, layer().multiply_adds(pass)),
                       energy::price_datapath(laws(), datapath, surroundings()));
}

// A price, and the counts of forward, backward data and backward weight.
struct Term {
  double price;
  std::array<std::uint64_t, 3> counts;
};

std::map<Operation, Term> by_hand() {
  const double multiply = 0.2 * (2 * 2 - 2) / 56;
  const double shift = 0.00225 * 4 * 3;
  const double element = 1.4 * multiply + 0.0023 * 4 * 3 + 0.0014 * 8 + 0.0066 * 13;
  const double rest = element - (multiply + adder(2) + shift + adder(13)) + 2 * 4 * kRegister / 16;
  double fractions = 0;
  for (int n = 14; n <= 19; ++n) fractions += adder(n);
  const double division = 26 * (adder(25) + 51 * kRegister) + adder(8) + adder(24);

  const std::uint64_t adds = 16 * 16 * 40 * 16;
  const std::array<std::uint64_t, 3> all{adds, adds, adds};
  const std::array<std::uint64_t, 3> uses{4096 * 3, 10240 * 1, 640 * 16};
  return {
      {Operation::kMantissaMultiply, {multiply, all}},
      {Operation::kExponentAdd, {adder(2), all}},
      {Operation::kShift, {shift, all}},
      {Operation::kIntegerAccumulate, {adder(13), all}},
      {Operation::kRegister, {rest, all}},
      {Operation::kGroupExponentAdd, {adder(4), uses}},
      {Operation::kShiftAndAdd, {fractions, uses}},
      {Operation::kConvertToFloat, {adder(21) + 0.0016 * 21 + 0.00225 * 21 * 5 + adder(8), uses}},
      {Operation::kFloatAdd, {0.9 + 32 * kRegister, uses}},
      {Operation::kTensorScale, {3.7, {4096, 10240, 640}}},
      {Operation::kQuantize,
       {adder(31) + 31 * kRegister + 0.00225 * 24 * 2 + adder(2) + 3.7, {2 * 4096, 2 * 10240, 2 * 640}}},
      {Operation::kGroupQuantize,
       {3.7 + std::sqrt(3.7 * 0.24) + 0.00225 * 24 * 3 + adder(4) + division, {256 + 256, 768 + 640, 48 + 40}}},
      {Operation::kRandomBits, {kRegister + 0.0009 + adder(1), {0, 2 * 10240 * 16, 0}}},
  };
}

std::string document() {
  std::ifstream stream(MLSIM_SOURCE_DIR "/docs/energy-by-hand-nvfp4.md");
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

TEST(Nvfp4ByHand, IsWhatIsCountedAndPriced) {
  const std::map<Operation, Term> terms = by_hand();
  for (const Pass pass : models::kPasses) {
    const energy::Breakdown priced = scaled_energy("nvfp4", pass);
    std::map<energy::Line, double> sums;
    for (const Operation operation : energy::kOperations) {
      const auto term = terms.find(operation);
      const std::uint64_t count = term == terms.end() ? 0 : term->second.counts[static_cast<std::size_t>(pass)];
      const double energy = count == 0 ? 0 : term->second.price * static_cast<double>(count);
      EXPECT_EQ(priced.counts[operation], count) << name(operation) << " of " << to_string(pass);
      EXPECT_NEAR(priced.energy_pj[operation].value, energy, 1e-12 * energy) << name(operation);
      sums[line_of(operation)] += energy;
    }
    EXPECT_NEAR(priced.operations_only().value, sums[energy::Line::kOperation], 1e-6);
    EXPECT_NEAR(priced.computing().value, sums[energy::Line::kOperation] + sums[energy::Line::kOverhead], 1e-6);
  }
}

TEST(Nvfp4ByHand, IsWhatTheDocumentSays) {
  const std::string text = document();
  std::vector<energy::Breakdown> passes;
  for (const Pass pass : models::kPasses) passes.push_back(scaled_energy("nvfp4", pass));
  for (const auto& [operation, term] : by_hand()) {
    std::string row = fmt::format("| {} |", energy::name(operation));
    for (const energy::Breakdown& pass : passes) {
      const energy::WideCount count = pass.counts[operation];
      row += count == 0 ? " 0 |" : fmt::format(" {}: {:.4f} |", count.digits(), pass.energy_pj[operation].value);
    }
    EXPECT_THAT(text, testing::HasSubstr(row + "\n"));
  }
  const auto sums = [&](const char* name, auto sum_of) {
    std::string row = fmt::format("| **{}** |", name);
    for (const energy::Breakdown& pass : passes) row += fmt::format(" {:.4f} |", sum_of(pass).value);
    EXPECT_THAT(text, testing::HasSubstr(row + "\n"));
  };
  sums("operations only", [](const energy::Breakdown& b) { return b.operations_only(); });
  sums("all computing", [](const energy::Breakdown& b) { return b.computing(); });
}

// Bits of an operand as a pass takes it, scales included.
std::int64_t stored_bits(const models::ScaledFormat& format, Operand operand, Pass pass) {
  const models::Shape shape = layer().shape_of(operand);
  return models::element_count(shape) * format.element.code_bits() +
         format.of(operand, pass).layout.count(shape) * format.scale.stored_bits();
}

TEST(Nvfp4ByHand, ComparesFormatsAsTheDocumentSays) {
  const std::string text = document();
  const auto row = [&](const std::string& name, const auto& energy_of) {
    energy::Breakdown all;
    double multiply_adds = 0;
    std::string passes;
    for (const Pass pass : models::kPasses) {
      const energy::Breakdown priced = energy_of(pass);
      const auto count = static_cast<double>(layer().multiply_adds(pass));
      passes += fmt::format(" {:.3f} |", priced.computing().value / count);
      all += priced;
      multiply_adds += count;
    }
    EXPECT_THAT(text, testing::HasSubstr(fmt::format("| {} | {:.4f} | {:.3f} |{}", name,
                                                     all.operations_only().value / multiply_adds,
                                                     all.computing().value / multiply_adds, passes)));
  };
  for (const char* name : {"nvfp4", "mxfp4/k16", "e2m1/fit/b16", "e2m1/nc", "e2m4/nc"}) {
    row(name, [&](Pass pass) { return scaled_energy(name, pass); });
  }
  row("fp32", [&](Pass pass) { return fp32_energy(pass); });
}

TEST(Nvfp4ByHand, StoresWhatTheDocumentSays) {
  const std::string text = document();
  const models::ScaledFormat nvfp4 = models::parse_scaled_format("nvfp4");
  for (const Pass pass : models::kPasses) {
    const Operand left = left_operand(pass);
    const Operand right = right_operand(pass);
    EXPECT_THAT(text, testing::HasSubstr(fmt::format("| {} | {} {} | {} {} |\n", to_string(pass), to_string(left),
                                                     stored_bits(nvfp4, left, pass), to_string(right),
                                                     stored_bits(nvfp4, right, pass))));
  }
}

}  // namespace
}  // namespace mlsim
