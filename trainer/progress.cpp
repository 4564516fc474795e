#include "trainer/progress.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

#include "base/integers.h"
#include "trainer/print.h"

namespace mlsim::trainer {

std::string epoch_line(const EpochReport& report, std::uint64_t epochs) {
  return fmt::format(
      "epoch {}/{}: step {}, train loss {:.4f}, train accuracy {:.2f} %, test loss {:.4f}, test accuracy {:.2f} %, "
      "{:.0f} s",
      report.epoch, epochs, report.steps_done, report.train_loss, 100 * report.train_accuracy, report.test_loss,
      100 * report.test_accuracy, report.train_seconds + report.test_seconds);
}

std::string difference_text(const std::array<Difference, 3>& differences) {
  std::string text = "the traced step against exact arithmetic:\n";
  for (const models::Pass pass : models::kPasses) {
    const Difference& difference = differences[static_cast<std::size_t>(pass)];
    text += fmt::format("  {:15} {} of {} results differ, at most by {:.2g} of the largest result, and by {} ulp\n",
                        to_string(pass), difference.results - difference.equal, difference.results, difference.largest,
                        difference.most_ulp);
  }
  return text;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  const std::string minutes = fmt::format("{:02}:{:02}", whole / 60 % 60, whole % 60);
  return whole < 3600 ? minutes : fmt::format("{}:{}", whole / 3600, minutes);
}

Progress::Progress(std::uint64_t steps, bool terminal) : steps_(steps), terminal_(terminal) {}

void Progress::step(const StepReport& report) {
  steps_per_epoch_ = report.steps_per_epoch;
  const Clock::time_point now = Clock::now();
  if (start_ == Clock::time_point{}) {
    // The first step is no measure: caches and kernels are made in it.
    start_ = now;
    first_step_ = report.steps_done;
  }
  if (!terminal_ || now - shown_ < std::chrono::milliseconds(200)) return;
  shown_ = now;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const std::uint64_t done = report.steps_done - first_step_;
  std::string left = "--:--";
  if (done > 0) {
    left = duration_text(elapsed / static_cast<double>(done) * static_cast<double>(steps_ - report.steps_done));
  }
  print(stdout, fmt::format("\r\033[Kstep {}/{}, loss {:.4f}, {} left", report.steps_done, steps_, report.loss, left));
}

void Progress::epoch(const EpochReport& report) {
  clear();
  print(stdout, epoch_line(report, base::ceiling(steps_, steps_per_epoch_)) + "\n");
}

void Progress::clear() {
  if (!terminal_) return;
  print(stdout, "\r\033[K");
}

}  // namespace mlsim::trainer
