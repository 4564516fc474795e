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

template <typename T, typename Make>
const T& once(std::optional<T>& known, const Make& make) {
  if (!known) known.emplace(make());
  return *known;
}

}  // namespace

Evaluation::Evaluation(Source source, energy::Laws laws)
    : source_(std::move(source)),
      laws_(std::move(laws)),
      work_(work_of(source_.results)),
      price_(evaluation::price(work_, laws_, {source_.own_prices, source_.activity})) {}

const std::vector<Total>& Evaluation::totals() const {
  return once(totals_, [&] { return totals_of(results(), price_); });
}

const std::vector<MachineFigures>& Evaluation::machines() const {
  return once(machines_, [&] { return machine_figures(results(), price_, all()); });
}

const std::optional<StepFigures>& Evaluation::step() const {
  return once(step_,
              [&] { return source_.step ? std::optional(step_figures(*source_.step, machines())) : std::nullopt; });
}

const PassPrice& Evaluation::with(Activity activity) const {
  if (activity == source_.activity) return all().price;
  return once(activities_[static_cast<std::size_t>(activity)], [&] {
    return evaluation::price(work_, laws_, {source_.own_prices, activity}).sum();
  });
}

const TableRanges& Evaluation::table_ranges() const {
  return once(table_ranges_,
              [&] { return table_ranges_of(price_with_shipped_tables(work_, source_, laws_, all().price)); });
}

const std::vector<Sharing>& Evaluation::sharings() const {
  return once(sharings_, [&] { return evaluation::sharings(results(), price_.area); });
}

const std::vector<OperationFigures>& Evaluation::operations() const {
  return once(operations_, [&] { return operation_figures(all().price.energy); });
}

const std::vector<BlockArea>& Evaluation::areas() const {
  return once(areas_, [&] { return block_areas(price_); });
}

const std::vector<PassFigures>& Evaluation::passes() const {
  return once(passes_, [&] { return pass_figures(results(), price_); });
}

}  // namespace mlsim::evaluation
