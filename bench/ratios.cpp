// The functional engine against oneDNN's binary32 and byte convolutions: the same layers, batch and thread, in turn.
//
//   ratios [options]      ratios --help names the sets of layers
//
// A line a layer: G multiply-adds a second of the engine, of oneDNN in binary32 and in bytes (u8 times s8 into s32),
// the engine's speed as a multiple of each, and its share of what the processor's fused multiply-adds and dot products
// of bytes could do. Above 1 the exact low-bit convolution takes less time than oneDNN's.
#include <fmt/core.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/command_line.h"
#include "base/memory.h"
#include "bench/layer_sets.h"
#include "bench/layers.h"
#include "bench/onednn.h"
#include "bench/peaks.h"
#include "bench/timing.h"
#include "hwy/highway.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "models/convolution/engine.h"

namespace mlsim {
namespace {

using models::Operand;
using models::Pass;

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (std::int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    names.emplace_back(hwy::TargetName(left & -left));
  }
  return names;
}

void limit_instructions(const std::string& name) {
  for (std::int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    if (hwy::TargetName(left & -left) == name) hwy::SetSupportedTargetsForTest(left & -left);
  }
  bench::limit_onednn(name);
}

const base::Command& command() {
  static const base::Command table = [] {
    std::vector<std::string> sets{"all"};
    std::string described;
    for (const bench::LayerSet& set : bench::layer_sets()) {
      sets.push_back(set.name);
      described += "\n\n" + set.name + ": " + set.title + "; ";
      for (const std::string& format : set.formats) described += (format == set.formats[0] ? "" : ", ") + format;
    }
    std::vector<std::string> passes{"all"};
    for (const Pass pass : models::kPasses) passes.push_back(models::to_string(pass));
    const auto parses = [](const std::string& text) { models::parse_scaled_format(text); };
    return base::Command{
        .name = "ratios",
        .synopsis = "[options]",
        .summary = "the functional engine against oneDNN",
        .description =
            "The functional engine against oneDNN, layer by layer. Sets of layers and their formats:" + described,
        .groups = {
            {.title = "options",
             .options = {
                 {.name = "set", .value_name = "SET", .help = "of layers", .kind = base::Choice{sets}, .preset = "all"},
                 {.name = "format",
                  .value_name = "F",
                  .help = "this format in place of the set's",
                  .kind = base::Parsed{parses}},
                 {.name = "pass",
                  .value_name = "PASS",
                  .help = "one of the three, or all",
                  .kind = base::Choice{passes},
                  .preset = "forward"},
                 {.name = "layer", .value_name = "TEXT", .help = "only layers whose lines begin with a name with this"},
                 {.name = "batch",
                  .value_name = "N",
                  .help = "images in place of 1 (32 for linear layers and formats that block images)",
                  .kind = base::WholeNumber{1, 1 << 16}},
                 {.name = "rounds",
                  .value_name = "N",
                  .help = "measurements of each, of which the median counts",
                  .kind = base::WholeNumber{1, 1000},
                  .preset = "5"},
                 {.name = "instructions",
                  .value_name = "SET",
                  .help = "the instruction set that both are limited to",
                  .kind = base::Choice{instruction_sets()}},
             }}}};
  }();
  return table;
}

// One layer's operands and results for a pass.
struct Work {
  Pass pass;
  models::ConvolutionShape shape;
  models::ScaledTensor left;
  models::ScaledTensor right;
  std::vector<float> results;

  Work(Pass the_pass, const models::ConvolutionShape& the_shape, const std::string& format)
      : pass(the_pass),
        shape(the_shape),
        left(operand(models::left_operand(pass), format)),
        right(operand(models::right_operand(pass), format)),
        results(static_cast<std::size_t>(models::element_count(shape.result_shape(pass)))) {}

