#include "app/report/cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "evaluation/results.h"

namespace mlsim::app {
namespace {

using energy::Range;

struct EnergyUnit {
  double pj;
  const char* name;
};

EnergyUnit unit_of(double pj) {
  constexpr double kNext = 999.5;  // is printed as 1000
  if (pj < kNext) return {1, "pJ"};
  if (pj < kNext * 1e3) return {1e3, "nJ"};
  if (pj < kNext * 1e6) return {1e6, "µJ"};
  if (pj < kNext * 1e9) return {1e9, "mJ"};
  return {1e12, "J"};
}

// Behind the point, for three digits in all.
int digits_for(double value) {
  constexpr double kNext = 0.9995;  // is printed as 1.00
  return value > 0 ? std::clamp(2 - static_cast<int>(std::floor(std::log10(value / kNext))), 0, 6) : 0;
}

}  // namespace

std::string three_digits(double value) {
  if (!std::isfinite(value)) return "-";
  constexpr double kLeast = 1e-3;  // without an exponent
  if (value != 0 && std::abs(value) < kLeast) return fmt::format("{:.2e}", value);
  return fmt::format("{:.{}f}", value, digits_for(std::abs(value)));
}

std::string joules(double pj) {
  const EnergyUnit unit = unit_of(pj);
  return fmt::format("{} {}", three_digits(pj / unit.pj), unit.name);
}

std::string count(double value) {
  return value < 1e5 ? fmt::format("{:.0f}", value) : fmt::format("{:.2E}", value);
}

std::string count(const energy::WideCount& value) {
  return count(static_cast<double>(value));
}

std::string percent(const std::optional<double>& share, int digits) {
  return share && std::isfinite(*share) ? fmt::format("{:.{}f} %", 100 * *share, digits) : "-";
}

std::string factor(double value) {
  return std::isfinite(value) ? fmt::format("{:.2f}", value) : "-";
}

std::string decibels(const std::optional<double>& value) {
  if (!value) return "-";
  return evaluation::decibels_in_words(*value).value_or(fmt::format("{:.1f}", *value));
}

std::vector<std::string> fixed_column(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  double smallest = largest;
  for (const double value : values) {
    if (std::abs(value) >= largest / 100) smallest = std::min(smallest, std::abs(value));
  }
  const int digits = digits_for(smallest);
  std::vector<std::string> cells;
  cells.reserve(values.size());
  for (const double value : values) cells.push_back(std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "-");
  return cells;
}

std::vector<std::string> fixed_ranges(const std::vector<std::optional<Range>>& ranges) {
  std::vector<double> values;
  values.reserve(ranges.size());
  for (const std::optional<Range>& range : ranges) values.push_back(range ? range->value : std::nan(""));
  std::vector<std::string> cells = fixed_column(values);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    const std::size_t point = cells[i].find('.');
    const int digits = point == std::string::npos ? 0 : static_cast<int>(cells[i].size() - point - 1);
    cells[i] += fmt::format(" ({:.{}f}-{:.{}f})", ranges[i]->low, digits, ranges[i]->high, digits);
  }
  return cells;
}

EnergyColumn energy_ranges(const std::vector<Range>& pj) {
  double largest = 0;
  for (const Range& range : pj) {
    if (std::isfinite(range.value)) largest = std::max(largest, range.value);
  }
  const EnergyUnit unit = unit_of(largest);
  std::vector<std::optional<Range>> scaled;
  scaled.reserve(pj.size());
  for (const Range& range : pj) {
    scaled.emplace_back(Range{range.low / unit.pj, range.value / unit.pj, range.high / unit.pj});
  }
  return {unit.name, fixed_ranges(scaled)};
}

EnergyColumn energy_column(const std::vector<double>& pj) {
  double largest = 0;
  for (const double value : pj) {
    if (std::isfinite(value)) largest = std::max(largest, value);
  }
  const EnergyUnit unit = unit_of(largest);
  std::vector<double> scaled;
  scaled.reserve(pj.size());
  for (const double value : pj) scaled.push_back(value / unit.pj);
  return {unit.name, fixed_column(scaled)};
}

std::string times(const std::optional<Range>& ratio) {
  return ratio ? fmt::format("{:.2f}", ratio->value) : "-";
}

std::string times_range(const std::optional<Range>& ratio) {
  return ratio ? fmt::format("{:.1f} ({:.1f}-{:.1f})", ratio->value, ratio->low, ratio->high) : "-";
}

std::string area(double um2) {
  return !std::isfinite(um2) ? "-" : fmt::format("{:.3f}", um2 / 1e6);
}

}  // namespace mlsim::app
