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

}  // namespace

std::string three_digits(double value) {
  if (!std::isfinite(value)) return "-";
  return value < 999.5 ? fmt::format("{:.3g}", value) : fmt::format("{:.0f}", value);
}

std::string joules(double pj) {
  const EnergyUnit unit = unit_of(pj);
  return fmt::format("{} {}", three_digits(pj / unit.pj), unit.name);
}

std::string joules_range(const Range& pj) {
  const EnergyUnit unit = unit_of(pj.value);
  return fmt::format("{} ({}-{})", joules(pj.value), three_digits(pj.low / unit.pj), three_digits(pj.high / unit.pj));
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
  constexpr double kNext = 0.9995;  // is printed as 1.00
  const int digits =
      smallest > 0 ? std::clamp(2 - static_cast<int>(std::floor(std::log10(smallest / kNext))), 0, 6) : 0;
  std::vector<std::string> cells;
  cells.reserve(values.size());
  for (const double value : values) cells.push_back(std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "-");
  return cells;
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

std::string each(const std::optional<double>& pj) {
  return pj ? fmt::format("{:.3g}", *pj) : "-";
}

std::string area(double um2) {
  return !std::isfinite(um2) ? "-" : fmt::format("{:.3f}", um2 / 1e6);
}

}  // namespace mlsim::app
