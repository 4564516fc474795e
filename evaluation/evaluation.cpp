#include "evaluation/evaluation.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "energy/cost_table.h"

namespace mlsim::evaluation {
namespace {

using energy::Breakdown;

// Sums over all passes, with one of the shipped tables.
struct TablePrice {
  std::string table;
  PassPrice all;
};

// `priced` are the sums with `laws`, which need no pricing again where they are those of a shipped table.
std::vector<TablePrice> price_with_shipped_tables(const Work& work, const Source& source, const energy::Laws& laws,
                                                  const PassPrice& priced) {
  std::vector<TablePrice> prices;
  for (const std::string_view name : energy::shipped_cost_tables()) {
    energy::CostTable table = energy::find_cost_table(std::string(name));
    const bool known = source.own_prices.empty() && table.content_hash == laws.table().content_hash;
    prices.push_back(
        {std::string(name), known ? priced : price(work, energy::Laws(std::move(table)), {{}, source.activity}).sum()});
  }
  return prices;
}

template <typename Ratio>
std::optional<TableRange> range_over(const std::vector<TablePrice>& prices, const Ratio& ratio_of) {
  TableRange range;
  for (const TablePrice& price : prices) {
    const std::optional<energy::Range> ratio = ratio_of(price.all);
    if (!ratio) return std::nullopt;
    range.by_table.push_back(ratio->value);
  }
  if (range.by_table.empty()) return std::nullopt;
  const auto [low, high] = std::minmax_element(range.by_table.begin(), range.by_table.end());
  range.low = *low;
  range.high = *high;
  return range;
}

TableRanges table_ranges_of(const std::vector<TablePrice>& prices) {
  TableRanges ranges;
  for (const TablePrice& price : prices) ranges.tables.push_back(price.table);
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    ranges.operations_only.push_back(
        range_over(prices, [&](const PassPrice& price) { return price.compared(b).operations_only; }));
    ranges.computing.push_back(range_over(prices, [&](const PassPrice& price) { return price.compared(b).computing; }));
  }
  const auto index_of = [](std::string_view name) {
    const std::vector<BaselineMachine>& machines = baseline_machines();
    return static_cast<std::size_t>(
        std::find_if(machines.begin(), machines.end(), [&](const BaselineMachine& m) { return m.name == name; }) -
        machines.begin());
  };
  ranges.fp32_to_int8 = range_over(prices, [&](const PassPrice& price) {
    return energy::ratio(price.baselines[index_of("fp32")].operations_only(),
                         price.baselines[index_of("int8")].operations_only());
  });
  return ranges;
}

std::vector<OperationFigures> operation_figures(const Breakdown& energy) {
  std::vector<OperationFigures> figures;
  for (const energy::Line line : {energy::Line::kOperation, energy::Line::kOverhead, energy::Line::kMemory}) {
    const double sum = energy.sum(line).value;
    for (const energy::Operation operation : energy::kOperations) {
      if (energy::line_of(operation) != line || energy.counts[operation] == 0) continue;
      const double pj = energy.energy_pj[operation].value;
      figures.push_back({operation, energy.counts[operation], pj, sum > 0 ? std::optional(pj / sum) : std::nullopt});
    }
  }
  return figures;
}

}  // namespace

Evaluation evaluate(Source source, const energy::Laws& laws) {
  const Work work = work_of(source.results);
  Evaluation evaluation;
  evaluation.source = std::move(source);
  evaluation.table = laws.table();
  const Source& from = evaluation.source;
  evaluation.price = price(work, laws, {from.own_prices, from.activity});
  evaluation.totals = totals_of(from.results, evaluation.price);
  const Total& all = evaluation.all();
  evaluation.machines = machine_figures(from.results, evaluation.price, all);
  if (from.step) evaluation.step = step_figures(*from.step, evaluation.machines);
  for (const Activity activity : kActivities) {
    evaluation.activities[static_cast<std::size_t>(activity)] =
        activity == from.activity ? all.price : price(work, laws, {from.own_prices, activity}).sum();
  }
  evaluation.table_ranges = table_ranges_of(price_with_shipped_tables(work, from, laws, all.price));
  evaluation.sharings = sharings(from.results, evaluation.price.area);
  evaluation.operations = operation_figures(all.price.energy);
  evaluation.areas = block_areas(evaluation.price);
  return evaluation;
}

}  // namespace mlsim::evaluation
