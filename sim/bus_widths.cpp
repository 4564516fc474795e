#include "sim/bus_widths.h"

#include <algorithm>
#include <array>
#include <bit>

#include "models/formats/scaled_tensor.h"

namespace mlsim::sim {
namespace {

int bits_of(std::int64_t largest) {
  return std::max(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(largest))));
}

// Of what an exponent adder takes, max(e, 1) - 1.
int largest_exponent(const models::ElementFormat& format) {
  return format.exponent_bits == 0 ? 0 : std::max(0, (1 << format.exponent_bits) - 2);
}

void widen(int& width, int needed) {
  width = std::max(width, needed);
}

// A name without the numbers of a lane and a tap.
std::string_view without_numbers(std::string_view name) {
  while (true) {
    const std::size_t last = name.find_last_not_of("0123456789");
    if (last == std::string_view::npos || name[last] != '_' || last + 1 == name.size()) return name;
    name = name.substr(0, last);
  }
}

}  // namespace

void BusWidths::add_pass(const models::ScaledFormat& left, const models::ScaledFormat& right, int accumulator_bits,
                         std::int64_t results) {
  const models::ElementFormat& l = left.element;
  const models::ElementFormat& r = right.element;
  widen(significand_, std::max(l.significand_bits(), r.significand_bits()));
  widen(exponent_, bits_of(std::max(largest_exponent(l), largest_exponent(r))));
  widen(product_, l.significand_bits() + r.significand_bits());
  widen(shift_, bits_of(largest_exponent(l) + largest_exponent(r)));
  widen(accumulator_, accumulator_bits);
  widen(address_, bits_of(results - 1));
  add_scale(left.scale);
  add_scale(right.scale);
}

void BusWidths::add_result(const models::ScaledFormat& format) {
  widen(code_, format.element.code_bits());
  add_scale(format.scale);
}

void BusWidths::add_scale(const models::ScaleFormat& format) {
  widen(scale_significand_, bits_of(format.largest_significand()));
  // Exponents s of scales g · 2^s have a sign, and are the largest below 0.
  widen(scale_exponent_, 1 + bits_of(-models::smallest_scale(format).exponent));
}

int BusWidths::of(std::string_view name, int type_bits) const {
  struct Bus {
    std::string_view name;
    int type_bits;  // tells an element's shift from that of a group-scale unit
    int BusWidths::*width;
  };
  static constexpr std::array<Bus, 21> kBuses{{{"significand", 16, &BusWidths::significand_},
                                               {"exponent", 8, &BusWidths::exponent_},
                                               {"product", 32, &BusWidths::product_},
                                               {"shift", 8, &BusWidths::shift_},
                                               {"accumulator", 64, &BusWidths::accumulator_},
                                               {"handed_over", 64, &BusWidths::accumulator_},
                                               {"own_significand", 16, &BusWidths::significand_},
                                               {"column_significand", 16, &BusWidths::significand_},
                                               {"own_exponent", 8, &BusWidths::exponent_},
                                               {"column_exponent", 8, &BusWidths::exponent_},
                                               {"sum", 64, &BusWidths::accumulator_},
                                               {"sum_in", 64, &BusWidths::accumulator_},
                                               {"scale_significand", 8, &BusWidths::scale_significand_},
                                               {"scale_exponent", 16, &BusWidths::scale_exponent_},
                                               {"column_scale_significand", 8, &BusWidths::scale_significand_},
                                               {"column_scale_exponent", 16, &BusWidths::scale_exponent_},
                                               {"address", 64, &BusWidths::address_},
                                               {"column_address", 64, &BusWidths::address_},
                                               {"result_address", 64, &BusWidths::address_},
                                               {"code", 16, &BusWidths::code_},
                                               {"packed", 16, &BusWidths::code_}}};
  const std::string_view own = without_numbers(name);
  const auto found = std::find_if(kBuses.begin(), kBuses.end(),
                                  [&](const Bus& bus) { return bus.name == own && bus.type_bits == type_bits; });
  return found == kBuses.end() ? type_bits : std::min(this->*found->width, type_bits);
}

}  // namespace mlsim::sim