  models::ScaledTensor operand(Operand which, const std::string& format) const {
    models::QuantizerOptions options;
    options.rounding = which == Operand::kError ? models::Rounding::kStochastic : models::Rounding::kNearest;
    return models::quantize(bench::random_operand(shape, which), models::parse_scaled_format(format).of(which, pass),
                            options, "operand")
        .tensor;
  }
  void run() { models::functional_convolution_into(pass, shape, left, right, {}, results); }
  std::string engine() const {
    const models::Accumulator accumulator;
    const std::string last = models::explain_choice({pass, shape, left, right, accumulator}).back();
    return last.substr(0, last.find(':'));
  }
};

// G multiply-adds a second; 0 where there is no such thing.
struct Speeds {
  double ours = 0;
  double binary32 = 0;
  double bytes = 0;
  double peak_binary32 = 0;
  double peak_bytes = 0;
};

struct Measurement {
  Speeds speeds;
  std::string implementations;
};

Measurement measure(Work& work, int rounds) {
  bench::OneDnnPass binary32(work.pass, work.shape, bench::Arithmetic::kBinary32);
  std::optional<bench::OneDnnPass> bytes;
  if (work.pass == Pass::kForward) bytes.emplace(work.pass, work.shape, bench::Arithmetic::kBytes);
  std::uint64_t peak_binary32 = 0;
  std::uint64_t peak_bytes = 0;
  std::vector<std::function<void()>> actions{
      [&] { work.run(); },
      [&] { binary32.run(); },
      [&] { peak_binary32 = bench::fused_multiply_adds(); },
      [&] { peak_bytes = bench::dot_products(); },
  };
  if (bytes) actions.emplace_back([&] { bytes->run(); });
  const std::vector<double> times = bench::medians_in_turn(rounds, actions);
  const double giga = 1e-9 * static_cast<double>(work.shape.multiply_adds(work.pass));
  Measurement result;
  result.speeds = {giga / times[0], giga / times[1], bytes ? giga / times[4] : 0,
                   1e-9 * static_cast<double>(peak_binary32) / times[2],
                   1e-9 * static_cast<double>(peak_bytes) / times[3]};
  result.implementations = work.engine() + "; " + binary32.implementation();
  if (bytes) result.implementations += "; " + bytes->implementation();
  return result;
}

std::string number_or_dash(double value, double divisor, int digits) {
  return divisor == 0 ? "-" : fmt::format("{:.{}f}", value / divisor, digits);
}

std::string percent_or_dash(double value, double divisor) {
  return divisor == 0 ? "-" : fmt::format("{:.0f}%", 100 * value / divisor);
}

// Geometric mean and lowest of ratios.
class Ratios {
 public:
  void add(double ours, double theirs, int count) {
    if (theirs == 0) return;
    log_sum_ += count * std::log(ours / theirs);
    count_ += count;
    lowest_ = std::min(lowest_, ours / theirs);
  }
  std::string text() const {
    return count_ == 0 ? "-" : fmt::format("{:.2f}, lowest {:.2f}", std::exp(log_sum_ / count_), lowest_);
  }

 private:
  double log_sum_ = 0;
  int count_ = 0;
  double lowest_ = std::numeric_limits<double>::infinity();
};

std::string describe(const models::ConvolutionShape& s) {
  return fmt::format("{}x{}x{} -> {}, {}x{}/{}", s.in_channels, s.in_size[0], s.in_size[1], s.out_channels, s.kernel[0],
                     s.kernel[1], s.stride[0]);
}

void compare(const bench::LayerSet& set, const std::string& format, Pass pass, const base::CommandLine& line) {
  const std::int64_t batch =
      line.has("batch") ? line.whole_number<std::int64_t>("batch") : bench::usual_batch(set, format);
  const std::string wanted = line.has("layer") ? line.text("layer") : "";
  fmt::print("\n{}, {}, {}, batch {}\n", set.title, format, models::to_string(pass), batch);
  fmt::print("{:<62} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6} {:>6}\n", "", "ours", "f32", "int8", "/f32", "/int8", "of f32",
             "of dot");
  Ratios against_binary32;
  Ratios against_bytes;
  for (const bench::SetLayer& layer : bench::layers_of(set, batch)) {
    const std::string title = fmt::format("{}: {}", layer.name, describe(layer.shape));
    if (title.find(wanted) == std::string::npos) continue;
    Work work(pass, layer.shape, format);
    const Measurement m = measure(work, line.whole_number<int>("rounds"));
    const Speeds& s = m.speeds;
    fmt::print("{:<62} {:>7.1f} {:>7.1f} {:>7} {:>6.2f} {:>6} {:>6} {:>6}  {}\n", title, s.ours, s.binary32,
               number_or_dash(s.bytes, s.bytes == 0 ? 0 : 1, 1), s.ours / s.binary32,
               number_or_dash(s.ours, s.bytes, 2), percent_or_dash(s.ours, s.peak_binary32),
               percent_or_dash(s.ours, s.peak_bytes), m.implementations);
    std::fflush(stdout);
    against_binary32.add(s.ours, s.binary32, layer.count);
    against_bytes.add(s.ours, s.bytes, layer.count);
  }
  fmt::print("geometric mean against binary32 {}; against bytes {}\n", against_binary32.text(), against_bytes.text());
  std::fflush(stdout);
}

void run(const base::CommandLine& line) {
  if (line.has("instructions")) limit_instructions(line.text("instructions"));
  // Keeping memory spares both libraries the page faults.
  base::keep_freed_memory();
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  bench::set_onednn_threads(1);
  fmt::print("G multiply-adds a second on one thread, its own time, medians of {}; {}\n",
             line.whole_number<int>("rounds"), bench::onednn_version());
  for (const bench::LayerSet& set : bench::layer_sets()) {
    if (line.text("set") != "all" && line.text("set") != set.name) continue;
    const std::vector<std::string> formats =
        line.has("format") ? std::vector<std::string>{line.text("format")} : set.formats;
    for (const std::string& format : formats) {
      for (const Pass pass : models::kPasses) {
        if (line.text("pass") == "all" || line.text("pass") == models::to_string(pass)) {
          compare(set, format, pass, line);
        }
      }
    }
  }
}

}  // namespace
}  // namespace mlsim

int main(int argc, char** argv) {
  try {
    const mlsim::base::CommandLine line(mlsim::command(), {argv + 1, argv + argc});
    if (line.flag("help")) {
      fmt::print("{}", mlsim::base::help_text(mlsim::command()));
      return 0;
    }
    mlsim::run(line);
  } catch (const std::exception& error) {
    fmt::print(stderr, "ratios: {}\n", error.what());
    return 2;
  }
}
