// The double buffer of an operand feeder with its address generator.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/output_stationary/schedule.h"
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
  // One half: the operands of a step, tap by tap, each with `lanes` places of which `live` are in use.
  struct Half {
    int live = 0;
    std::vector<Lane> lanes;
    std::vector<std::uint16_t> codes;
    std::vector<std::int32_t> integers;  // the same elements as a multiplier's integers; 0 where padding
    std::vector<std::uint8_t> valid;     // 0 where the tap is padding
    std::vector<int> valid_lanes;        // of each tap
    std::vector<int> nonzero_lanes;      // of each tap
  };

  FeederBuffer(Side side, const ArrayConfig& config);

  void load(const Job& job);

  // Begins with the fill of the next step of the schedule.
  void start_fill();
  // A cycle's worth of the fill that was begun.
  void fill();
  // The lanes of a tap are read, and those that are valid go into the lanes' operand registers.
  void count_read(int half, std::size_t tap);

  const Half& half(int index) const { return halves_[static_cast<std::size_t>(index)]; }
  int lanes() const { return lanes_; }
  bool filled() const { return tap_ == taps_; }
  // Group scale of a lane: its place in the operand's scales.
  std::size_t scale_index(const Lane& lane, std::int64_t group) const {
    return static_cast<std::size_t>(lane.scale + (merged_ ? 0 : group * outer_scales_));
  }
  const models::ScaledTensor& operand() const { return *operand_; }
  const FeederTraffic& traffic() const { return traffic_; }
  std::uint64_t toggled_bits() const { return toggled_bits_; }

 private:
  void start_tap();

  Side side_;
  int lanes_;
  std::int64_t ports_;
  std::uint64_t sram_bits_;
  std::array<Half, 2> halves_;
  std::array<std::uint64_t, 2> read_bits_{};
  FeederTraffic traffic_;
  std::vector<std::uint16_t> registers_;  // codes of the lanes
  std::uint64_t toggled_bits_ = 0;        // of the registers

  // Registers of the job.
  const Schedule* schedule_ = nullptr;
  const models::ScaledTensor* operand_ = nullptr;
  std::vector<std::int32_t> integer_of_code_;
  std::uint64_t element_bits_ = 0;
  std::uint64_t scale_bits_ = 0;
  std::uint64_t panel_dram_bits_ = 0;  // 0 where the operand is kept in the SRAM
  bool streams_from_dram_ = false;
  bool merged_ = false;
  std::int64_t outer_scales_ = 0;
  std::int64_t outer_elements_ = 0;

  // The fill under way.
  std::optional<StepWalk> walk_;
  bool first_fill_ = true;
  Half* filling_ = nullptr;
  std::int64_t taps_ = 0;
  std::int64_t tap_ = 0;
  int lane_ = 0;
  std::size_t inner_ = 0;
  std::int64_t outer_ = 0;
  const std::vector<Tap>* phase_taps_ = nullptr;
  std::int64_t offset_ = 0;
  std::int64_t y_ = 0;
  std::int64_t x_ = 0;
};

}  // namespace mlsim::sim
