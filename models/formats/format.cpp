#include "models/formats/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <utility>

namespace mlsim::models {
namespace {

constexpr std::array<std::pair<std::string_view, ScaleLayout>, 4> kGroupingNames{{
    {"nc", grouping::kNc},
    {"n", grouping::kN},
    {"c", grouping::kC},
    {"none", grouping::kNone},
}};

// The groupings by blocks of so many, with one as an example.
struct NamedBlocks {
  char letter;
  BlockKind kind;
  int example;
  const char* what;
};
constexpr std::array<NamedBlocks, 2> kNamedBlocks{{{'b', BlockKind::kChannels, 16, "blocks of B channels"},
                                                   {'k', BlockKind::kReduction, 32, "blocks along the reduction"}}};

// The rules with the kind of scale that each belongs to; a kind's first is its own unless the tiles say otherwise.
struct NamedRule {
  std::string_view name;
  ScaleKind kind;
  ScaleRule rule;
};
constexpr std::array<NamedRule, 6> kRules{{
    {"sat", ScaleKind::kMls, ScaleRule::kSat},
    {"fit", ScaleKind::kMls, ScaleRule::kFit},
    {"floor", ScaleKind::kE8m0, ScaleRule::kFloor},
    {"ceil", ScaleKind::kE8m0, ScaleRule::kCeil},
    {"even", ScaleKind::kE8m0, ScaleRule::kEven},
    {"rceil", ScaleKind::kE8m0, ScaleRule::kRceil},
}};

// The formats that are known by name, with the block of their own kB.
struct NamedFormat {
  std::string_view name;
  ElementFormat element;
  ScaleFormat scale;
  std::int64_t block;
};
constexpr ScaleFormat kE8m0{8, 0, ScaleKind::kE8m0};
constexpr ScaleFormat kE4m3{4, 3, ScaleKind::kE4m3};
constexpr std::array<NamedFormat, 7> kNamedFormats{{
    {"mxfp4", {2, 1, ElementKind::kOcp}, kE8m0, 32},
    {"mxfp6-e2m3", {2, 3, ElementKind::kOcp}, kE8m0, 32},
    {"mxfp6-e3m2", {3, 2, ElementKind::kOcp}, kE8m0, 32},
    {"mxfp8-e4m3", {4, 3, ElementKind::kOcp}, kE8m0, 32},
    {"mxfp8-e5m2", {5, 2, ElementKind::kOcp}, kE8m0, 32},
    {"mxint8", {0, 7, ElementKind::kOcp}, kE8m0, 32},
    {"nvfp4", {2, 1, ElementKind::kOcp}, kE4m3, 16},
}};

[[noreturn]] void refuse(std::string_view text, const std::string& reason) {
  throw std::runtime_error("format '" + std::string(text) + "' " + reason);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Takes `letter` and a number of at most `digits` digits without a leading zero off the front of `rest`.
std::optional<std::int64_t> take_number(std::string_view& rest, char letter, std::size_t digits) {
  if (rest.size() < 2 || rest[0] != letter || !is_digit(rest[1])) return std::nullopt;
  std::int64_t value = rest[1] - '0';
  std::size_t length = 2;
  while (value != 0 && length < rest.size() && length <= digits && is_digit(rest[length])) {
    value = value * 10 + (rest[length++] - '0');
  }
  rest.remove_prefix(length);
  return value;
}

std::optional<int> take_width(std::string_view& rest, char letter) {
  const auto width = take_number(rest, letter, 2);
  return width ? std::optional(static_cast<int>(*width)) : std::nullopt;
}

// What comes before the next slash; it and the slash are taken off.
std::string_view take_part(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view part = rest.substr(0, slash);
  rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
  return part;
}

// Enough for any tensor, and far from where sums of indices overflow.
constexpr std::size_t kBlockDigits = 9;

// tAxBxCxD, of which trailing `*` may be left out.
ScaleLayout read_tile(std::string_view text, std::string_view part) {
  ScaleLayout layout{{ScaleLayout::kWhole, ScaleLayout::kWhole, ScaleLayout::kWhole, ScaleLayout::kWhole}};
  std::string_view rest = part;
  for (std::size_t d = 0; d < 4 && (d == 0 || !rest.empty()); ++d) {
    const char letter = d == 0 ? 't' : 'x';
    if (rest.size() >= 2 && rest[0] == letter && rest[1] == '*') {
      rest.remove_prefix(2);
      continue;
    }
    const auto block = take_number(rest, letter, kBlockDigits);
    if (!block || *block == 0)
      refuse(text, "has a tile that is not of the form tAxBxCxD, for example t16x16x1x1 or t1x32x*x*");
    if (d >= 2 && *block != 1)
      refuse(text, "has a tile of " + std::to_string(*block) + " positions, expected 1 or * in a plane");
    layout.tile[d] = *block;
  }
  if (!rest.empty()) refuse(text, "has a tile that is not of the form tAxBxCxD, for example t16x16x1x1 or t1x32x*x*");
  return layout;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Names of the rules that scales of a kind take.
std::string rules_of(ScaleKind kind) {
  std::vector<std::string> names;
  for (const NamedRule& rule : kRules) {
    if (rule.kind == kind) names.emplace_back(rule.name);
  }
  return listed(names);
}

// Whether it is a grouping's name; sets the layout and the blocks.
bool read_grouping(std::string_view text, std::string_view part, ScaledFormat& format) {
  const auto set_layout = [&](const ScaleLayout& layout) {
    format.layout = layout;
    format.blocks = BlockKind::kTiles;
    format.block = 0;
    return true;
  };
  for (const auto& [name, layout] : kGroupingNames) {
    if (part == name) return set_layout(layout);
  }
  if (part.starts_with('t')) return set_layout(read_tile(text, part));
  for (const NamedBlocks& named : kNamedBlocks) {
    std::string_view rest = part;
    const auto block = take_number(rest, named.letter, kBlockDigits);
    if (!block || !rest.empty()) continue;
    if (*block == 0) refuse(text, "has blocks of 0, expected 1 or more");
    format.blocks = named.kind;
    format.block = *block;
    format = format.of(Operand::kActivation, Pass::kForward);
    return true;
  }
  return false;
}

ScaleRule own_rule(const ScaledFormat& format) {
  switch (format.scale.kind) {
    case ScaleKind::kE8m0:
      return ScaleRule::kFloor;
    case ScaleKind::kE4m3:
      return ScaleRule::kNvfp4;
    case ScaleKind::kMls:
      break;
  }
  const auto has_layout = [&](const auto& named) { return named.second == format.layout; };
  return std::any_of(kGroupingNames.begin(), kGroupingNames.end(), has_layout) ? ScaleRule::kSat : ScaleRule::kFit;
}

// [RULE][/GROUPING], the rest of a format's text.
void read_rule_and_grouping(std::string_view text, std::string_view rest, const std::string& expected,
                            ScaledFormat& format) {
  std::optional<ScaleRule> rule;
  bool grouped = false;
  while (!rest.empty()) {
    const bool ends_in_slash = rest.back() == '/';
    const std::string_view part = take_part(rest);
    const auto named = std::find_if(kRules.begin(), kRules.end(), [&](const NamedRule& r) { return r.name == part; });
    if (named != kRules.end() && !rule && !grouped) {
      if (named->kind != format.scale.kind) {
        const std::string known = rules_of(format.scale.kind);
        refuse(text, "has rule " + std::string(part) + ", expected " + (known.empty() ? "none" : "one of " + known));
      }
      rule = named->rule;
    } else if (grouped || !read_grouping(text, part, format)) {
      refuse(text, expected);
    } else {
      grouped = true;
    }
    if (rest.empty() && ends_in_slash) refuse(text, expected);
  }
  format.rule = rule.value_or(own_rule(format));
}

ScaledFormat parse_mls(std::string_view text) {
  const std::string expected =
      "is not of the form eXmY[/gAmB][/RULE][/GROUPING], for example e2m4, e2m1/g8m0/n or e2m1/fit/k16 (RULE: " +
      rules_of(ScaleKind::kMls) + "; GROUPING: " + grouping_syntax() + ")";
  ScaledFormat format;
  std::string_view rest = text;
  const auto ex = take_width(rest, 'e');
  const auto mx = ex ? take_width(rest, 'm') : std::nullopt;
  if (!mx) refuse(text, expected);
  format.element = {*ex, *mx};
  if (rest.starts_with("/g")) {
    rest.remove_prefix(1);
    const auto eg = take_width(rest, 'g');
    const auto mg = eg ? take_width(rest, 'm') : std::nullopt;
    if (!mg) refuse(text, expected);
    format.scale = {*eg, *mg};
  }
  if (!rest.empty()) {
    if (rest[0] != '/' || rest.size() == 1) refuse(text, expected);
    read_rule_and_grouping(text, rest.substr(1), expected, format);
  }
  if (*ex > 4) refuse(text, "has more than 4 element exponent bits");
  if (*ex == 4 && *mx > 4) refuse(text, "has more than 4 mantissa bits, the most with 4 exponent bits");
  if (*mx > 10) refuse(text, "has more than 10 mantissa bits");
  if (*ex + *mx == 0) refuse(text, "has neither an exponent nor a mantissa bit");
  if (format.scale.exponent_bits > 8) refuse(text, "has more than 8 exponent bits in its group scale");
  if (format.scale.fraction_bits > 3) refuse(text, "has more than 3 fraction bits in its group scale");
  return format;
}

const NamedFormat* find_named(std::string_view name) {
  const auto* const found =
      std::find_if(kNamedFormats.begin(), kNamedFormats.end(), [&](const NamedFormat& f) { return f.name == name; });
  return found == kNamedFormats.end() ? nullptr : found;
}

ScaledFormat parse_named(std::string_view text, const NamedFormat& named) {
  const std::string rules = rules_of(named.scale.kind);
  const std::string expected = "is not of the form " + std::string(named.name) +
                               (rules.empty() ? "[/GROUPING] (" : "[/RULE][/GROUPING] (RULE: " + rules + "; ") +
                               "GROUPING: " + grouping_syntax() + ")";
  ScaledFormat format{.element = named.element,
                      .scale = named.scale,
                      .layout = {},
                      .rule = ScaleRule::kFloor,
                      .blocks = BlockKind::kReduction,
                      .block = named.block};
  format = format.of(Operand::kActivation, Pass::kForward);
  std::string_view rest = text.substr(named.name.size());
  if (rest == "/") refuse(text, expected);
  if (!rest.empty()) rest.remove_prefix(1);
  read_rule_and_grouping(text, rest, expected, format);
  return format;
}

}  // namespace

float ElementFormat::largest() const {
  return std::ldexp(static_cast<float>(max_integer()), -unit_exponent());
}

ScaledFormat ScaledFormat::of(Operand operand, Pass pass) const {
  constexpr std::int64_t kWhole = ScaleLayout::kWhole;
  ScaledFormat format = *this;
  if (blocks == BlockKind::kChannels) {
    format.layout.tile = {operand == Operand::kWeight ? block : 1, block, kWhole, kWhole};
  } else if (blocks == BlockKind::kReduction) {
    format.layout.tile = {1, 1, 1, 1};
    format.layout.tile[reduction_dimension(operand, pass)] = block;
  }
  return format;
}

Format format_of(const Format& format, Operand operand, Pass pass) {
  const auto* const scaled = std::get_if<ScaledFormat>(&format);
  return scaled == nullptr ? format : Format(scaled->of(operand, pass));
}

std::vector<Format> next_formats(const Format& format, Pass pass) {
  const Operand operand = result_operand(pass);
  std::vector<Format> formats;
  for (const Pass next : kPasses) {
    if (!takes(next, operand)) continue;
    const Format taken = format_of(format, operand, next);
    if (std::find(formats.begin(), formats.end(), taken) == formats.end()) formats.push_back(taken);
  }
  return formats;
}

ScaledFormat parse_scaled_format(std::string_view text) {
  std::string_view rest = text;
  const NamedFormat* const named = find_named(take_part(rest));
  return named == nullptr ? parse_mls(text) : parse_named(text, *named);
}

Format parse_format(std::string_view text) {
  std::string_view rest = text;
  const std::string_view name = take_part(rest);
  for (std::size_t i = 0; i < kBaselines.size(); ++i) {
    if (text == kBaselines[i].name) return static_cast<BaselineFormat>(i);
    if (name == kBaselines[i].name) refuse(text, "has a rule or a grouping, expected " + std::string(name) + " alone");
  }
  if (name == "fp8" || name == "mxfp8") {
    refuse(text, "stands for all operands together, expected " + std::string(name) + "-e4m3 or " + std::string(name) +
                     "-e5m2 here");
  }
  if (find_named(name) == nullptr && (text.empty() || text[0] != 'e')) {
    refuse(text, "is neither an MLS format such as e2m4 nor one of " + listed(format_names()));
  }
  return parse_scaled_format(text);
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  names.reserve(kNamedFormats.size() + kBaselines.size());
  for (const NamedFormat& named : kNamedFormats) names.emplace_back(named.name);
  for (const BaselineLayout& baseline : kBaselines) names.emplace_back(baseline.name);
  return names;
}

std::string format_syntax() {
  std::string text = "eXmY[/gAmB], for example e2m4 or e2m1/g8m0 (MLS; rules " + rules_of(ScaleKind::kMls) + ")";
  std::optional<ScaleKind> last;
  const auto end_kind = [&] {
    if (last == ScaleKind::kE8m0) text += " (OCP MX; rules " + rules_of(ScaleKind::kE8m0) + ")";
  };
  for (const NamedFormat& named : kNamedFormats) {
    if (last != named.scale.kind) end_kind();
    text += (last == named.scale.kind ? ", " : "; ") + std::string(named.name);
    last = named.scale.kind;
  }
  end_kind();
  std::vector<std::string> baselines;
  baselines.reserve(kBaselines.size());
  for (const BaselineLayout& baseline : kBaselines) baselines.emplace_back(baseline.name);
  return text + "; with [/RULE][/GROUPING] behind it, as in mxfp4/ceil/k16; or " + listed(baselines) +
         " (without scales of tiles)";
}

std::string grouping_syntax() {
  std::vector<std::string> names;
  names.reserve(kGroupingNames.size() + kNamedBlocks.size());
  for (const auto& [name, layout] : kGroupingNames) names.emplace_back(name);
  for (const NamedBlocks& named : kNamedBlocks) {
    names.push_back(named.letter + std::string("B (") + named.what + ", such as " + named.letter +
                    std::to_string(named.example) + ")");
  }
  return listed(names) + " or a tile such as t16x16x1x1";
}

OperandFormats parse_operand_formats(std::string_view text) {
  std::string_view rest = text;
  const std::string_view name = take_part(rest);
  if (name != "mxfp8" && text != "fp8") {
    const Format format = parse_format(text);
    return {format, format, format};
  }
  const std::string tail(text.substr(name.size()));
  const Format forward = parse_format(std::string(name) + "-e4m3" + tail);
  return {forward, forward, parse_format(std::string(name) + "-e5m2" + tail)};
}

std::string to_string(const ScaleLayout& layout) {
  for (const auto& [name, value] : kGroupingNames) {
    if (value == layout) return std::string(name);
  }
  std::size_t written = 4;
  while (written > 1 && layout.tile[written - 1] == ScaleLayout::kWhole) --written;
  std::string text;
  for (std::size_t d = 0; d < written; ++d) {
    text += d == 0 ? "t" : "x";
    text += layout.tile[d] == ScaleLayout::kWhole ? "*" : std::to_string(layout.tile[d]);
  }
  return text;
}

std::string to_string(const ScaledFormat& format) {
  std::string text;
  if (format.scale.kind == ScaleKind::kMls) {
    text = "e" + std::to_string(format.element.exponent_bits) + "m" + std::to_string(format.element.mantissa_bits) +
           "/g" + std::to_string(format.scale.exponent_bits) + "m" + std::to_string(format.scale.fraction_bits);
  } else {
    for (const NamedFormat& named : kNamedFormats) {
      if (named.element == format.element && named.scale == format.scale) text = named.name;
    }
  }
  // The tiles that the text stands for are those of an activation.
  const ScaledFormat written = format.of(Operand::kActivation, Pass::kForward);
  if (format.rule != own_rule(written)) {
    for (const NamedRule& named : kRules) {
      if (named.rule == format.rule) text += "/" + std::string(named.name);
    }
  }
  if (format.blocks == BlockKind::kTiles) return text + "/" + to_string(format.layout);
  for (const NamedBlocks& named : kNamedBlocks) {
    if (named.kind == format.blocks) text += std::string("/") + named.letter + std::to_string(format.block);
  }
  return text;
}

std::string to_string(BaselineFormat format) {
  return std::string(layout_of(format).name);
}

std::string to_string(const Format& format) {
  return std::visit([](const auto& f) { return to_string(f); }, format);
}

std::string to_string(const OperandFormats& formats) {
  std::string activation = to_string(formats[0]);
  const std::string weight = to_string(formats[1]);
  const std::string error = to_string(formats[2]);
  if (weight == activation && error == activation) return activation;
  constexpr std::string_view kForward = "-e4m3";
  if (const std::size_t at = activation.find(kForward); at != std::string::npos) {
    std::string common = activation;
    common.erase(at, kForward.size());
    if (parse_operand_formats(common) == formats) return common;
  }
  return activation + "+" + weight + "+" + error;
}

std::string family_of(const Format& format) {
  const auto* const baseline = std::get_if<BaselineFormat>(&format);
  return baseline == nullptr ? "block-scaled" : layout_of(*baseline).is_integer() ? "int8" : "floating-point";
}

ScaleLayout scale_layout_of(const Format& format) {
  const auto* scaled = std::get_if<ScaledFormat>(&format);
  return scaled == nullptr ? grouping::kNone : scaled->layout;
}

int element_bits(const Format& format) {
  if (const auto* scaled = std::get_if<ScaledFormat>(&format)) return scaled->element.code_bits();
  return layout_of(std::get<BaselineFormat>(format)).bits();
}

int scale_bits(const Format& format) {
  const auto* scaled = std::get_if<ScaledFormat>(&format);
  return scaled == nullptr ? 0 : scaled->scale.stored_bits();
}

std::int64_t packed_bits(const Format& format, std::int64_t elements, std::int64_t scales) {
  if (const auto* scaled = std::get_if<ScaledFormat>(&format)) return scaled->packed_bits(elements, scales);
  return elements * element_bits(format);
}

base::Int128 packed_bits(const Format& format, const Shape& shape) {
  const auto* scaled = std::get_if<ScaledFormat>(&format);
  const base::Int128 scales = scaled == nullptr ? 0 : scaled->layout.count(shape);
  return base::Int128{element_count(shape)} * element_bits(format) + scales * scale_bits(format);
}

}  // namespace mlsim::models
