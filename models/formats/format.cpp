#include "models/formats/format.h"

#include <array>
#include <optional>
#include <stdexcept>
#include <utility>

namespace mlsim::models {
namespace {

constexpr std::array<std::pair<std::string_view, BaselineFormat>, 6> kBaselineNames{{
    {"fp32", BaselineFormat::kFp32},
    {"fp16", BaselineFormat::kFp16},
    {"bf16", BaselineFormat::kBf16},
    {"fp8-e4m3", BaselineFormat::kFp8E4m3},
    {"fp8-e5m2", BaselineFormat::kFp8E5m2},
    {"int8", BaselineFormat::kInt8},
}};

constexpr std::array<std::pair<std::string_view, ScaleLayout>, 4> kGroupingNames{{
    {"nc", grouping::kNc},
    {"n", grouping::kN},
    {"c", grouping::kC},
    {"none", grouping::kNone},
}};

[[noreturn]] void refuse(std::string_view text, const std::string& reason) {
  throw std::runtime_error("format '" + std::string(text) + "' " + reason);
}

// Takes `letter` and a number of one or two digits without a leading zero off the front of `rest`.
std::optional<int> take_number(std::string_view& rest, char letter) {
  if (rest.size() < 2 || rest[0] != letter || rest[1] < '0' || rest[1] > '9') return std::nullopt;
  std::size_t length = 2;
  int value = rest[1] - '0';
  if (value != 0 && rest.size() > 2 && rest[2] >= '0' && rest[2] <= '9') {
    value = value * 10 + (rest[2] - '0');
    length = 3;
  }
  rest.remove_prefix(length);
  return value;
}

}  // namespace

MlsFormat parse_mls_format(std::string_view text) {
  constexpr const char* kExpected =
      "is not of the form eXmY[/gAmB][/GROUPING], for example e2m4 or e2m1/g8m0/n (GROUPING: nc, n, c, none)";
  MlsFormat format;
  std::string_view rest = text;
  const auto ex = take_number(rest, 'e');
  const auto mx = ex ? take_number(rest, 'm') : std::nullopt;
  if (!mx) refuse(text, kExpected);
  format.element = {*ex, *mx};
  if (rest.starts_with("/g")) {
    rest.remove_prefix(1);
    const auto eg = take_number(rest, 'g');
    const auto mg = eg ? take_number(rest, 'm') : std::nullopt;
    if (!mg) refuse(text, kExpected);
    format.scale = {*eg, *mg};
  }
  if (!rest.empty()) {
    bool known = false;
    for (const auto& [name, layout] : kGroupingNames) {
      if (rest.substr(1) == name && rest[0] == '/') {
        format.layout = layout;
        known = true;
      }
    }
    if (!known) refuse(text, kExpected);
  }
  if (*ex > 4) refuse(text, "has more than 4 element exponent bits");
  if (*ex == 4 && *mx > 4) refuse(text, "has more than 4 mantissa bits, the most with 4 exponent bits");
  if (*mx > 10) refuse(text, "has more than 10 mantissa bits");
  if (*ex + *mx == 0) refuse(text, "has neither an exponent nor a mantissa bit");
  if (format.scale.exponent_bits > 8) refuse(text, "has more than 8 exponent bits in its group scale");
  if (format.scale.fraction_bits > 3) refuse(text, "has more than 3 fraction bits in its group scale");
  return format;
}

Format parse_format(std::string_view text) {
  for (const auto& [name, baseline] : kBaselineNames) {
    if (text == name) return baseline;
  }
  if (text.empty() || text[0] != 'e') {
    refuse(text, "is neither an MLS format such as e2m4 nor one of fp32, fp16, bf16, fp8-e4m3, fp8-e5m2, int8");
  }
  return parse_mls_format(text);
}

std::string to_string(const ScaleLayout& layout) {
  for (const auto& [name, value] : kGroupingNames) {
    if (value == layout) return std::string(name);
  }
  return {};
}

std::string to_string(const MlsFormat& format) {
  return "e" + std::to_string(format.element.exponent_bits) + "m" + std::to_string(format.element.mantissa_bits) +
         "/g" + std::to_string(format.scale.exponent_bits) + "m" + std::to_string(format.scale.fraction_bits) + "/" +
         to_string(format.layout);
}

std::string to_string(BaselineFormat format) {
  for (const auto& [name, value] : kBaselineNames) {
    if (value == format) return std::string(name);
  }
  return {};
}

std::string to_string(const Format& format) {
  return std::visit([](const auto& f) { return to_string(f); }, format);
}

std::string family_of(const Format& format) {
  const auto* const baseline = std::get_if<BaselineFormat>(&format);
  return baseline == nullptr ? "MLS" : *baseline == BaselineFormat::kInt8 ? "int8" : "floating-point";
}

int element_bits(const Format& format) {
  if (const auto* mls = std::get_if<MlsFormat>(&format)) return mls->element.code_bits();
  switch (std::get<BaselineFormat>(format)) {
    case BaselineFormat::kFp32:
      return 32;
    case BaselineFormat::kFp16:
    case BaselineFormat::kBf16:
      return 16;
    case BaselineFormat::kFp8E4m3:
    case BaselineFormat::kFp8E5m2:
    case BaselineFormat::kInt8:
      break;
  }
  return 8;
}

}  // namespace mlsim::models
