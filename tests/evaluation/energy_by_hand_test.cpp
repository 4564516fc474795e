// One layer's energy in plain arithmetic, against the command's pricing and against docs/energy-by-hand.md.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "energy/cost_table.h"
#include "evaluation/pricing.h"
#include "evaluation/simulate.h"
#include "tests/support/by_hand.h"
#include "workloads/workload.h"

namespace mlsim::evaluation {
namespace {

using energy::Operation;
using test::adder;
using test::kRegister;

constexpr const char* kWorkload = R"({
  "schema": "mlsim.workload/1", "name": "one layer", "seed": 1, "format": "e2m4",
  "layers": [{ "name": "conv", "type": "conv2d", "batch": 1, "in_channels": 16, "out_channels": 16,
               "in_size": [32, 32], "kernel": [3, 3], "padding": [1, 1] }]
})";

Results results() {
  SimulationOptions options;
  options.engine = Engine::kAnalytic;
  return simulate(workloads::parse_workload(kWorkload, "one layer", "."), options, [](const std::string&) {});
}

double divider(int quotient, int divisor) {
  return quotient * (adder(divisor + 1) + (divisor + 1 + quotient) * kRegister);
}

// A price, and the counts of forward, backward data and backward weight.
struct Term {
  double price;
  std::array<std::uint64_t, 3> counts;
};

std::map<Operation, Term> by_hand() {
  const double multiply = 0.2 * (5 * 5 - 5) / 56;
  const double shift = 0.00225 * 10 * 3;
  const double element = 1.4 * multiply + 0.0023 * 10 * 3 + 0.0014 * 14 + 0.0066 * 25;
  const double rest = element - (multiply + adder(2) + shift + adder(25)) + 2 * 7 * kRegister / 16;
  const double division = divider(26, 24) + adder(8) + adder(24);
  const double quantize =
      adder(31) + 31 * kRegister + division + adder(8) + divider(26, 2) + adder(24) + 0.00225 * 24 * 3 + adder(5);
  const double buffer = 10.0 / 64 * std::sqrt(7168.0 / 8192);
  const double sram = 20.0 / 64 * std::pow(16, std::log(5) / std::log(32));
  const double dram = 1950.0 / 64;

  const std::uint64_t adds = 16 * 16 * 94 * 94;
  const std::array<std::uint64_t, 3> all{adds, adds, adds};
  const std::array<std::uint64_t, 3> uses{16384 * 16, 16384 * 16, 2304};
  const std::array<std::uint64_t, 3> elements{16384, 16384, 2304};
  const std::uint64_t weights = 2304 * 7 + 256 * 9;
  const std::uint64_t images = 16384 * 7 + 16 * 9;
  const std::uint64_t panel = 16 * 144 * 7;                // of the array's rows, or of a tile's columns
  const std::uint64_t scaled_panel = panel + 16 * 16 * 9;  // with its group scales
  const std::uint64_t image_panel = 16 * 1024 * 7;
  const std::uint64_t result_bits = 16384 * 32;
  const std::uint64_t weight_bits = 2304 * 32;
  const auto alike = [](std::uint64_t two, std::uint64_t last) { return std::array<std::uint64_t, 3>{two, two, last}; };
  return {
      {Operation::kMantissaMultiply, {multiply, all}},
      {Operation::kExponentAdd, {adder(2), all}},
      {Operation::kShift, {shift, all}},
      {Operation::kIntegerAccumulate, {adder(25), all}},
      {Operation::kRegister, {rest, all}},
      {Operation::kGroupExponentAdd, {adder(8), uses}},
      {Operation::kShiftAndAdd, {adder(26) + adder(27), uses}},
      {Operation::kConvertToFloat, {adder(29) + 0.0016 * 29 + 0.00225 * 29 * 5 + adder(8) + adder(24), uses}},
      {Operation::kFloatAdd, {0.9 + 32 * kRegister, uses}},
      {Operation::kTensorScale, {3.7, elements}},
      {Operation::kQuantize, {quantize, elements}},
      {Operation::kGroupQuantize, {division + adder(8) + adder(1), alike(16, 256)}},
      {Operation::kRandomBits, {kRegister + 0.0009 + adder(1), {0, 16384 * 16, 0}}},
      {Operation::kBufferRead, {buffer, alike(2 * 64 * panel, 2 * 9 * image_panel)}},
      {Operation::kBufferWrite, {buffer, alike(panel + 64 * panel, 2 * 9 * image_panel)}},
      {Operation::kSramRead,
       {sram, alike(65 * scaled_panel + 2 * result_bits, 2 * 9 * (image_panel + 16 * 9) + 2 * weight_bits)}},
      {Operation::kSramWrite, {sram, alike(weights + images + result_bits, 2 * images + weight_bits)}},
      {Operation::kDramRead, {dram, alike(weights + images, 2 * images)}},
      {Operation::kDramWrite, {dram, alike(result_bits + images, weight_bits + weights)}},
  };
}

