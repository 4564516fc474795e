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

// Of the finite ones, by their size.
double largest_of(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest;
}

// For three digits of all in a column but those that are a hundred times smaller than the largest.
int digits_for(const std::vector<double>& values) {
  const double largest = largest_of(values);
  double smallest = largest;
  for (const double value : values) {
    if (std::abs(value) >= largest / 100) smallest = std::min(smallest, std::abs(value));
  }
  return digits_for(smallest);
}

std::string fixed(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "-";
}

}  // namespace

double number(const std::optional<double>& value) {
  return value.value_or(std::nan(""));
}

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
  const int digits = digits_for(values);
  std::vector<std::string> cells;
  cells.reserve(values.size());
  for (const double value : values) cells.push_back(fixed(value, digits));
  return cells;
}

std::vector<std::string> fixed_ranges(const std::vector<std::optional<Range>>& ranges) {
  std::vector<double> values;
  values.reserve(ranges.size());
  for (const std::optional<Range>& range : ranges) values.push_back(range ? range->value : std::nan(""));
  const int digits = digits_for(values);
  std::vector<std::string> cells;
  cells.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::string& cell = cells.emplace_back(fixed(values[i], digits));
    if (std::isfinite(values[i]))
      cell += fmt::format(" ({:.{}f}-{:.{}f})", ranges[i]->low, digits, ranges[i]->high, digits);
  }
  return cells;
}

EnergyColumn energy_ranges(const std::vector<Range>& pj) {
  std::vector<double> values;
  values.reserve(pj.size());
  for (const Range& range : pj) values.push_back(range.value);
  const EnergyUnit unit = unit_of(largest_of(values));
  std::vector<std::optional<Range>> scaled;
  scaled.reserve(pj.size());
  for (const Range& range : pj) {
    scaled.emplace_back(Range{range.low / unit.pj, range.value / unit.pj, range.high / unit.pj});
  }
  return {unit.name, fixed_ranges(scaled)};
}

EnergyColumn energy_column(const std::vector<double>& pj) {
  const EnergyUnit unit = unit_of(largest_of(pj));
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
