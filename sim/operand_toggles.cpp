#include "sim/operand_toggles.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "sim/schedule.h"

namespace mlsim::sim {
namespace {

std::uint64_t changed_bits(std::uint16_t a, std::uint16_t b) {
  return static_cast<std::uint64_t>(std::popcount(static_cast<std::uint16_t>(a ^ b)));
}

// The codes of one lane in one tile, as its register sees them.
struct Run {
  bool empty = true;
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  std::uint64_t changes = 0;  // between its codes

  void add(std::uint16_t code) {
    if (empty) {
      first = code;
      empty = false;
    } else {
      changes += changed_bits(last, code);
    }
    last = code;
  }
};

// The register takes the run `times` times, one after the other.
std::uint64_t take(const Run& run, std::int64_t times, std::uint16_t& reg) {
  if (run.empty || times == 0) return 0;
  const auto count = static_cast<std::uint64_t>(times);
  const std::uint64_t changes =
      changed_bits(reg, run.first) + count * run.changes + (count - 1) * changed_bits(run.last, run.first);
  reg = run.last;
  return changes;
}

class Walk {
 public:
  Walk(const Schedule& schedule, const models::MlsTensor& rows, const models::MlsTensor& columns,
       const ArrayConfig& config)
      : schedule_(schedule),
        rows_(rows),
        columns_(columns),
        array_rows_(config.rows),
        array_columns_(config.columns),
        row_registers_(static_cast<std::size_t>(config.rows)),
        column_registers_(static_cast<std::size_t>(config.columns)) {}

  OperandToggles run() {
    for (std::int64_t group = 0; group < schedule_.shape().groups; ++group) {
      std::vector<std::vector<Run>> column_runs;  // by phase and column
      for (std::size_t phase = 0; phase < schedule_.phases().size(); ++phase) {
        column_runs.push_back(column_runs_of(group, phase));
      }
      for (std::int64_t first_row = 0; first_row < schedule_.rows(); first_row += array_rows_) {
        for (std::size_t phase = 0; phase < schedule_.phases().size(); ++phase) {
          run_rows(group, phase, first_row);
          run_columns(column_runs[phase]);
        }
      }
    }
    return toggles_;
  }

 private:
  std::int64_t outer_count(std::size_t phase) const {
    return schedule_.reduction().groups * schedule_.group_taps(phase) /
           static_cast<std::int64_t>(schedule_.phases()[phase].taps.size());
  }

  std::vector<Run> column_runs_of(std::int64_t group, std::size_t phase) const {
    const auto [height, width] = schedule_.plane();
    std::vector<Run> runs(static_cast<std::size_t>(schedule_.phases()[phase].columns));
    for (std::size_t column = 0; column < runs.size(); ++column) {
      const Lane lane = schedule_.column_lane(group, phase, static_cast<std::int64_t>(column));
      for (std::int64_t outer = 0; outer < outer_count(phase); ++outer) {
        const std::int64_t base = lane.element + outer * schedule_.column_outer_elements();
        for (const Tap& tap : schedule_.phases()[phase].taps) {
          const std::int64_t y = lane.y + tap.y;
          const std::int64_t x = lane.x + tap.x;
          if (y < 0 || y >= height || x < 0 || x >= width) continue;
          runs[column].add(columns_.codes[static_cast<std::size_t>(base + tap.column)]);
        }
      }
    }
    return runs;
  }

  // The rows of a tile, once for every tile of columns.
  void run_rows(std::int64_t group, std::size_t phase, std::int64_t first_row) {
    const std::int64_t tiles = (schedule_.phases()[phase].columns + array_columns_ - 1) / array_columns_;
    const std::int64_t live = std::min<std::int64_t>(array_rows_, schedule_.rows() - first_row);
    for (std::int64_t row = 0; row < live; ++row) {
      const Lane lane = schedule_.row_lane(group, first_row + row);
      Run run;
      for (std::int64_t outer = 0; outer < outer_count(phase); ++outer) {
        const std::int64_t base = lane.element + outer * schedule_.row_outer_elements();
        for (const Tap& tap : schedule_.phases()[phase].taps) {
          run.add(rows_.codes[static_cast<std::size_t>(base + tap.row)]);
        }
      }
      toggles_.row_bits += take(run, tiles, row_registers_[static_cast<std::size_t>(row)]);
    }
  }

  void run_columns(const std::vector<Run>& runs) {
    for (std::size_t column = 0; column < runs.size(); ++column) {
      toggles_.column_bits += take(runs[column], 1, column_registers_[column % column_registers_.size()]);
    }
  }

  const Schedule& schedule_;
  const models::MlsTensor& rows_;
  const models::MlsTensor& columns_;
  std::int64_t array_rows_;
  std::int64_t array_columns_;
  std::vector<std::uint16_t> row_registers_;
  std::vector<std::uint16_t> column_registers_;
  OperandToggles toggles_;
};

}  // namespace

OperandToggles count_operand_toggles(models::Pass pass, const models::ConvolutionShape& shape,
                                     const models::MlsTensor& left, const models::MlsTensor& right,
                                     const ArrayConfig& config) {
  const Schedule schedule(pass, shape, left.format.grouping, right.format.grouping, config);
  const bool left_in_rows = pass == models::Pass::kBackwardWeight;
  return Walk(schedule, left_in_rows ? left : right, left_in_rows ? right : left, config).run();
}

}  // namespace mlsim::sim
