#include "evaluation/pass_figures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <string_view>
#include <utility>

#include "evaluation/totals.h"

namespace mlsim::evaluation {
namespace {

std::optional<double> quotient(double part, double whole) {
  return whole > 0 ? std::optional(part / whole) : std::nullopt;
}

PassFigures figures_of(const PassRecord& record, const energy::Breakdown& energy, const sim::ArrayConfig& array) {
  PassFigures figures;
  figures.all_pj = energy.with_memory().value;
  figures.utilization = utilization_of(record);
  const sim::CycleCounts& cycles = record.cycles;
  double stalls = 0;
  for (const std::uint64_t cause : {cycles.fill_stalls, cycles.scaler_stalls, cycles.dram_stalls, cycles.sram_stalls}) {
    stalls += static_cast<double>(cause);
  }
  figures.stall_share = quotient(stalls, static_cast<double>(cycles.array));
  figures.cycles = cycle_shares(cycles, array);
  figures.sqnr_db = record.sqnr_db;
  const auto bits = [&](energy::Operation operation) { return static_cast<double>(energy.counts[operation]); };
  figures.dram_bytes = (bits(energy::Operation::kDramRead) + bits(energy::Operation::kDramWrite)) / 8;
  const double operations = 2 * static_cast<double>(record.multiply_adds);
  const double seconds = milliseconds_of(cycles, array) / 1e3;
  figures.operations_per_byte = quotient(operations, figures.dram_bytes);
  figures.tops = quotient(operations / 1e12, seconds);
  const double unstalled = figures.cycles ? seconds * (1 - figures.cycles->dram) : 0;
  figures.needed_gigabytes_per_second = quotient(figures.dram_bytes / 1e9, unstalled);
  return figures;
}

// The place of the figure that `better` puts first.
template <typename Better>
std::optional<std::size_t> extreme(const std::vector<PassFigures>& all, std::optional<double> PassFigures::*figure,
                                   const Better& better) {
  std::optional<std::size_t> place;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::optional<double>& value = all[i].*figure;
    if (!value || std::isnan(*value)) continue;
    if (!place || better(*value, *(all[*place].*figure))) place = i;
  }
  return place;
}

}  // namespace

std::optional<CycleShares> cycle_shares(const CycleTotals& cycles, const sim::ArrayConfig& array) {
  const auto total = static_cast<double>(cycles.total());
  if (!(total > 0)) return std::nullopt;
  const auto share = [&](const energy::WideCount& count) { return static_cast<double>(count) / total; };
  const energy::WideCount stalls = cycles.fill_stalls + cycles.scaler_stalls + cycles.dram_stalls + cycles.sram_stalls;
  CycleShares shares{share(cycles.array.without(stalls)), share(cycles.fill_stalls),
                     share(cycles.scaler_stalls),         share(cycles.dram_stalls),
                     share(cycles.sram_stalls),           share(cycles.quantizer.without(cycles.quantizer_stalls))};
  (array.ports_slow_the_channel() ? shares.sram : shares.dram) += share(cycles.quantizer_stalls);
  return shares;
}

Bound bound_of(const CycleShares& shares) {
  const std::pair<Bound, double> waits[] = {{Bound::kFill, shares.fill},
                                            {Bound::kScaler, shares.scaler},
                                            {Bound::kDram, shares.dram},
                                            {Bound::kSram, shares.sram},
                                            {Bound::kQuantizer, shares.quantizer}};
  const auto* const most = std::max_element(
      std::begin(waits), std::end(waits), [](const auto& one, const auto& other) { return one.second < other.second; });
  return most->second >= kBoundShare ? most->first : Bound::kCompute;
}

std::string to_string(Bound bound) {
  constexpr std::array<const char*, 6> kNames{"compute", "fill", "scaler", "DRAM", "SRAM", "quantizer"};
  return kNames.at(static_cast<std::size_t>(bound));
}

std::string bound_in_a_word(const std::optional<CycleShares>& shares) {
  return shares ? to_string(bound_of(*shares)) : "-";
}

std::vector<PassFigures> pass_figures(const Results& results, const Price& price) {
  std::vector<PassFigures> all;
  double sum = 0;
  for (std::size_t l = 0; l < results.layers.size(); ++l) {
    for (std::size_t p = 0; p < results.layers[l].passes.size(); ++p) {
      PassFigures& figures =
          all.emplace_back(figures_of(results.layers[l].passes[p], price.layers[l][p].energy, results.array));
      figures.layer = l;
      figures.pass = p;
      sum += figures.all_pj;
    }
  }
  for (PassFigures& figures : all) figures.energy_share = quotient(figures.all_pj, sum);
  return all;
}

HotSpots hot_spots(const std::vector<PassFigures>& figures) {
  HotSpots spots;
  spots.most_energy = extreme(figures, &PassFigures::energy_share, std::greater<>());
  spots.least_utilization = extreme(figures, &PassFigures::utilization, std::less<>());
  spots.most_stalls = extreme(figures, &PassFigures::stall_share, std::greater<>());
  spots.largest_error = extreme(figures, &PassFigures::sqnr_db, std::less<>());
  if (spots.most_stalls && *figures[*spots.most_stalls].stall_share <= 0) spots.most_stalls.reset();
  if (spots.largest_error && std::isinf(*figures[*spots.largest_error].sqnr_db)) spots.largest_error.reset();
  return spots;
}

double peak_tops(const sim::ArrayConfig& array) {
  return 2.0 * static_cast<double>(array.multipliers()) * array.clock_ghz / 1e3;
}

const std::vector<Bandwidth>& example_bandwidths() {
  static const std::vector<Bandwidth> bandwidths{
      {"DDR4-3200, one channel", 25.6, "JEDEC JESD79-4: 3200 million transfers a second of 64 bits"},
      {"HBM2, one stack", 256, "JEDEC JESD235A: 2000 million transfers a second of 1024 bits"}};
  return bandwidths;
}

std::optional<Bandwidth> own_bandwidth(const sim::ArrayConfig& array) {
  if (!array.dram_bytes_per_cycle.limited()) return std::nullopt;
  const std::string_view kind = array.dram_technology ? energy::name(*array.dram_technology) : "DRAM";
  const std::string name = "the machine's own " + std::string(kind);
  return Bandwidth{name, array.dram_bytes_per_cycle.bytes() * array.clock_ghz, "dram_bytes_per_cycle of the array"};
}

std::size_t waiting_passes(const std::vector<PassFigures>& figures, const Bandwidth& memory) {
  return static_cast<std::size_t>(std::count_if(figures.begin(), figures.end(), [&](const PassFigures& pass) {
    return pass.needed_gigabytes_per_second.value_or(0) > memory.gigabytes_per_second;
  }));
}

}  // namespace mlsim::evaluation
