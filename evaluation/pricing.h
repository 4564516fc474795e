// Introduces what was counted to what it costs.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "energy/datapath_cost.h"
#include "energy/laws.h"
#include "energy/pricing.h"
#include "energy/wide_count.h"
#include "evaluation/results.h"
#include "sim/statistics.h"

namespace mlsim::evaluation {

// Which operands the elements are priced for.
enum class Activity : std::uint8_t {
  kDense,  // random operands without zeros, as the cost tables' figures are
  kZeros,  // with the zeros of the values, and the bits that they change in the operand registers
  kGated,  // the same on elements that hold still where an operand is zero
};
inline constexpr std::array<Activity, 3> kActivities{Activity::kDense, Activity::kZeros, Activity::kGated};
Activity parse_activity(const std::string& text);  // throws std::runtime_error for another name
std::string to_string(Activity activity);          // dense, zeros, gated

// Of a pass's multiply-adds, those of a zero operand: counted from its values or, where there are none, assumed.
struct ZeroProducts {
  std::uint64_t count = 0;
  bool counted = false;
};
// Assumed is that half of the activations are zero, as behind a ReLU, and nothing else is.
inline constexpr double kAssumedZeroActivations = 0.5;
ZeroProducts zero_products(const PassRecord& record);
// Of a baseline, whose quantization keeps other zeros; as of the results' format where they were not counted.
ZeroProducts zero_products(const PassRecord& record, const BaselineMachine& machine);

// Of the bits that the operand registers of rows and columns take, the share that changes; none where it was not
// counted. Random codes change half of them.
struct ToggleShare {
  double rows = 0;
  double columns = 0;
};
std::optional<ToggleShare> toggle_share(const sim::OperandToggles& toggles, const sim::Traffic& traffic);

// The same of any number of passes.
struct ToggleTotals {
  energy::WideCount row_bits;
  energy::WideCount column_bits;
  energy::WideCount row_reads;
  energy::WideCount column_reads;

  void add(const sim::OperandToggles& toggles, const sim::Traffic& traffic);
  std::optional<ToggleShare> share() const;
};

// Cycles of any number of passes.
struct CycleTotals {
  energy::WideCount array;
  energy::WideCount quantizer;
  energy::WideCount fill_stalls;
  energy::WideCount scaler_stalls;
  energy::WideCount dram_stalls;
  energy::WideCount sram_stalls;
  energy::WideCount quantizer_stalls;

  CycleTotals() = default;
  CycleTotals(const sim::CycleCounts& cycles);  // NOLINT(google-explicit-constructor)
  energy::WideCount total() const { return array + quantizer; }
  CycleTotals& operator+=(const CycleTotals& other);
  bool operator==(const CycleTotals&) const = default;
};

struct PassPrice {
  energy::Breakdown energy;
  // Of the same pass on each of baseline_machines().
  std::vector<energy::Breakdown> baselines;
  std::vector<CycleTotals> baseline_cycles;

  PassPrice& operator+=(const PassPrice& other);
  // What a baseline takes as a multiple of the energy.
  energy::Comparison compared(std::size_t baseline) const { return energy::compare(baselines[baseline], energy); }
};

struct Price {
  std::vector<std::vector<PassPrice>> layers;  // by layer and pass, as in the results
  int accumulator_bits = 0;                    // of the array: the widest of its passes
  energy::UnitArea area;                       // of the whole machine
  std::vector<energy::UnitArea> baseline_areas;

  // Sums over all layers: for one pass, and for all of them.
  PassPrice sum(const Results& results, models::Pass pass) const;
  PassPrice sum() const;
};

// Prices of the format's machine that stand in the place of the table's, in pJ: of dense operands, without zero gating.
using OwnPrices = std::map<energy::Operation, double>;

struct PricingOptions {
  OwnPrices own{};  // of the results' machine, known from elsewhere, without error bars; the baselines' are the table's
  Activity activity = Activity::kDense;
};

// What a pass does on a machine, whatever that costs.
struct PassWork {
  energy::Datapath datapath;
  energy::Surroundings surroundings;  // of dense operands
  energy::Counts counts;
  std::uint64_t zero_products = 0;
  sim::CycleCounts cycles;
  // Of the bits of the operands' registers, how many change where there are zeros, relative to random ones.
  double left_activity = 1;
  double right_activity = 1;
};

// What results do on their own machine and on the baselines': the same dataflow and array with their own elements and
// no group-scale units.
struct Work {
  struct Pass {
    PassWork own;
    std::vector<PassWork> baselines;
  };
  std::vector<std::vector<Pass>> layers;  // by layer and pass, as in the results
  int accumulator_bits = 0;               // an array has one width: the widest of its passes
  energy::Units units;
  double clock_ghz = 1;
};
enum class Machines : std::uint8_t { kOwn, kOwnAndBaselines };
Work work_of(const Results& results, Machines machines = Machines::kOwnAndBaselines);

// Prices every pass on every machine of the work. Throws std::runtime_error where a datapath cannot be priced.
Price price(const Work& work, const energy::Laws& laws, const PricingOptions& options = {});

energy::Units units_of(const sim::ArrayConfig& array);

// What the results' machine pays for each operation, and how many units it has.
struct Machine {
  energy::DatapathCost cost;
  energy::Units units;
};

// The machine of results whose layers and operands all have the format of the first layer's activations.
Machine machine_of(const Results& results, const energy::Laws& laws);

}  // namespace mlsim::evaluation