TEST(EnergyByHand, IsWhatTheCommandPrices) {
  const Price price = evaluation::price(work_of(results()), energy::Laws(energy::find_cost_table()));
  ASSERT_EQ(price.layers.size(), 1U);
  ASSERT_EQ(price.layers[0].size(), 3U);
  const std::map<Operation, Term> terms = by_hand();
  for (std::size_t pass = 0; pass < 3; ++pass) {
    const energy::Breakdown& priced = price.layers[0][pass].energy;
    std::map<energy::Line, double> sums;
    for (const Operation operation : energy::kOperations) {
      const auto term = terms.find(operation);
      const std::uint64_t count = term == terms.end() ? 0 : term->second.counts[pass];
      const double energy = count == 0 ? 0 : term->second.price * static_cast<double>(count);
      EXPECT_EQ(priced.counts[operation], count) << name(operation) << " of pass " << pass;
      EXPECT_DOUBLE_EQ(priced.energy_pj[operation].value, energy) << name(operation) << " of pass " << pass;
      sums[line_of(operation)] += energy;
    }
    EXPECT_DOUBLE_EQ(priced.operations_only().value, sums[energy::Line::kOperation]);
    EXPECT_DOUBLE_EQ(priced.computing().value, sums[energy::Line::kOperation] + sums[energy::Line::kOverhead]);
    EXPECT_DOUBLE_EQ(priced.memory().value, sums[energy::Line::kMemory]);
  }
}

TEST(EnergyByHand, IsWhatTheDocumentSays) {
  std::ifstream stream(MLSIM_SOURCE_DIR "/docs/energy-by-hand.md");
  const std::string document{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  const Price price = evaluation::price(work_of(results()), energy::Laws(energy::find_cost_table()));
  for (const auto& [operation, term] : by_hand()) {
    std::string row = fmt::format("| {} |", energy::name(operation));
    for (const PassPrice& pass : price.layers.at(0)) {
      const energy::WideCount count = pass.energy.counts[operation];
      row += count == 0 ? " 0 |" : fmt::format(" {}: {:.4f} |", count.digits(), pass.energy.energy_pj[operation].value);
    }
    EXPECT_THAT(document, testing::HasSubstr(row + "\n"));
  }
  const auto sums = [&](const char* name, auto sum_of) {
    std::string row = fmt::format("| **{}** |", name);
    for (const PassPrice& pass : price.layers.at(0)) row += fmt::format(" {:.4f} |", sum_of(pass.energy).value);
    EXPECT_THAT(document, testing::HasSubstr(row + "\n"));
  };
  sums("operations only", [](const energy::Breakdown& b) { return b.operations_only(); });
  sums("all computing", [](const energy::Breakdown& b) { return b.computing(); });
  sums("memory", [](const energy::Breakdown& b) { return b.memory(); });
}

}  // namespace
}  // namespace mlsim::evaluation
