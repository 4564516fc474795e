// The results' machine and the baselines', made comparable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "energy/range.h"
#include "evaluation/pass_figures.h"
#include "evaluation/pricing.h"
#include "evaluation/results.h"
#include "evaluation/totals.h"
#include "evaluation/training_step.h"

namespace mlsim::evaluation {

// Energy with memory, by where it goes.
struct EnergyParts {
  energy::Range operations;
  energy::Range overhead;
  energy::Range buffers;
  energy::Range sram;
  energy::Range dram;
  energy::Range standing;  // idle clocking and leakage, where the cost table has them
};
EnergyParts energy_parts(const energy::Breakdown& energy);

// A machine and what it does in all passes of all layers. A multiply-add is two operations; figures that divide by
// nothing are not finite.
struct MachineFigures {
  std::string baseline;           // its name; empty for the results' own machine
  double computing_area_um2 = 0;  // elements, group-scale units, quantizers; NaN without areas
  double seconds = 0;
  energy::Range computing_pj;
  energy::Range memory_pj;
  energy::Range all_pj;                    // both
  EnergyParts parts;                       // of it
  std::optional<double> memory_share;      // of all_pj
  std::optional<energy::Range> all_ratio;  // all_pj as a multiple of the results' own machine's
  double energy_delay_js = 0;              // all_pj in J, times the seconds
  std::optional<CycleShares> cycles;       // what its time is spent on
  std::optional<double> utilization;       // multiply-adds for each multiplier and array cycle
  std::optional<double> sqnr_db;           // mean over layers and passes; infinite where all are exact
  double watts = 0;                        // of computing
  double tops = 0;
  double tops_per_mm2 = 0;
  double tops_per_watt = 0;
  double tops_per_watt_with_memory = 0;
  double pj_each = 0;  // a multiply-add
  double pj_each_with_memory = 0;
  std::optional<double> sample_pj;  // with memory, of an image; none where layers have different batches

  // With as many elements as give it the area of the results' own machine.
  struct EqualArea {
    double elements_factor = 1;
    double tops = 0;
    double seconds = 0;
    double watts = 0;
  } equal_area;
  // With as many elements as give it the throughput of the results' own machine.
  struct EqualThroughput {
    double elements_factor = 1;
    double computing_area_um2 = 0;
    double watts = 0;
  } equal_throughput;
};

// Of what computes: all but memories, in µm².
double computing_area(const energy::UnitArea& machine);

// The results' machine, then the baselines.
std::vector<MachineFigures> machine_figures(const Results& results, const Price& price, const Total& all);

// A whole training step on a machine.
struct StepMachine {
  std::string baseline;        // its name; empty for the results' own machine
  energy::Range computing_pj;  // without memory
  energy::Range all_pj;        // with the memory of the convolutions
  // As a multiple of the results' own machine: with error bars, and the stated values with and without memory.
  std::optional<energy::Range> computing_ratio;
  double computing_factor = 1;
  double all_factor = 1;
  double sample_computing_pj = 0;
  double sample_all_pj = 0;
};

struct StepFigures {
  energy::Range rest_pj;              // of the step beside its convolutions
  double convolutions_pj = 0;         // without memory
  double whole_pj = 0;                // both
  std::vector<StepMachine> machines;  // in the order of `machines`
};

StepFigures step_figures(const TrainingStep& step, const std::vector<MachineFigures>& machines);

// What a sharing of the group-scale units does to the results' machine.
struct Sharing {
  int elements_per_scaler = 1;
  bool own = false;  // the results' own sharing
  std::int64_t units = 0;
  energy::UnitArea area;  // of the whole machine
  double units_area_um2 = 0;
  double computing_area_um2 = 0;
  CycleTotals cycles;  // of all layers and passes, by the closed form
  double saved = 0;    // share of the computing area of a unit for each element
  double slower = 0;   // share of its cycles
  double tops_per_mm2 = 0;
};

// One unit an element, one for 2, 4, … elements, and one for the whole array, and the results' own sharing. Empty where
// a layer has no group-scale unit.
std::vector<Sharing> sharings(const Results& results, const energy::UnitArea& area);

// A block of the machines' areas, in µm²; the last is their total.
struct BlockArea {
  std::string block;
  double own = 0;
  std::vector<double> baselines;
};
std::vector<BlockArea> block_areas(const Price& price);

}  // namespace mlsim::evaluation
