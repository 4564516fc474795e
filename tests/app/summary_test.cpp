// The text that is read first.
#include "app/report/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "app/report/cells.h"
#include "app/report/report.h"
#include "energy/cost_table.h"
#include "tests/support/run_layers.h"

namespace mlsim::app {
namespace {

using evaluation::Engine;
using evaluation::Evaluation;
using evaluation::load_results;
using evaluation::MachineFigures;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<Evaluation> shipped(const std::vector<std::string>& formats) {
  const energy::Laws laws{energy::find_cost_table()};
  std::vector<Evaluation> evaluations;
  for (const std::string& format : formats) {
    const std::string file = MLSIM_SOURCE_DIR "/results/shipped-trace/" + format + ".json";
    evaluations.emplace_back(evaluation::Source{format + ".json", load_results(file)}, laws);
  }
  return evaluations;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(Summary, OfTwoFormatsIsShortAndNarrow) {
  const std::vector<Evaluation> evaluations = shipped({"e2m4", "e2m1"});
  const std::vector<std::string> lines = lines_of(text_report(evaluations));
  EXPECT_LT(lines.size(), 60U);
  for (const std::string& line : lines) EXPECT_LE(line.size(), 124U) << line;  // bytes; some characters have two
  EXPECT_GT(lines_of(detailed_text_report(evaluations)).size(), 200U);
}

TEST(Summary, SaysWhatTheFiguresOfTheMachinesAre) {
  const std::vector<Evaluation> evaluations = shipped({"e2m4"});
  const auto& machines = evaluations[0].machines();
  const std::string sentence = summary_sentences(evaluations)[0];
  EXPECT_THAT(summary_sentences(shipped({"e2m1"}))[0], HasSubstr("e2m1/g8m1/nc takes 1.00 mJ with memory"));
  EXPECT_THAT(sentence, HasSubstr("e2m4/g8m1/nc takes " + joules(machines[0].all_pj.value) + " with memory, which is " +
                                  percent(machines[0].memory_pj.value / machines[0].all_pj.value, 0)));
  EXPECT_THAT(sentence, HasSubstr(factor(machines[1].all_pj.value / machines[0].all_pj.value) + " times below fp32"));
  EXPECT_THAT(sentence, HasSubstr("68.8 % utilization, error 38.2 dB below the results (SQNR)."));
  double parts = 0;
  for (const energy::Range& part : {machines[0].parts.operations, machines[0].parts.overhead, machines[0].parts.buffers,
                                    machines[0].parts.sram, machines[0].parts.dram}) {
    parts += part.value;
  }
  EXPECT_NEAR(parts, machines[0].all_pj.value, 1e-6 * parts);
}

TEST(Summary, HasEachMachineOnce) {
  const ReportTable table = summary_table(shipped({"e2m4", "e2m1"}));
  std::vector<std::string> names;
  for (const auto& row : table.rows) names.push_back(row[0]);
  EXPECT_THAT(names, ElementsAre("e2m4/g8m1/nc", "e2m1/g8m1/nc", "fp32", "fp16", "bf16", "fp8", "int8", "fp8-acc16"));
  EXPECT_EQ(table.head[1].substr(0, 13), "with memory, ");
}

TEST(Summary, NumbersSourcesWhoseBaselinesDiffer) {
  const energy::Laws laws{energy::find_cost_table()};
  sim::ArrayConfig narrow;
  narrow.rows = 8;
  std::vector<Evaluation> evaluations;
  evaluations.emplace_back(evaluation::Source{"a.json", test::run_layers(test::kShape, Engine::kAnalytic)}, laws);
  evaluations.emplace_back(evaluation::Source{"b.json", test::run_layers(test::kShape, Engine::kAnalytic, "", narrow)},
                           laws);
  const ReportTable table = summary_table(evaluations);
  EXPECT_EQ(table.rows[0][0], "#1 e2m4/g8m1/nc (a.json)");
  EXPECT_EQ(table.rows[2][0], "fp32 (#1)");
  EXPECT_EQ(table.rows[3][0], "fp32 (#2)");
  EXPECT_THAT(summary_sentences(evaluations)[1], HasSubstr("#2 e2m4/g8m1/nc (b.json) takes "));
  EXPECT_THAT(summary_sentences(evaluations)[1], HasSubstr("error not measured."));
}

TEST(Summary, ComparesTwoResultsOfAWorkload) {
  const std::vector<Evaluation> evaluations = shipped({"e2m4", "e2m1"});
  const MachineFigures& first = evaluations[0].machines().front();
  const MachineFigures& second = evaluations[1].machines().front();
  EXPECT_DOUBLE_EQ(first.energy_delay_js, first.all_pj.value * 1e-12 * first.seconds);
  const std::vector<std::string> sentences = summary_sentences(evaluations);
  EXPECT_THAT(sentences[1],
              HasSubstr(" It takes " + factor(second.all_pj.value / first.all_pj.value) +
                        " times the energy with memory of e2m4/g8m1/nc, " + factor(second.seconds / first.seconds) +
                        " times its time and " + factor(second.energy_delay_js / first.energy_delay_js) +
                        " times its energy-delay product."));
  EXPECT_THAT(sentences[0], Not(HasSubstr("It takes")));
  EXPECT_THAT(summary_sentences(shipped({"e2m4"}))[0], Not(HasSubstr("It takes")));
}

TEST(Cells, OfAColumnHaveOneUnitAndOneNumberOfDigits) {
  EXPECT_THAT(fixed_column({1.5, 20, 0, 0.001}), ElementsAre("1.50", "20.00", "0.00", "0.00"));
  EXPECT_THAT(fixed_column({7, std::nan("")}), ElementsAre("7.00", "-"));
  EXPECT_THAT(fixed_column({1234, 5000}), ElementsAre("1234", "5000"));
  EXPECT_THAT(fixed_column({}), ElementsAre());
  const EnergyColumn column = energy_column({1.1e9, 9e7, 1e9});
  EXPECT_EQ(column.unit, "mJ");
  EXPECT_THAT(column.cells, ElementsAre("1.1000", "0.0900", "1.0000"));
}

}  // namespace
}  // namespace mlsim::app
