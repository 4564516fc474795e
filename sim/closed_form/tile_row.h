// Tiles that follow each other on an array which waits for its memory: the closed form of docs/memory.md.
//
// Each moment in the life of a tile is the latest of a few earlier ones, plus a constant. That is linear in the algebra
// whose sum is the maximum and whose product is the sum, so that a row of tiles is a matrix, a row that follows another
// is a product, and n times the same row takes log n products.
// Tested in tests/sim/analytic_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mlsim::sim {

// What a tile asks of the array and of the channel to DRAM, in cycles.
struct TileTimes {
  std::int64_t wait = 0;          // its computation begins so late after that of the tile before
  std::int64_t first_fill = 0;    // L of its first step
  std::int64_t inside = 0;        // from the start of its first step's computation to that of its last's
  std::int64_t last_compute = 0;  // C of its last step
  bool has_operands = false;      // some come from DRAM,
  std::int64_t operands = 0;      // in so many cycles of the channel
  std::int64_t results = 0;       // likewise of its results
  // The same for all tiles of a pass.
  std::int64_t latency = 0;  // from a request for operands to their first byte
  std::int64_t drain = 0;    // from the end of a tile's computation to its last result in its bank
};

class TileRow {
 public:
  void append(const TileTimes& tile);
  void append(const TileRow& row);
  TileRow repeated(std::int64_t times) const;

  bool empty() const { return count_ == 0; }
  // Cycles of a pass that is this row, until the results of its tiles, and then those that take `rest` cycles of the
  // channel, have left. At least kForever where there are more than that.
  std::int64_t end(std::int64_t rest) const;

  static constexpr std::int64_t kForever = (std::int64_t{1} << 62) - 1;

 private:
  // The results of a tile leave after the operands of the tile so many later.
  static constexpr std::size_t kLag = 3;
  // Of the tile at hand: the start of the computation of its last step, and of its first fill; the ends of its
  // computation and of those of the two tiles before; and when the channel is free.
  enum Moment : std::uint8_t { kStart, kBegin, kEnd, kEndBefore, kEndBeforeThat, kBus, kMoments };
  using Times = std::array<std::int64_t, kMoments>;  // after each of the moments at which the row begins
  using Matrix = std::array<Times, kMoments>;

  static std::int64_t sum(std::int64_t a, std::int64_t b);
  static Times later(const Times& a, const Times& b);
  static Times after(const Times& times, std::int64_t cycles);
  static Matrix product(const Matrix& later_row, const Matrix& earlier_row);
  // A tile, before whose start results that take so many cycles leave.
  static void run(const TileTimes& tile, std::int64_t results, Matrix& moments);
  static void write(std::int64_t results, std::int64_t drain, const Times& end, Matrix& moments);

  std::int64_t count_ = 0;                    // of tiles, to kLag
  std::array<TileTimes, kLag> first_;         // tiles, before which results of whatever comes before leave
  std::array<std::int64_t, kLag> results_{};  // of the last tiles
  // Those behind the first ones.
  bool has_more_ = false;
  Matrix more_{};
};

}  // namespace mlsim::sim
