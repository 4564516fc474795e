#include "energy/laws.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace mlsim::energy {
namespace {

using models::BaselineFormat;

struct Point {
  double x;
  double y;
};

// Straight lines in log-log through the points (ascending x), the outer ones prolonged; proportional to x through a
// single one.
double power_law(const std::vector<Point>& points, double x) {
  if (points.size() == 1) return points[0].y * (x / points[0].x);
  std::size_t upper = 1;
  while (upper + 1 < points.size() && points[upper].x < x) ++upper;
  const Point& low = points[upper - 1];
  const Point& high = points[upper];
  if (x == high.x) return high.y;
  return low.y * std::pow(x / low.x, std::log(high.y / low.y) / std::log(high.x / low.x));
}

// Cells of an array multiplier that its law counts.
double multiplier_size(double n, double m) {
  return n * m - (n + m) / 2;
}

std::vector<Point> points_of(const std::vector<WidthPoint>& figures, double Cost::*field) {
  std::vector<Point> points;
  points.reserve(figures.size());
  for (const WidthPoint& figure : figures) {
    points.push_back({multiplier_size(figure.width, figure.width), figure.cost.*field});
  }
  return points;
}

double multiplier_law(const std::vector<Point>& points, double size) {
  if (size < points.front().x) return points.front().y * (size / points.front().x);
  return power_law(points, size);
}

double adder_law(const std::vector<WidthPoint>& figures, double Cost::*field, int n) {
  const WidthPoint& first = figures.front();
  const WidthPoint& last = figures.back();
  if (n <= first.width) return first.cost.*field * n / first.width;
  if (n >= last.width) return last.cost.*field * n / last.width;
  std::size_t upper = 1;
  while (figures[upper].width < n) ++upper;
  const WidthPoint& low = figures[upper - 1];
  const WidthPoint& high = figures[upper];
  if (n == high.width) return high.cost.*field;
  return low.cost.*field + (high.cost.*field - low.cost.*field) * (n - low.width) / (high.width - low.width);
}

const Cost& figure(const std::array<Cost, kFloatFormats.size()>& costs, BaselineFormat format) {
  assert(!models::layout_of(format).is_integer());
  return costs[static_cast<std::size_t>(format)];
}

int ceil_log2(int n) {
  return static_cast<int>(std::bit_width(static_cast<unsigned>(n - 1)));
}

}  // namespace

Laws::Laws(CostTable table) : table_(std::move(table)) {}

Cost Laws::multiplier(int n, int m) const {
  assert(n >= 1 && m >= 1);
  if (std::min(n, m) == 1) return table_.laws.multiplier_row * std::max(n, m);
  const double size = multiplier_size(n, m);
  return {multiplier_law(points_of(table_.integer_multiply, &Cost::energy_pj), size),
          multiplier_law(points_of(table_.integer_multiply, &Cost::area_um2), size)};
}

Cost Laws::adder(int n) const {
  assert(n >= 0);
  return {adder_law(table_.integer_add, &Cost::energy_pj, n), adder_law(table_.integer_add, &Cost::area_um2, n)};
}

Cost Laws::shifter(int n, int stages) const {
  assert(n >= 0 && stages >= 0);
  return table_.laws.shifter * (static_cast<double>(n) * stages);
}

Cost Laws::registers(int bits, double activity) const {
  assert(bits >= 0 && activity >= 0);
  return Cost{table_.laws.register_clock_pj + table_.laws.register_data_pj * activity, table_.laws.register_area} *
         bits;
}

Cost Laws::sign_and_clear(int bits) const {
  assert(bits >= 0);
  return table_.laws.sign_and_clear * bits;
}

Cost Laws::float_multiplier(BaselineFormat format) const {
  return figure(table_.float_multiply, format);
}

Cost Laws::float_adder(BaselineFormat format) const {
  return figure(table_.float_add, format);
}

Cost Laws::float_multiplier(int mantissa_bits, int total_bits) const {
  assert(mantissa_bits >= 1 && total_bits > mantissa_bits);
  const Cost& half = figure(table_.float_multiply, BaselineFormat::kFp16);
  const Cost& single = figure(table_.float_multiply, BaselineFormat::kFp32);
  const double half_size = multiplier_size(11, 11);
  const double single_size = multiplier_size(24, 24);
  // area = a·size + b·bits through (half_size, 16) and (single_size, 32)
  const double a = (single.area_um2 - 2 * half.area_um2) / (single_size - 2 * half_size);
  const double b = (half.area_um2 - a * half_size) / 16;
  const double size = multiplier_size(mantissa_bits + 1, mantissa_bits + 1);
  return {power_law({{11, half.energy_pj}, {24, single.energy_pj}}, mantissa_bits + 1), a * size + b * total_bits};
}

Cost Laws::float_adder(int mantissa_bits) const {
  assert(mantissa_bits >= 1);
  const Cost& half = figure(table_.float_add, BaselineFormat::kFp16);
  const Cost& single = figure(table_.float_add, BaselineFormat::kFp32);
  return {power_law({{14, half.energy_pj}, {27, single.energy_pj}}, mantissa_bits + 4),
          power_law({{14, half.area_um2}, {27, single.area_um2}}, mantissa_bits + 4)};
}

Cost Laws::float_multiplier(BaselineFormat left, BaselineFormat right) const {
  if (left == right) return float_multiplier(left);
  const Cost one = float_multiplier(left);
  const Cost other = float_multiplier(right);
  return {std::sqrt(one.energy_pj * other.energy_pj), std::sqrt(one.area_um2 * other.area_um2)};
}

Cost Laws::divider(int quotient_bits, int divisor_bits) const {
  return (adder(divisor_bits + 1) + registers(divisor_bits + 1 + quotient_bits)) * quotient_bits;
}

Cost Laws::integer_to_float(int n) const {
  assert(n >= 1);
  Cost cost = adder(n) + sign_and_clear(n) + shifter(n, ceil_log2(n)) + adder(8);
  if (n > 24) cost += adder(24);
  return cost;
}

double Laws::sram_access_pj(double capacity_bytes, double bits) const {
  assert(capacity_bytes > 0 && bits >= 0);
  std::vector<Point> points;
  for (const SramPoint& point : table_.sram_read)
    points.push_back({point.capacity_bytes, point.energy_pj / point.width});
  return std::max(power_law(points, capacity_bytes), registers(1).energy_pj) * bits;
}

double Laws::sram_area_um2(double capacity_bytes) const {
  assert(capacity_bytes >= 0);
  return capacity_bytes * 8 * table_.laws.sram_cell_area / table_.laws.sram_array_efficiency;
}

double Laws::processing_element_pj(int wa, int wb, int shifter_stages, int product_bits, int accumulator_bits) const {
  const LawConstants& laws = table_.laws;
  return laws.element_multiplier_factor * multiplier(wa, wb).energy_pj +
         laws.element_shift_pj * (static_cast<double>(wa + wb) * shifter_stages) +
         laws.element_product_pj * product_bits + laws.element_accumulator_pj * accumulator_bits;
}

}  // namespace mlsim::energy
