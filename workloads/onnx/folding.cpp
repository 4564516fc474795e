#include "workloads/onnx/folding.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>

namespace mlsim::workloads::onnx_model {
namespace {

using Unary = double (*)(double);
using Binary = double (*)(double, double);

const std::map<std::string_view, Unary>& unary_operators() {
  static const std::map<std::string_view, Unary> operators{
      {"Neg", [](double x) { return -x; }},
      {"Abs", [](double x) { return std::fabs(x); }},
      {"Floor", [](double x) { return std::floor(x); }},
      {"Ceil", [](double x) { return std::ceil(x); }},
      {"Round", [](double x) { return std::nearbyint(x); }},
      {"Sqrt", [](double x) { return std::sqrt(x); }},
      {"Reciprocal", [](double x) { return 1 / x; }},
      {"Not", [](double x) { return x == 0 ? 1.0 : 0.0; }},
      {"Sign", [](double x) { return x > 0   ? 1.0
                                     : x < 0 ? -1.0
                                             : 0.0; }},
  };
  return operators;
}

const std::map<std::string_view, Binary>& binary_operators() {
  static const std::map<std::string_view, Binary> operators{
      {"Add", [](double x, double y) { return x + y; }},
      {"Sub", [](double x, double y) { return x - y; }},
      {"Mul", [](double x, double y) { return x * y; }},
      {"Div", [](double x, double y) { return x / y; }},
      {"Pow", [](double x, double y) { return std::pow(x, y); }},
      {"Mod", [](double x, double y) { return x - y * std::floor(x / y); }},
      {"Min", [](double x, double y) { return std::min(x, y); }},
      {"Max", [](double x, double y) { return std::max(x, y); }},
      {"Equal", [](double x, double y) { return x == y ? 1.0 : 0.0; }},
      {"Less", [](double x, double y) { return x < y ? 1.0 : 0.0; }},
      {"LessOrEqual", [](double x, double y) { return x <= y ? 1.0 : 0.0; }},
      {"Greater", [](double x, double y) { return x > y ? 1.0 : 0.0; }},
      {"GreaterOrEqual", [](double x, double y) { return x >= y ? 1.0 : 0.0; }},
      {"And", [](double x, double y) { return x != 0 && y != 0 ? 1.0 : 0.0; }},
      {"Or", [](double x, double y) { return x != 0 || y != 0 ? 1.0 : 0.0; }},
  };
  return operators;
}

// The element of a smaller tensor that stands at an index of what it is broadcast to.
std::size_t broadcast_index(std::size_t index, const Dims& to, const Dims& from) {
  std::size_t place = 0;
  std::size_t step = 1;
  for (std::size_t back = 1; back <= from.size(); ++back) {
    const auto extent = static_cast<std::size_t>(to[to.size() - back]);
    const auto own = static_cast<std::size_t>(from[from.size() - back]);
    place += own == 1 ? 0 : index % extent * step;
    index /= extent;
    step *= own;
  }
  return place;
}

bool can_broadcast(const Dims& from, const Dims& to) {
  if (from.size() > to.size()) return false;
  for (std::size_t back = 1; back <= from.size(); ++back) {
    if (from[from.size() - back] != 1 && from[from.size() - back] != to[to.size() - back]) return false;
  }
  return true;
}

std::vector<double> broadcast(const Value& value, const Dims& to) {
  std::vector<double> content(static_cast<std::size_t>(element_count(to).value_or(0)));
  for (std::size_t i = 0; i < content.size(); ++i) {
    content[i] = (*value.content)[broadcast_index(i, to, *value.dims)];
  }
  return content;
}

}  // namespace

void set_content(Value& output, std::vector<double> content) {
  if (!output.dims || content.size() > static_cast<std::size_t>(kMostContent)) return;
  if (element_count(*output.dims) != static_cast<std::int64_t>(content.size())) return;
  output.content = std::move(content);
}

std::vector<double> taken_along(const std::vector<double>& content, const Dims& dims, std::size_t axis,
                                const Dims& indices) {
  std::size_t outer = 1;
  std::size_t inner = 1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    (i < axis ? outer : inner) *= i == axis ? 1 : static_cast<std::size_t>(dims[i]);
  }
  const auto extent = static_cast<std::size_t>(dims[axis]);
  std::vector<double> taken;
  for (std::size_t o = 0; o < outer; ++o) {
    for (const std::int64_t index : indices) {
      const auto begin =
          content.begin() + static_cast<std::ptrdiff_t>((o * extent + static_cast<std::size_t>(index)) * inner);
      taken.insert(taken.end(), begin, begin + static_cast<std::ptrdiff_t>(inner));
    }
  }
  return taken;
}

void fold_elementwise(const Node& node, Value& output) {
  if (!output.dims || element_count(*output.dims).value_or(kMostContent + 1) > kMostContent) return;
  std::vector<std::vector<double>> operands;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i) || !node.input(i).content || !node.input(i).dims) return;
    if (!can_broadcast(*node.input(i).dims, *output.dims)) return;
    operands.push_back(broadcast(node.input(i), *output.dims));
  }
  std::vector<double> content = operands.at(0);
  if (node.type() == "Where" && operands.size() == 3) {
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = operands[content[i] != 0 ? 1 : 2][i];
  } else if (const auto one = unary_operators().find(node.type()); one != unary_operators().end()) {
    for (double& x : content) x = one->second(x);
  } else if (const auto two = binary_operators().find(node.type()); two != binary_operators().end()) {
    for (std::size_t o = 1; o < operands.size(); ++o) {
      for (std::size_t i = 0; i < content.size(); ++i) content[i] = two->second(content[i], operands[o][i]);
    }
  } else {
    return;
  }
  if (is_integer(output.type)) {
    for (double& x : content) {
      if (!std::isfinite(x)) return;  // a division by zero
      x = std::trunc(x);
    }
  }
  set_content(output, std::move(content));
}

}  // namespace mlsim::workloads::onnx_model
