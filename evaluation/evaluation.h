// Counts times prices: every figure that a report of results may print.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "energy/laws.h"
#include "evaluation/machines.h"
#include "evaluation/pass_figures.h"
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

// What a report asks for, each computed once, when it is first asked for: not by two threads at a time.
class Evaluation {
 public:
  // Prices each layer and pass. Throws std::runtime_error where a datapath cannot be priced.
  Evaluation(Source source, energy::Laws laws);

  const Source& source() const { return source_; }
  const Results& results() const { return source_.results; }
  const energy::CostTable& table() const { return laws_.table(); }
  const Price& price() const { return price_; }

  const std::vector<Total>& totals() const;  // as totals_of has them
  const Total& all() const { return all_of(totals()); }
  const std::vector<MachineFigures>& machines() const;
  const std::optional<StepFigures>& step() const;  // where the source has a step
  // All passes of all layers.
  const PassPrice& with(Activity activity) const;
  const TableRanges& table_ranges() const;
  const std::vector<Sharing>& sharings() const;
  const std::vector<OperationFigures>& operations() const;  // those that are done, line by line
  const std::vector<BlockArea>& areas() const;
  const std::vector<PassFigures>& passes() const;  // of each layer, in order

 private:
  Source source_;
  energy::Laws laws_;
  Work work_;
  Price price_;

  mutable std::optional<std::vector<Total>> totals_;
  mutable std::optional<std::vector<MachineFigures>> machines_;
  mutable std::optional<std::optional<StepFigures>> step_;
  mutable std::array<std::optional<PassPrice>, kActivities.size()> activities_;
  mutable std::optional<TableRanges> table_ranges_;
  mutable std::optional<std::vector<Sharing>> sharings_;
  mutable std::optional<std::vector<OperationFigures>> operations_;
  mutable std::optional<std::vector<BlockArea>> areas_;
  mutable std::optional<std::vector<PassFigures>> passes_;
};

}  // namespace mlsim::evaluation
