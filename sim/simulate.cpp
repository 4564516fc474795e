#include "sim/simulate.h"

#include <cassert>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <systemc>
#include <utility>
#include <vector>

#include "base/output_file.h"
#include "sim/dataflow.h"
#include "sim/schedule.h"
#include "sim/systemc/accelerator.h"
#include "sim/systemc/vcd_trace.h"
#include "sim/weight_stationary/folds.h"

namespace mlsim::sim {
namespace {

using models::Pass;

// Cycles between two calls of the progress callback.
constexpr int kCyclesOfProgress = 1 << 16;

// Runs a step of SystemC. What a process of it throws comes out as a report in words; of errors only a lack of memory
// can happen there.
template <typename Step>
auto with_own_errors(const Step& step) {
  try {
    return step();
  } catch (const sc_core::sc_report& report) {
    if (std::string_view(report.what()).find("bad_alloc") != std::string_view::npos) throw std::bad_alloc();
    throw;
  }
}

}  // namespace

std::string gtkw_file(const std::string& vcd) {
  return std::filesystem::path(vcd).replace_extension(".gtkw").string();
}

void check_widths(Pass pass, const models::ElementFormat& left, const models::ElementFormat& right,
                  int accumulator_bits) {
  const auto expect_64 = [&](const std::string& what, int bits) {
    if (bits <= 64) return;
    throw std::runtime_error(to_string(pass) + ": " + what + std::to_string(bits) + " bits, expected at most 64");
  };
  expect_64("the accumulator has ", accumulator_bits);
  expect_64("products have ", left.integer_bits() + right.integer_bits() + 1);
}

struct Simulator::Design {
  // The trace of a run.
  class Trace {
   public:
    Trace(const TraceRequest& request, Accelerator& accelerator)
        : file_(files_.add(request.file)),
          save_file_(files_.add(gtkw_file(request.file))),
          vcd_(file_.stream(), request),
          name_(std::filesystem::path(request.file).filename().string()) {
      accelerator.trace(&vcd_);
      if (const std::optional<std::string> scope = vcd_.scope_without_signal()) {
        throw std::runtime_error("--trace-scope " + *scope + ": no signal of the machine has such a name");
      }
    }
    const VcdTrace& vcd() const { return vcd_; }
    void mark(const std::string& name) { vcd_.mark(name); }
    // Puts the trace into its place.
    void finish() {
      // The last edge is written as time moves on from it.
      sc_core::sc_start(1, sc_core::SC_NS);
      vcd_.finish();
      vcd_.write_save_file(save_file_.stream(), name_);
      files_.commit();
    }

   private:
    base::FileSet files_;
    base::AtomicFile& file_;
    base::AtomicFile& save_file_;
    VcdTrace vcd_;
    std::string name_;
  };

  Design(Detail detail, const ArrayConfig& config, const std::optional<TraceRequest>& request)
      : accelerator("accelerator", detail, config) {
    if (request) trace.emplace(*request, accelerator);
  }

  Accelerator accelerator;
  std::optional<Trace> trace;
};

void keep_systemc_quiet() {
  setenv("SC_COPYRIGHT_MESSAGE", "DISABLE", 1);  // NOLINT(concurrency-mt-unsafe)
  sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
}

Simulator::Simulator(Detail detail, const ArrayConfig& config, const std::optional<TraceRequest>& trace)
    : config_(config) {
  config.check("array");
  // SystemC itself knows whether it has had one.
  if (sc_core::sc_get_status() != sc_core::SC_ELABORATION || !sc_core::sc_get_top_level_objects().empty()) {
    throw std::runtime_error("a second array cannot be simulated in the same process, expected one of its own");
  }
  if (trace) {
    base::require_regular_file(trace->file);
    base::require_regular_file(gtkw_file(trace->file));
  }
  with_own_errors([&] { design_ = std::make_unique<Design>(detail, config, trace); });
}

Simulator::~Simulator() = default;

std::optional<Simulator::TraceSize> Simulator::trace_size() const {
  if (!design_->trace) return std::nullopt;
  const VcdTrace& vcd = design_->trace->vcd();
  return TraceSize{vcd.signals(), vcd.bytes_a_cycle()};
}

void Simulator::mark(const std::string& name) {
  if (design_->trace) design_->trace->mark(name);
}

void Simulator::finish_trace() {
  if (design_->trace) with_own_errors([&] { design_->trace->finish(); });
}

PassResult Simulator::simulate_pass(Pass pass, const models::ConvolutionShape& shape, const models::ScaledTensor& left,
                                    const models::ScaledTensor& right, const models::Accumulator& accumulator,
                                    const std::optional<ResultQuantization>& quantization) {
  assert(left.shape == shape.shape_of(left_operand(pass)) && right.shape == shape.shape_of(right_operand(pass)));
  const bool left_in_rows = pass == Pass::kBackwardWeight;
  const Schedule schedule(pass, shape, left.format.layout, right.format.layout, config_);
  const int full_bits = full_accumulator_bits(left.format.element, right.format.element, schedule.reduction().taps());

  if (accumulator.taps_per_cycle != config_.taps_per_cycle) {
    throw std::runtime_error(to_string(pass) + ": an addition is of " + std::to_string(accumulator.taps_per_cycle) +
                             " products, expected the taps_per_cycle of the array, " +
                             std::to_string(config_.taps_per_cycle));
  }
  Job job;
  job.pass = pass;
  job.schedule = &schedule;
  job.row_operand = left_in_rows ? &left : &right;
  job.column_operand = left_in_rows ? &right : &left;
  job.accumulator_bits = accumulator.bits != 0 ? accumulator.bits : full_bits;
  job.sum_word_bits = weight_stationary::sum_word_bits(full_bits);
  job.overflow = accumulator.overflow;
  job.can_overflow = job.accumulator_bits < full_bits;
  job.has_exponents = left.format.element.exponent_bits > 0 || right.format.element.exponent_bits > 0;
  job.scaler = models::GroupScaler(left.format.element, right.format.element);
  job.tensor_scale = product_scale(pass, left, right);
  if (config_.quantizes_results()) job.quantization = quantization;
  if (job.quantization) job.residence = job.quantization->residence;
  job.results = result_path(config_, models::element_count(shape.result_shape(pass)),
                            job.quantization && !job.quantization->formats.empty());
  check_widths(pass, left.format.element, right.format.element, job.accumulator_bits);

  Exchange exchange;
  if (job.quantization) {
    exchange = {job.quantization->formats.begin(), job.quantization->formats.end()};
    exchange.residence = job.residence;
  }
  const std::uint64_t predicted =
      dataflow_of(config_).predict(pass, shape, left.format, right.format, config_, exchange).cycles.total();

  Accelerator& accelerator = design_->accelerator;
  accelerator.load(job);
  while (!accelerator.done()) {
    with_own_errors([] { sc_core::sc_start(kCyclesOfProgress, sc_core::SC_NS); });
    if (progress_) progress_(accelerator.cycles().total(), predicted);
  }

  PassResult result;
  result.values = accelerator.results();
  result.counts = accelerator.counts();
  result.zero_products = accelerator.zero_products();
  result.cycles = accelerator.cycles();
  result.traffic = accelerator.traffic();
  result.toggles = accelerator.toggles();
  result.quantized = accelerator.quantized();
  return result;
}

}  // namespace mlsim::sim
