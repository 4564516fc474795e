// Runs passes of layers on the simulated accelerator.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/convolution/operation_counts.h"
#include "models/formats/format.h"
#include "models/formats/scaled_tensor.h"
#include "models/formats/tensor.h"
#include "sim/array_config.h"
#include "sim/bus_widths.h"
#include "sim/statistics.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

struct PassResult {
  models::Tensor<float> values;
  models::OperationCounts counts;
  std::uint64_t zero_products = 0;  // of the multiply-adds, those of a zero operand
  CycleCounts cycles;
  Traffic traffic;
  OperandToggles toggles;
  // One for each format that results are quantized to, where the configuration and the call ask for it; none where a
  // result is not finite (counts.non_finite), since such a tensor is not quantized.
  std::vector<models::ScaledTensor> quantized;
};

// Cycles that are done, of those that the closed form predicts for the pass.
using Progress = std::function<void(std::uint64_t done, std::uint64_t predicted)>;

// A waveform of the structural machine.
struct TraceRequest {
  std::string file{};  // a VCD; FILE.gtkw, for GTKWave, gets its place beside it
  // Of the run, whose passes follow one another; both included.
  std::uint64_t first_cycle = 0;
  std::uint64_t last_cycle = std::numeric_limits<std::uint64_t>::max();
  std::vector<std::string> scopes{};  // names of signals, in which * stands for any text; empty: all signals
  std::optional<BusWidths> widths{};  // without them a bus is as wide as the type that simulates it
};
// The save file beside a VCD: its name with the ending .gtkw.
std::string gtkw_file(const std::string& vcd);

// The registers and the shifters of a processing element have 64 bits. Throws std::runtime_error with a sentence that
// says the width where an accumulator or a product needs more.
void check_widths(models::Pass pass, const models::ElementFormat& left, const models::ElementFormat& right,
                  int accumulator_bits);

// Keeps SystemC's banner and its remarks on tracing off the terminal, for the whole process: programs call it first in
// main, before other threads begin.
void keep_systemc_quiet();

// One accelerator, built once, through which any number of passes run one after the other. SystemC knows one design in
// a process: a second simulator in the same process is refused (std::runtime_error), also after the first is gone.
class Simulator {
 public:
  // `trace` asks for a waveform, see finish_trace(). Throws std::runtime_error with a sentence for a configuration out
  // of range, for a trace file that cannot be written and for a scope that no signal is in.
  Simulator(Detail detail, const ArrayConfig& config, const std::optional<TraceRequest>& trace = std::nullopt);
  ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  // Operands as in models::left_operand and models::right_operand, with the shapes that `shape` gives them. Results are
  // quantized where both the configuration and `quantization` ask for it; cycles and traffic are the same where they
  // cannot be. Throws std::runtime_error with a sentence for a tensor scale beyond binary32, for an accumulator or
  // products above 64 bits, and for additions of another number of products than the elements'.
  PassResult simulate_pass(models::Pass pass, const models::ConvolutionShape& shape, const models::ScaledTensor& left,
                           const models::ScaledTensor& right, const models::Accumulator& accumulator,
                           const std::optional<ResultQuantization>& quantization);

  // What the trace has, nothing without one: signals, and about how many bytes a cycle takes in which all elements
  // work.
  struct TraceSize {
    std::size_t signals = 0;
    double bytes_a_cycle = 0;
  };
  std::optional<TraceSize> trace_size() const;
  // Called now and then, and at the end, of every pass from now on.
  void on_progress(Progress progress) { progress_ = std::move(progress); }
  // Names what is run from now on, in the trace.
  void mark(const std::string& name);
  // Puts the trace of all passes, if there is one, under its name; without that call none appears. Throws
  // std::runtime_error where that fails.
  void finish_trace();

 private:
  struct Design;

  ArrayConfig config_;
  Progress progress_;
  std::unique_ptr<Design> design_;
};

}  // namespace mlsim::sim
