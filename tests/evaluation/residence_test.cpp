// What stays between layers: by hand, the same on the machine and in the closed form, and of whole networks.
#include "evaluation/residence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "evaluation/pricing.h"
#include "tests/support/laws.h"
#include "tests/support/run_layers.h"
#include "workloads/network.h"
#include "workloads/source.h"

namespace mlsim::evaluation {
namespace {

using models::Pass;
using workloads::InputLink;

// Two layers of 4 channels on 4 × 4 images: 64 elements of 7 bits and 4 scales of 9 in each activation and each error.
constexpr std::uint64_t kMap = 64 * 7 + 4 * 9;
constexpr std::uint64_t kResults = 64 * 32;

std::string two_layers(const std::string& link, const std::string& passes = "") {
  const std::string shape = R"("type": "conv2d", "batch": 1, "in_channels": 4, "out_channels": 4, "in_size": [4, 4],
    "kernel": [3, 3], "padding": [1, 1], "values": {})" +
                            passes;
  return R"([{ "name": "a", )" + shape + R"( }, { "name": "b", "reads_previous": ")" + link + R"(", )" + shape + " }]";
}

sim::ArrayConfig keeping() {
  sim::ArrayConfig array;
  array.keep_between_layers = true;
  return array;
}

const sim::Traffic& traffic(const Results& results, std::size_t layer, Pass pass) {
  return results.layers.at(layer).passes.at(static_cast<std::size_t>(pass)).traffic;
}

TEST(Residence, OfTwoLayersThatFollowEachOther) {
  const Results results = test::run_layers(two_layers("alone"), Engine::kAnalytic, "", keeping());
  // b's backward weight takes the activation again, so it leaves, too.
  const sim::Traffic& a = traffic(results, 0, Pass::kForward);
  EXPECT_EQ(a.dram_column_reads, kMap);
  EXPECT_EQ(a.dram_code_writes, kMap);
  EXPECT_EQ(a.sram_result_writes, kResults + kMap);
  const sim::Traffic& b = traffic(results, 1, Pass::kForward);
  EXPECT_EQ(b.dram_column_reads, 0U);
  EXPECT_EQ(b.dram_row_reads, 4 * 4 * 9 * 7 + 16 * 9U);
  EXPECT_EQ(b.sram_operand_writes, b.dram_row_reads);
  EXPECT_EQ(b.dram_code_writes, kMap);
  EXPECT_EQ(b.sram_result_writes, kResults);
  // Nothing takes a's errors again behind a.
  EXPECT_EQ(traffic(results, 1, Pass::kBackwardData).dram_column_reads, kMap);
  EXPECT_EQ(traffic(results, 1, Pass::kBackwardData).dram_code_writes, 0U);
  EXPECT_EQ(traffic(results, 1, Pass::kBackwardData).sram_result_writes, kResults + kMap);
  EXPECT_EQ(traffic(results, 0, Pass::kBackwardWeight).dram_row_reads, 0U);
  EXPECT_EQ(traffic(results, 0, Pass::kBackwardWeight).dram_column_reads, kMap);
  EXPECT_EQ(traffic(results, 0, Pass::kBackwardData).dram_column_reads, 0U);
  EXPECT_EQ(traffic(results, 0, Pass::kBackwardData).dram_code_writes, kMap);
  // Binary32 leaves for what works element by element, as before.
  for (const std::size_t layer : {0U, 1U}) {
    EXPECT_EQ(traffic(results, layer, Pass::kForward).dram_result_writes, kResults);
  }
}

TEST(Residence, ErrorsOfSharedResultsDoNotStay) {
  const Results results = test::run_layers(two_layers("shared"), Engine::kAnalytic, "", keeping());
  EXPECT_EQ(traffic(results, 1, Pass::kForward).dram_column_reads, 0U);
  EXPECT_EQ(traffic(results, 0, Pass::kForward).dram_code_writes, kMap);
  EXPECT_EQ(traffic(results, 1, Pass::kBackwardData).dram_code_writes, kMap);
  EXPECT_EQ(traffic(results, 0, Pass::kBackwardWeight).dram_row_reads, kMap);
  EXPECT_EQ(traffic(results, 0, Pass::kBackwardData).dram_column_reads, kMap);
}

TEST(Residence, WithoutTrainingActivationsNeverLeave) {
  const std::string forward = R"(, "passes": ["forward"])";
  const auto code_writes = [&](const char* link) {
    const Results results = test::run_layers(two_layers(link, forward), Engine::kAnalytic, "", keeping());
    return traffic(results, 0, Pass::kForward).dram_code_writes;
  };
  EXPECT_EQ(code_writes("alone"), 0U);
  EXPECT_EQ(code_writes("shared"), kMap);
}

TEST(Residence, IsNoneWhereItDoesNotFitOrIsNotAskedFor) {
  sim::ArrayConfig small = keeping();
  small.global_sram_bytes = 3 * kMap / 8 - 1;
  sim::ArrayConfig none = small;
  none.keep_between_layers = false;
  const Results kept = test::run_layers(two_layers("alone"), Engine::kAnalytic, "", small);
  const Results plain = test::run_layers(two_layers("alone"), Engine::kAnalytic, "", none);
  for (const std::size_t layer : {0U, 1U}) {
    for (const Pass pass : models::kPasses) EXPECT_EQ(traffic(kept, layer, pass), traffic(plain, layer, pass));
  }
  small.global_sram_bytes = (3 * kMap + 7) / 8;
  const Results fits = test::run_layers(two_layers("alone"), Engine::kAnalytic, "", small);
  EXPECT_EQ(traffic(fits, 1, Pass::kForward).dram_column_reads, 0U);
}

// Blocks of k16 tile an activation in another way for backward weight: only that of the forward pass stays.
TEST(Residence, StaysInTheTilingThatIsTakenNext) {
  const std::string layers = R"([
    { "name": "a", "type": "conv2d", "batch": 16, "in_channels": 16, "out_channels": 16, "in_size": [4, 4], "kernel": [1, 1] },
    { "name": "b", "reads_previous": "alone", "type": "conv2d", "batch": 16, "in_channels": 16, "out_channels": 16,
      "in_size": [4, 4], "kernel": [1, 1] }])";
  SimulationOptions options;
  options.engine = Engine::kAnalytic;
  options.array = keeping();
  const std::string text =
      R"({"schema": "mlsim.workload/1", "name": "w", "seed": 3, "format": "nvfp4", "layers": )" + layers + "}";
  const Results results = simulate(workloads::parse_workload(text, "w.json", "."), options, [](const std::string&) {});
  constexpr std::uint64_t kTiling = 16 * 16 * 16 * 4 + 256 * 8;
  EXPECT_EQ(traffic(results, 0, Pass::kForward).dram_code_writes, kTiling);
  EXPECT_EQ(traffic(results, 0, Pass::kForward).sram_result_writes, 4096 * 32 + kTiling);
  EXPECT_EQ(traffic(results, 1, Pass::kForward).dram_column_reads, 0U);
  // Of errors the tiling of backward weight, which comes first.
  EXPECT_EQ(traffic(results, 1, Pass::kBackwardData).dram_code_writes, kTiling);
  EXPECT_EQ(traffic(results, 0, Pass::kBackwardWeight).dram_row_reads, 0U);
  EXPECT_EQ(traffic(results, 0, Pass::kBackwardData).dram_column_reads, kTiling);
}

