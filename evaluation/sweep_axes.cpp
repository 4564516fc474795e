#include "evaluation/sweep_axes.h"

#include <fmt/core.h>

#include <algorithm>
#include <stdexcept>

#include "base/text.h"

namespace mlsim::evaluation {

using models::Operand;

PerOperand<models::Format> parse_sweep_formats(const std::string& text) {
  const std::vector<std::string> parts = base::split(text, '+');
  if (parts.size() != 1 && parts.size() != 3) {
    throw std::runtime_error(fmt::format("has '{}', expected a format, or three as ACTIVATION+WEIGHT+ERROR", text));
  }
  if (parts.size() == 1) return {models::parse_operand_formats(text)};
  PerOperand<models::Format> formats;
  for (const Operand operand : models::kOperands) {
    const auto index = static_cast<std::size_t>(operand);
    formats[operand] = models::parse_operand_formats(parts[index])[index];
  }
  return formats;
}

void check_grouping(const std::string& text) {
  try {
    models::parse_format("e2m1/g8m1/" + text);
  } catch (const std::runtime_error&) {
    throw std::runtime_error(fmt::format("grouping '{}' is unknown, expected {}", text, models::grouping_syntax()));
  }
}

namespace {

std::vector<PerOperand<models::Format>> with_groupings(const std::string& format,
                                                       const std::vector<std::string>& groupings) {
  std::vector<PerOperand<models::Format>> formats;
  try {
    for (const std::string& grouping : groupings) {
      std::string text;
      for (const std::string& part : base::split(format, '+')) {
        text += fmt::format("{}{}/{}", text.empty() ? "" : "+", part, grouping);
      }
      formats.push_back(parse_sweep_formats(text));
    }
  } catch (const std::runtime_error&) {
    return {parse_sweep_formats(format)};
  }
  return formats;
}

}  // namespace

std::vector<PerOperand<models::Format>> sweep_formats(const std::vector<std::string>& formats,
                                                      const std::vector<std::string>& groupings) {
  std::vector<PerOperand<models::Format>> result;
  for (const std::string& format : formats) {
    if (groupings.empty()) {
      result.push_back(parse_sweep_formats(format));
      continue;
    }
    for (const PerOperand<models::Format>& grouped : with_groupings(format, groupings)) result.push_back(grouped);
  }
  return result;
}

std::vector<PerOperand<models::Format>> sweep_formats(const WidthRanges& ranges,
                                                      const std::vector<std::string>& groupings) {
  std::vector<PerOperand<models::Format>> formats;
  for (const std::string& grouping : groupings) {
    for (int eg = ranges.scale_exponent.low; eg <= ranges.scale_exponent.high; ++eg) {
      for (int mg = ranges.scale_fraction.low; mg <= ranges.scale_fraction.high; ++mg) {
        for (int ex = ranges.exponent.low; ex <= ranges.exponent.high; ++ex) {
          for (int mx = ranges.mantissa.low; mx <= ranges.mantissa.high; ++mx) {
            if (ex + mx == 0 || (ex == 4 && mx > 4)) continue;
            formats.push_back(parse_sweep_formats(fmt::format("e{}m{}/g{}m{}/{}", ex, mx, eg, mg, grouping)));
          }
        }
      }
    }
  }
  if (formats.empty()) throw std::runtime_error("nothing to sweep: no width in the ranges makes a format");
  return formats;
}

std::vector<PerOperand<models::Format>> joined(std::vector<PerOperand<models::Format>> formats,
                                               const std::vector<PerOperand<models::Format>>& more) {
  for (const PerOperand<models::Format>& added : more) {
    if (std::find(formats.begin(), formats.end(), added) == formats.end()) formats.push_back(added);
  }
  return formats;
}

void check_products(const PerOperand<models::Format>& formats, const workloads::Workload& workload) {
  for (const workloads::Layer& layer : workload.layers) {
    for (const models::Pass pass : layer.passes) {
      const models::Format& left = formats[layer.role(models::left_operand(pass))];
      const models::Format& right = formats[layer.role(models::right_operand(pass))];
      if (models::family_of(left) == models::family_of(right)) continue;
      throw std::runtime_error(
          fmt::format("--formats: {} would multiply {} by {}, expected block-scaled, floating-point or int8 for both",
                      models::to_string(pass), models::to_string(left), models::to_string(right)));
    }
  }
}

}  // namespace mlsim::evaluation
