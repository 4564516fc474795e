#include "evaluation/sweep_collector.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "evaluation/sweep.h"

namespace mlsim::evaluation {

namespace {

using Json = nlohmann::ordered_json;

bool is_non_finite(const Json& row) {
  return std::any_of(row["passes"].begin(), row["passes"].end(),
                     [](const Json& pass) { return pass["non_finite"].is_number() && pass["non_finite"] != 0; });
}

}  // namespace

void NonFinitePoints::add(std::size_t point, const Json& row) {
  if (!is_non_finite(row)) return;
  if (count_++ > 0 && point > first_) return;
  first_ = point;
  format_of_first_ = row["format"].get<std::string>();
}

std::string NonFinitePoints::remark() const {
  if (count_ == 0) return "";
  return fmt::format("points with results that are infinite or NaN: {}, the first of {}", count_, format_of_first_);
}

SweepCollector::SweepCollector(std::size_t points, const std::vector<Objective>& front, SweepJournal* journal)
    : journal_(journal), texts_(journal == nullptr ? points : 0), front_(front) {
  if (journal == nullptr || journal->finished() == 0) return;
  for (std::size_t point = 0; point < points; ++point) {
    if (!journal->has(point)) continue;
    const Json row = journal->row(point);
    require_row(row, "the sweep's journal");
    take_up(point, row);
  }
}

bool SweepCollector::has(std::size_t point) const {
  return journal_ == nullptr ? !texts_[point].empty() : journal_->has(point);
}

void SweepCollector::add(std::size_t point, const Json& row) {
  if (journal_ == nullptr) {
    texts_[point] = base::to_text(row);
  } else {
    journal_->add(point, row);
  }
  take_up(point, row);
}

void SweepCollector::take_up(std::size_t point, const Json& row) {
  ++finished_;
  front_.add(point, row);
  non_finite_.add(point, row);
}

Json SweepCollector::row(std::size_t point) const {
  Json row = journal_ == nullptr ? base::parse_ordered_json(texts_[point], "row") : journal_->row(point);
  row["pareto"] = front_.contains(point);
  return row;
}

}  // namespace mlsim::evaluation
