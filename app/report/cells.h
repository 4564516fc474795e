// Figures as the cells of a report's tables.
// Tested in tests/app/summary_test.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "energy/range.h"
#include "energy/wide_count.h"

namespace mlsim::app {

// NaN for what is undefined.
double number(const std::optional<double>& value);

// Three digits, without an exponent; - for what is undefined, such as a figure for each of no multiply-adds.
std::string three_digits(double value);

// An energy of so many pJ with a unit that suits it, alone and with the ends of its error bar.
std::string joules(double pj);

std::string count(double value);
std::string count(const energy::WideCount& value);

// A quotient as a percentage of `digits` digits behind the point; - for what is undefined.
std::string percent(const std::optional<double>& share, int digits = 1);

std::string factor(double value);
std::string decibels(const std::optional<double>& value);

// Figures of a column in one unit and with as many digits behind the point, zeros at the end kept: three digits of the
// smallest that is not below a hundredth of the largest. - for what is undefined.
std::vector<std::string> fixed_column(const std::vector<double>& values);
// The same of energies in pJ, with the unit that suits the largest, which belongs in the column's head.
struct EnergyColumn {
  std::string unit;
  std::vector<std::string> cells;
};
EnergyColumn energy_column(const std::vector<double>& pj);
// The same with the ends of error bars behind each figure.
std::vector<std::string> fixed_ranges(const std::vector<std::optional<energy::Range>>& ranges);
EnergyColumn energy_ranges(const std::vector<energy::Range>& pj);

// A ratio, alone and with the ends of its error bar.
std::string times(const std::optional<energy::Range>& ratio);
std::string times_range(const std::optional<energy::Range>& ratio);

// µm² in mm².
std::string area(double um2);

}  // namespace mlsim::app
