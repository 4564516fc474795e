#include "evaluation/point_dispenser.h"

#include <algorithm>
#include <utility>

namespace mlsim::evaluation {

PointDispenser::PointDispenser(std::vector<std::size_t> open,
                               const std::function<std::size_t(std::size_t point)>& family_of)
    : open_(std::move(open)), left_(open_.size()) {
  std::optional<std::size_t> last;
  for (std::size_t i = 0; i < open_.size(); ++i) {
    const std::size_t family = family_of(open_[i]);
    if (last != family) families_.push_back({i, i});
    ++families_.back().end;
    last = family;
  }
}

std::optional<std::size_t> PointDispenser::next(std::size_t runner) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return std::nullopt;
  std::deque<std::size_t>& prepared = prepared_[runner];
  while (!prepared.empty()) {
    if (begun_.contains(prepared.front())) return take(prepared.front());
    prepared.pop_front();
  }
  if (untouched_ < families_.size()) {
    begun_.insert(untouched_);
    return take(untouched_++);
  }
  if (begun_.empty()) return std::nullopt;
  return take(*begun_.begin());
}

std::size_t PointDispenser::take(std::size_t family) {
  Family& from = families_[family];
  const std::size_t point = open_[from.next++];
  --left_;
  if (from.next == from.end) begun_.erase(family);
  return point;
}

void PointDispenser::done(std::size_t runner, std::size_t point) {
  const std::lock_guard lock(mutex_);
  const auto place = static_cast<std::size_t>(std::lower_bound(open_.begin(), open_.end(), point) - open_.begin());
  const auto family = static_cast<std::size_t>(
      std::upper_bound(families_.begin(), families_.end(), place,
                       [](std::size_t of, const Family& candidate) { return of < candidate.end; }) -
      families_.begin());
  if (!begun_.contains(family)) return;
  std::deque<std::size_t>& prepared = prepared_[runner];
  if (std::find(prepared.begin(), prepared.end(), family) == prepared.end()) prepared.push_back(family);
}

std::size_t PointDispenser::left() {
  const std::lock_guard lock(mutex_);
  return stopped_ ? 0 : left_;
}

void PointDispenser::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
}

}  // namespace mlsim::evaluation
