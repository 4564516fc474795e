#include "evaluation/totals.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mlsim::evaluation {
namespace {

void add(const PassRecord& record, const PassPrice& price, Total& total) {
  ++total.passes;
  total.multiply_adds += record.multiply_adds;
  total.overflows += record.counts.overflows;
  total.overflows_are_counted = total.overflows_are_counted && record.overflows_are_counted;
  total.cycles += record.cycles;
  total.price += price;
  const ZeroProducts zeros = zero_products(record);
  total.zero_products += zeros.count;
  total.zeros_are_counted = total.zeros_are_counted && zeros.counted;
  if (record.toggles) total.toggles.add(*record.toggles, record.traffic);
  total.sqnr.add(record.pass, summed_sqnr(record));
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    const BaselineMachine& machine = baseline_machines()[b];
    total.baseline_zero_products[b] += zero_products(record, machine).count;
    total.baseline_sqnr[b].add(record.pass, baseline_sqnr(record, machine));
  }
}

template <typename Filter>
Total total_of(const std::string& name, const Results& results, const Price& price, const Filter& filter) {
  Total total;
  total.name = name;
  for (std::size_t l = 0; l < results.layers.size(); ++l) {
    for (std::size_t p = 0; p < results.layers[l].passes.size(); ++p) {
      const PassRecord& record = results.layers[l].passes[p];
      if (filter(results.layers[l], record)) add(record, price.layers[l][p], total);
    }
  }
  const sim::ArrayConfig& array = results.array;
  total.milliseconds = milliseconds_of(total.cycles, array);
  if (total.cycles.array != 0) {
    total.utilization = static_cast<double>(total.multiply_adds) /
                        (static_cast<double>(total.cycles.array) * static_cast<double>(array.multipliers()));
  }
  return total;
}

bool is_pointwise(const LayerRecord& layer) {
  return layer.shape.kernel == std::array<std::int64_t, 2>{1, 1};
}

constexpr const char* kAll = "all";

}  // namespace

std::optional<double> Total::each(double pj) const {
  return multiply_adds == 0 ? std::nullopt : std::optional(pj / static_cast<double>(multiply_adds));
}

std::optional<double> Total::share(const energy::WideCount& products) const {
  return each(static_cast<double>(products));
}

std::vector<Total> totals_of(const Results& results, const Price& price) {
  std::vector<Total> totals;
  for (const models::Pass pass : models::kPasses) {
    Total total = total_of(models::to_string(pass), results, price,
                           [&](const LayerRecord&, const PassRecord& record) { return record.pass == pass; });
    if (total.passes > 0) totals.push_back(std::move(total));
  }
  totals.push_back(total_of(kAll, results, price, [](const LayerRecord&, const PassRecord&) { return true; }));
  Total pointwise = total_of("of which 1x1", results, price,
                             [](const LayerRecord& layer, const PassRecord&) { return is_pointwise(layer); });
  if (pointwise.passes > 0 && pointwise.passes < totals.back().passes) totals.push_back(std::move(pointwise));
  return totals;
}

const Total& all_of(const std::vector<Total>& totals) {
  return *std::find_if(totals.begin(), totals.end(), [](const Total& total) { return total.name == kAll; });
}

double milliseconds_of(const CycleTotals& cycles, const sim::ArrayConfig& array) {
  return 1e3 * static_cast<double>(cycles.total()) / (array.clock_ghz * 1e9);
}

std::optional<double> utilization_of(const PassRecord& record) {
  return record.cycles.array == 0 ? std::nullopt : std::optional(record.utilization);
}

std::optional<double> baseline_sqnr(const PassRecord& record, const BaselineMachine& machine) {
  std::optional<double> sqnr;
  for (const MeasuredBaseline& baseline : record.baselines) {
    if (baseline.name == machine.name) sqnr = baseline.sqnr_db;
  }
  return sqnr;
}

}  // namespace mlsim::evaluation