TEST(Residence, OfTheMachineIsThatOfTheClosedForm) {
  sim::ArrayConfig array = keeping();
  array.rows = array.columns = 4;
  array.results = sim::ResultForm::kCodes;
  array.dram_bytes_per_cycle.thousandths = 3000;
  array.dram_latency_cycles = 20;
  array.sram_write_bytes_per_cycle.thousandths = 5000;
  array.elements_per_scaler = 4;
  const Results machine = test::run_layers(two_layers("alone"), Engine::kCycle, "", array);
  const Results predicted = test::run_layers(two_layers("alone"), Engine::kAnalytic, "", array);
  for (const std::size_t layer : {0U, 1U}) {
    for (const Pass pass : models::kPasses) {
      const auto p = static_cast<std::size_t>(pass);
      EXPECT_EQ(machine.layers[layer].passes[p].traffic, predicted.layers[layer].passes[p].traffic);
      EXPECT_EQ(machine.layers[layer].passes[p].cycles, predicted.layers[layer].passes[p].cycles);
    }
  }
  EXPECT_EQ(traffic(machine, 1, Pass::kBackwardData).dram_code_writes, 0U);
}

TEST(Residence, IsReadBackAndPricedTheSame) {
  const Results results = test::run_layers(two_layers("alone"), Engine::kAnalytic, "", keeping());
  const Results read = parse_results(to_json(results).dump(), "r.json");
  EXPECT_EQ(read.array, results.array);
  EXPECT_EQ(read.layers[1].link, InputLink::kAlone);
  const Work work = work_of(results);
  const Work again = work_of(read);
  for (const std::size_t layer : {0U, 1U}) {
    for (std::size_t pass = 0; pass < 3; ++pass) {
      for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
        EXPECT_EQ(again.layers[layer][pass].baselines[b].counts, work.layers[layer][pass].baselines[b].counts);
      }
    }
  }
  // fp32 keeps 64 results of 32 bits, which leave for what works element by element, but do not come back.
  EXPECT_EQ(work.layers[1][0].baselines[0].counts[energy::Operation::kDramRead], 144 * 32U);
}

std::map<std::string, InputLink> links_of(const std::string& network) {
  std::map<std::string, InputLink> links;
  for (const workloads::Layer& layer : workloads::open_workload(network, {}).layers) links[layer.name] = layer.link;
  return links;
}

// What a block adds to its input is no convolution's result.
TEST(InputLinks, OfResNet18AreThoseInsideItsBlocks) {
  for (const auto& [name, link] : links_of("resnet18")) {
    EXPECT_EQ(link, name.ends_with(".conv2") ? InputLink::kAlone : InputLink::kNone) << name;
  }
}

TEST(InputLinks, OfMobileNetV2CrossBlocksWithoutAddition) {
  const auto links = links_of("mobilenetv2");
  std::map<InputLink, int> count;
  for (const auto& [name, link] : links) ++count[link];
  EXPECT_GT(count[InputLink::kAlone], 34);  // two in each of 17 blocks, but for the first, and some between
  EXPECT_GT(count[InputLink::kShared], 0);  // inputs of blocks that are added again
  EXPECT_GT(count[InputLink::kNone], 0);
}

}  // namespace
}  // namespace mlsim::evaluation
