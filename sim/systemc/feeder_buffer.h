// The double buffer of an operand feeder with its address generator.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/schedule.h"
#include "sim/statistics.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

enum class Side : std::uint8_t { kRows, kColumns };

// What crosses the ports of one feeder, in bits.
struct FeederTraffic {
  std::uint64_t dram_reads = 0;
  std::uint64_t sram_reads = 0;
  std::uint64_t buffer_writes = 0;
  std::uint64_t buffer_reads = 0;
};

class FeederBuffer {
 public:
  // One half: the operands of a step, tap by tap, each with `lanes` places of which `live` are in use. So many taps as
  // an element multiplies at once are a word; where a reduction group ends inside one, the rest of it is like padding.
  // Where convolution groups stand side by side, the lanes of the columns are those of each group, one after the other.
  struct Half {
    int live = 0;
    int groups = 1;                // of lanes
    int width = 0;                 // lanes of a group
    std::int64_t filled_taps = 0;  // of the step that it was filled for
    std::vector<Lane> lanes;
    const std::vector<Tap>* taps = nullptr;  // of the phase
    std::vector<std::uint16_t> codes;        // 0 where padding, and where the scale is zero
    std::vector<std::int32_t> integers;      // the low 32 bits of the same elements as a multiplier's integers
    std::vector<std::uint8_t> valid;         // 0 where the tap is padding
    std::vector<int> valid_lanes;            // of each tap
    std::vector<int> nonzero_lanes;          // of each tap
    // Of words of several taps: those of the group, and the lanes with one that is no padding.
    std::vector<std::uint64_t> word_taps;
    std::vector<int> word_lanes;
  };

  FeederBuffer(Side side, const ArrayConfig& config);

  void load(const Job& job);

  // Begins with the fill of the next step of the schedule.
  void start_fill();
  // A cycle's worth of the fill that was begun.
  void fill();
  // The lanes of a word are read, and those that are valid go into the lanes' operand registers.
  void count_read(int half, std::size_t word);

  // Weight-stationary: the operands of a position pass the elements, a word each column of the array and convolution
  // group, and go into the columns' registers where they are valid; all operands of a half go into the elements'
  // registers.
  void count_position(int half, std::size_t position);
  void count_load(int half);

  const Half& half(int index) const { return halves_[static_cast<std::size_t>(index)]; }
  // Of the job, and before there is one of the array without convolution groups side by side.
  int lanes() const { return lanes_; }
  int taps_per_cycle() const { return taps_per_cycle_; }
  bool filled() const { return tap_ == taps_; }
  // The scale of a lane for the group that begins with an outer index and a tap; zero where that tap is padding.
  models::TileScale scale(const Half& half, std::size_t lane, std::int64_t outer, std::int64_t tap) const;
  std::int64_t integer(std::uint16_t code) const { return integer_of_code_[code]; }
  const models::ScaledTensor& operand() const { return *operand_; }
  const FeederTraffic& traffic() const { return traffic_; }
  std::uint64_t toggled_bits() const { return toggled_bits_; }

 private:
  void count_panel(std::int64_t conv_group);
  void start_tap();
  bool next_tap();
  void end_tap();
  void end_word();
  static bool lies_in(const std::array<std::int64_t, 2>& plane, std::int64_t y, std::int64_t x) {
    return static_cast<std::uint64_t>(y) < static_cast<std::uint64_t>(plane[0]) &&
           static_cast<std::uint64_t>(x) < static_cast<std::uint64_t>(plane[1]);
  }
  template <Side side>
  void fill_lanes(int end);
  // Rows that do not fit in the SRAM pass through it whenever they are filled.
  bool streams_from_dram() const { return side_ == Side::kRows && !in_sram_; }

  Side side_;
  bool rows_stay_;  // in the elements: Dataflow::rows_stay
  int array_columns_;
  std::size_t fold_taps_;  // weight-stationary: the most that stay at once
  int lanes_;
  int taps_per_cycle_;
  std::int64_t ports_;
  std::uint64_t sram_bits_;
  std::array<Half, 2> halves_;
  std::array<std::uint64_t, 2> read_bits_{};
  FeederTraffic traffic_;
  // Codes of the lanes, for each tap of a word; weight-stationary: of the elements, row by row and for each tap of a
  // fold, or of the array's columns, for each convolution group.
  std::vector<std::uint16_t> registers_;
  std::uint64_t toggled_bits_ = 0;  // of the registers

  // Registers of the job.
  const Schedule* schedule_ = nullptr;
  const models::ScaledTensor* operand_ = nullptr;
  std::vector<std::uint16_t> codes_;  // of the operand, as the array gets them
  models::TileGrid grid_;
  std::array<std::int64_t, 2> plane_{};
  std::vector<std::int64_t> integer_of_code_;
  std::uint64_t element_bits_ = 0;
  std::uint64_t scale_bits_ = 0;
  bool in_sram_ = true;
  std::int64_t outer_planes_ = 0;
  std::int64_t outer_elements_ = 0;

  // The fill under way.
  std::optional<StepWalk> walk_;
  bool first_fill_ = true;
  std::int64_t fill_ports_ = 0;
  Half* filling_ = nullptr;
  std::int64_t taps_ = 0;  // places of the step
  std::int64_t tap_ = 0;   // the place at hand
  int lane_ = 0;
  Group group_;
  std::int64_t outer_ = 0;
  std::int64_t inner_ = 0;  // tap of the phase
  std::int64_t offset_ = 0;
  std::int64_t y_ = 0;
  std::int64_t x_ = 0;
};

}  // namespace mlsim::sim
