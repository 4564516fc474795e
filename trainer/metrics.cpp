#include "trainer/metrics.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/input_file.h"
#include "base/json_lines.h"
#include "base/output_file.h"

namespace mlsim::trainer {

std::string metrics_line(const EpochReport& report) {
  nlohmann::ordered_json line{{"epoch", report.epoch},
                              {"step", report.steps_done},
                              {"learning_rate", report.learning_rate},
                              {"train_loss", report.train_loss},
                              {"train_accuracy", report.train_accuracy},
                              {"test_loss", report.test_loss},
                              {"test_accuracy", report.test_accuracy},
                              {"train_seconds", report.train_seconds},
                              {"test_seconds", report.test_seconds},
                              {"data_seconds", report.data_seconds}};
  if (report.overflows) {
    for (const models::Pass pass : models::kPasses) {
      line["overflows"][to_string(pass)] = (*report.overflows)[static_cast<std::size_t>(pass)];
    }
  }
  return line.dump();
}

MetricsFile::MetricsFile(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code problem;
  const std::filesystem::file_status status = std::filesystem::status(path_, problem);
  if (std::filesystem::is_other(status)) {
    stream_.open(path_);
    check_stream();
  } else {
    base::AtomicFile{path_};
  }
}

void MetricsFile::check_stream() const {
  if (!stream_) throw std::runtime_error(fmt::format("{}: cannot be written", path_.string()));
}

void MetricsFile::continue_file() {
  if (stream_.is_open() || !std::filesystem::exists(path_)) return;
  base::for_json_lines(base::read_text(path_, base::kLargestResults), path_.string(), "expected metrics of mlsim-train",
                       [&](const base::JsonReader& line, const std::string& text) {
                         lines_.push_back({line["step"].integer<std::uint64_t>(0, kMostSteps), text});
                       });
}

void MetricsFile::add(const EpochReport& report) {
  if (stream_.is_open()) {
    stream_ << metrics_line(report) << std::endl;
    check_stream();
    return;
  }
  std::erase_if(lines_, [&](const Line& line) { return line.step >= report.steps_done; });
  lines_.push_back({report.steps_done, metrics_line(report)});
  std::string content;
  for (const Line& line : lines_) content += line.text + "\n";
  base::write_file(path_, content);
}

}  // namespace mlsim::trainer
