#include "trainer/metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "tests/support/temporary_folder.h"
#include "trainer/progress.h"

namespace mlsim::trainer {
namespace {

using test::error_of;
using test::TemporaryFolder;

EpochReport report_at(std::uint64_t epoch, std::uint64_t steps_done) {
  return {.epoch = epoch,
          .steps_done = steps_done,
          .learning_rate = 0.5,
          .train_loss = 1.25,
          .train_accuracy = 0.5,
          .test_loss = 1.5,
          .test_accuracy = 0.75,
          .train_seconds = 3.0,
          .test_seconds = 0.5,
          .data_seconds = 0.25};
}

TEST(Metrics, AreOneObjectALine) {
  EXPECT_EQ(metrics_line(report_at(2, 20)),
            R"({"epoch":2,"step":20,"learning_rate":0.5,"train_loss":1.25,"train_accuracy":0.5,"test_loss":1.5,)"
            R"("test_accuracy":0.75,"train_seconds":3.0,"test_seconds":0.5,"data_seconds":0.25})");
}

TEST(Metrics, CountOverflows) {
  EpochReport report = report_at(2, 20);
  report.overflows = {7, 0, 5};
  EXPECT_THAT(metrics_line(report),
              testing::EndsWith(R"("overflows":{"forward":7,"backward_data":0,"backward_weight":5}})"));
}

TEST(Metrics, GoOnAfterACheckpoint) {
  const TemporaryFolder folder;
  MetricsFile first(folder.path() / "m.jsonl");
  for (const std::uint64_t epoch : {1, 2, 3}) first.add(report_at(epoch, 10 * epoch));
  MetricsFile second(folder.path() / "m.jsonl");
  second.continue_file();
  second.add(report_at(2, 20));
  EXPECT_EQ(folder.read("m.jsonl"), metrics_line(report_at(1, 10)) + "\n" + metrics_line(report_at(2, 20)) + "\n");
}

TEST(Metrics, RefuseAnotherFile) {
  const TemporaryFolder folder;
  MetricsFile metrics(folder.write("m.jsonl", "{\"step\": 1}\nhello\n"));
  EXPECT_EQ(error_of([&] { metrics.continue_file(); }),
            (folder.path() / "m.jsonl").string() + ": line 2: is no JSON, expected metrics of mlsim-train");
  MetricsFile others(folder.write("o.jsonl", "\n{\"epoch\": 1}\n"));
  EXPECT_EQ(error_of([&] { others.continue_file(); }),
            (folder.path() / "o.jsonl").string() + ": line 2: the key \"step\" is missing");
}

TEST(Metrics, AreWrittenWhereTheyCanBe) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { const MetricsFile metrics(folder.path() / "none" / "m.jsonl"); }),
              testing::HasSubstr((folder.path() / "none" / "m.jsonl").string()));
  MetricsFile full("/dev/full");
  EXPECT_EQ(error_of([&] { full.add(report_at(1, 10)); }), "/dev/full: cannot be written");
}

TEST(Metrics, GetLineAfterLineInAPipe) {
  const TemporaryFolder folder;
  const std::filesystem::path pipe = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int end = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(end, 0);
  MetricsFile metrics(pipe);
  metrics.continue_file();
  for (const std::uint64_t epoch : {1, 2}) metrics.add(report_at(epoch, 10 * epoch));
  std::string text(10'000, ' ');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(read(end, text.data(), text.size()), 0)));
  close(end);
  EXPECT_EQ(text, metrics_line(report_at(1, 10)) + "\n" + metrics_line(report_at(2, 20)) + "\n");
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

TEST(Progress, TellsDurations) {
  EXPECT_EQ(duration_text(0), "00:00");
  EXPECT_EQ(duration_text(61.4), "01:01");
  EXPECT_EQ(duration_text(3723), "1:02:03");
}

TEST(Progress, TellsDifferences) {
  const models::Tensor<float> found{{4}, {1.0F, -0x1p-149F, 3.0F, 4.0F}};
  const models::Tensor<float> expected{{4}, {1.0F + 0x1p-22F, 0x1p-149F, 3.0F, 4.0F}};
  Difference difference = difference_of(found, expected);
  EXPECT_EQ(difference.results, 4U);
  EXPECT_EQ(difference.equal, 2U);
  EXPECT_EQ(difference.largest, 0x1p-24);
  EXPECT_EQ(difference.most_ulp, 2U);
  difference += difference_of({{1}, {1.0F}}, {{1}, {1.5F}});
  EXPECT_EQ(difference.results, 5U);
  EXPECT_EQ(difference.equal, 2U);
  EXPECT_EQ(difference.largest, 1.0 / 3);
  EXPECT_EQ(difference.most_ulp, 1U << 22);
  EXPECT_THAT(
      difference_text({difference, difference, difference}),
      testing::HasSubstr("  backward_data   3 of 5 results differ, at most by 0.33 of the largest result, and by "
                         "4194304 ulp\n"));
}

TEST(Progress, TellsEpochs) {
  EXPECT_EQ(
      epoch_line(report_at(2, 20), 3),
      "epoch 2/3: step 20, train loss 1.2500, train accuracy 50.00 %, test loss 1.5000, test accuracy 75.00 %, 4 s");
}

// The exit status of trainer/plot-curves, whose messages go to log.txt of the folder.
int plot_curves(const TemporaryFolder& folder, const std::string& arguments) {
  const std::string command =
      "cd '" + folder.path().string() + "' && '" MLSIM_SOURCE_DIR "/trainer/plot-curves' " + arguments + " 2> log.txt";
  return WEXITSTATUS(std::system(command.c_str()));
}

TEST(PlotCurves, DrawsALineForEachFile) {
  if (std::system("command -v gnuplot > /dev/null") != 0) GTEST_SKIP() << "no gnuplot";
  const TemporaryFolder folder;
  for (const char* const file : {"e2m1_first.jsonl", "fp32.jsonl"}) {
    MetricsFile metrics(folder.path() / file);
    for (const std::uint64_t epoch : {1, 2, 3}) metrics.add(report_at(epoch, 10 * epoch));
  }
  ASSERT_EQ(plot_curves(folder, "curves.svg e2m1_first.jsonl fp32.jsonl"), 0) << folder.read("log.txt");
  const std::string plot = folder.read("curves.svg");
  for (const char* const text : {"e2m1_first", "fp32", "test accuracy, %", "</svg>"}) {
    EXPECT_THAT(plot, testing::HasSubstr(text));
  }
  EXPECT_EQ(plot_curves(folder, "-k train_loss curves.png fp32.jsonl"), 0) << folder.read("log.txt");
  EXPECT_THAT(folder.read("curves.png"), testing::StartsWith("\x89PNG"));
}

TEST(PlotCurves, RefusesOtherFiles) {
  if (std::system("command -v gnuplot > /dev/null") != 0) GTEST_SKIP() << "no gnuplot";
  const TemporaryFolder folder;
  folder.write("other.jsonl", "{\"epoch\": 1}\n");
  EXPECT_EQ(plot_curves(folder, "curves.svg other.jsonl"), 2);
  EXPECT_EQ(
      folder.read("log.txt"),
      "plot-curves: error: other.jsonl: a line has no epoch or no test_accuracy, expected metrics of mlsim-train\n");
  EXPECT_EQ(plot_curves(folder, "curves.svg none.jsonl"), 2);
  EXPECT_EQ(plot_curves(folder, "curves.pdf other.jsonl"), 2);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "curves.svg"));
}

}  // namespace
}  // namespace mlsim::trainer
