// Counts times prices, computed once: every figure that a report of results may print.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "energy/laws.h"
#include "evaluation/machines.h"
#include "evaluation/pricing.h"
#include "evaluation/results.h"
#include "evaluation/totals.h"
#include "evaluation/training_step.h"

namespace mlsim::evaluation {

// Results, and what they are priced for.
struct Source {
  std::string file;
  Results results;
  OwnPrices own_prices{};  // of the results' machine, where they are not the table's
  Activity activity = Activity::kDense;
  std::optional<TrainingStep> step{};  // the rest of the step whose convolutions the results are
};

// A ratio's stated value with each of the shipped tables.
struct TableRange {
  std::vector<double> by_table;
  double low = 0;
  double high = 0;
};

// Ratios that depend on the choice of a shipped table, without error bars; none where a table gives none.
struct TableRanges {
  std::vector<std::string> tables;
  // Of each baseline to the results' own machine.
  std::vector<std::optional<TableRange>> operations_only;
  std::vector<std::optional<TableRange>> computing;
  // Of fp32 to int8, operations only.
  std::optional<TableRange> fp32_to_int8;
};

// What an operation takes in all passes of all layers.
struct OperationFigures {
  energy::Operation operation = energy::Operation::kMantissaMultiply;
  energy::WideCount count;
  double pj = 0;
  std::optional<double> share;  // of its line, where that takes something
};

struct Evaluation {
  Source source;
  energy::CostTable table;
  Price price;                // of each layer and pass
  std::vector<Total> totals;  // as totals_of has them
  std::vector<MachineFigures> machines;
  std::optional<StepFigures> step;
  // All passes of all layers, for each of kActivities.
  std::array<PassPrice, kActivities.size()> activities;
  TableRanges table_ranges;
  std::vector<Sharing> sharings;
  std::vector<OperationFigures> operations;  // those that are done, line by line
  std::vector<BlockArea> areas;

  const Results& results() const { return source.results; }
  const Total& all() const { return all_of(totals); }
};

// Throws std::runtime_error where a datapath cannot be priced.
Evaluation evaluate(Source source, const energy::Laws& laws);

}  // namespace mlsim::evaluation
