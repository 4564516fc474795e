#include "sim/closed_form/tile_row.h"

#include <algorithm>

namespace mlsim::sim {
namespace {

// Of a moment that nothing waits for. Moments are at least 0.
constexpr std::int64_t kNever = -1;

}  // namespace

std::int64_t TileRow::sum(std::int64_t a, std::int64_t b) {
  return a < 0 || b < 0 ? kNever : std::min(a + b, kForever);
}

TileRow::Times TileRow::later(const Times& a, const Times& b) {
  Times times;
  for (std::size_t i = 0; i < kMoments; ++i) times[i] = std::max(a[i], b[i]);
  return times;
}

TileRow::Times TileRow::after(const Times& times, std::int64_t cycles) {
  Times moved;
  for (std::size_t i = 0; i < kMoments; ++i) moved[i] = sum(times[i], cycles);
  return moved;
}

TileRow::Matrix TileRow::product(const Matrix& later_row, const Matrix& earlier_row) {
  Matrix both;
  for (std::size_t i = 0; i < kMoments; ++i) {
    both[i] = after(earlier_row[0], later_row[i][0]);
    for (std::size_t k = 1; k < kMoments; ++k) both[i] = later(both[i], after(earlier_row[k], later_row[i][k]));
  }
  return both;
}

void TileRow::run(const TileTimes& tile, std::int64_t results, Matrix& moments) {
  Times begin = moments[kStart];
  if (tile.has_operands) {
    moments[kBus] = after(later(moments[kBus], after(moments[kBegin], tile.latency)), tile.operands);
    begin = later(begin, moments[kBus]);
  }
  write(results, tile.drain, moments[kEndBeforeThat], moments);
  moments[kStart] = after(later(after(moments[kEnd], tile.wait), after(begin, tile.first_fill)), tile.inside);
  moments[kBegin] = begin;
  moments[kEndBeforeThat] = moments[kEndBefore];
  moments[kEndBefore] = moments[kEnd];
  moments[kEnd] = after(moments[kStart], tile.last_compute);
}

void TileRow::write(std::int64_t results, std::int64_t drain, const Times& end, Matrix& moments) {
  if (results > 0) moments[kBus] = after(later(moments[kBus], after(end, drain)), results);
}

void TileRow::append(const TileTimes& tile) {
  if (count_ < static_cast<std::int64_t>(kLag)) {
    const auto place = static_cast<std::size_t>(count_++);
    first_[place] = tile;
    results_[place] = tile.results;
    return;
  }
  if (!has_more_) {
    has_more_ = true;
    for (Times& times : more_) times.fill(kNever);
    for (std::size_t i = 0; i < kMoments; ++i) more_[i][i] = 0;
  }
  run(tile, results_.front(), more_);
  std::rotate(results_.begin(), results_.begin() + 1, results_.end());
  results_.back() = tile.results;
}

void TileRow::append(const TileRow& row) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(row.count_); ++i) append(row.first_[i]);
  if (!row.has_more_) return;
  more_ = has_more_ ? product(row.more_, more_) : row.more_;
  has_more_ = true;
  results_ = row.results_;
}

TileRow TileRow::repeated(std::int64_t times) const {
  TileRow all;
  TileRow power = *this;
  for (; times > 0; times /= 2) {
    if (times % 2 == 1) all.append(power);
    if (times > 1) power.append(TileRow(power));
  }
  return all;
}

std::int64_t TileRow::end(std::int64_t rest) const {
  // A pass begins at cycle 0, which is all that its moments follow.
  Matrix moments;
  for (Times& times : moments) times.fill(kNever);
  for (const Moment moment : {kStart, kBegin, kBus}) moments[moment][0] = 0;
  const auto count = static_cast<std::size_t>(count_);
  for (std::size_t i = 0; i < count; ++i) run(first_[i], 0, moments);
  if (has_more_) moments = product(more_, moments);
  const std::int64_t drain = first_[0].drain;
  const std::array<Moment, kLag> ends{kEndBeforeThat, kEndBefore, kEnd};
  for (std::size_t i = 0; i < count; ++i) write(results_[i], drain, moments[ends[kLag - count + i]], moments);
  return std::max(sum(moments[kEnd][0], drain), sum(moments[kBus][0], rest));
}

}  // namespace mlsim::sim
