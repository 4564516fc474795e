#include "evaluation/accuracy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace mlsim::evaluation {
namespace {

using testing::HasSubstr;

TEST(TestAccuracy, IsThatOfTheLastLine) {
  EXPECT_EQ(parse_test_accuracy("{\"epoch\":1,\"test_accuracy\":0.25}\r\n{\"test_accuracy\":0.75}\n\n", "r.jsonl"),
            0.75);
  EXPECT_EQ(parse_test_accuracy("{\"test_accuracy\":1}", "r.jsonl"), 1);
  EXPECT_DOUBLE_EQ(load_test_accuracy(MLSIM_SOURCE_DIR "/results/accuracy/metrics/fp32-seed1.jsonl"), 0.9177);
}

TEST(TestAccuracy, OfSeveralRunsHasAMeanAndARange) {
  const TestAccuracy accuracy = test_accuracy({0.75, 0.5, 1});
  EXPECT_EQ(accuracy.mean, 0.75);
  EXPECT_EQ(accuracy.low, 0.5);
  EXPECT_EQ(accuracy.high, 1);
  EXPECT_THAT(accuracy.runs, testing::ElementsAre(0.75, 0.5, 1));
}

TEST(TestAccuracy, OfWhatIsNoMetricsIsRefusedWithItsLine) {
  const auto refused = [](const std::string& text, const std::string& sentence) {
    EXPECT_EQ(test::error_of([&] { parse_test_accuracy(text, "r.jsonl"); }), sentence) << text;
  };
  const std::string expected = ", expected metrics of mlsim-train, a JSON object for each epoch";
  refused("", "r.jsonl: has no line" + expected);
  refused(" \n\n", "r.jsonl: has no line" + expected);
  refused("{\"test_accuracy\":0.5}\n{\"test_acc", "r.jsonl: line 2: is no JSON" + expected);
  refused(R"({"epoch":1,"epoch":2})", R"(r.jsonl: line 1: the key "epoch" is given twice in one object)" + expected);
  refused("[0.5]", "r.jsonl: line 1: is [0.5]" + expected);
  refused("\n{\"epoch\":1}", "r.jsonl: line 2: has no test_accuracy" + expected);
  for (const std::string value : {"91.7", "-0.1", "null", "\"0.9\""}) {
    refused("{\"test_accuracy\":" + value + "}",
            "r.jsonl: line 1: test_accuracy is " + value + ", expected a number from 0 to 1");
  }
  EXPECT_THAT(test::error_of([] { load_test_accuracy("none.jsonl"); }), HasSubstr("none.jsonl: cannot be read"));
}

}  // namespace
}  // namespace mlsim::evaluation
