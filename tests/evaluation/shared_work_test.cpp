#include "evaluation/shared_work.h"

#include <gtest/gtest.h>

#include <string>

namespace mlsim::evaluation {
namespace {

using Use = SharedWork::Use;

struct Block {
  int number = 0;
  std::size_t size = 0;
  std::size_t bytes() const { return size; }
};

class Shared : public testing::Test {
 protected:
  // Whether it had to be made.
  bool makes(Use use, const std::string& key, std::size_t size = 1000) {
    bool made = false;
    const auto block = shared_.get<Block>(use, key, [&] {
      made = true;
      return Block{++made_, size};
    });
    EXPECT_EQ(block->size, size);
    return made;
  }

  SharedWork shared_{10'000};  // 5,000 for each use
  int made_ = 0;
};

TEST_F(Shared, KeepsWhatEveryPointNeedsUntilItIsFull) {
  for (const char* key : {"a", "b", "c"}) EXPECT_TRUE(makes(Use::kEveryPoint, key));
  for (int round = 0; round < 3; ++round) {
    for (const char* key : {"a", "b", "c"}) EXPECT_FALSE(makes(Use::kEveryPoint, key)) << key;
    // What has no room drives nothing out, however often it is asked for.
    EXPECT_TRUE(makes(Use::kEveryPoint, "large", 4000));
  }
  EXPECT_LE(shared_.figures().bytes, 5000U);
}

TEST_F(Shared, GivesUpTheOldestForNeighbours) {
  for (const char* key : {"a", "b", "c", "d"}) EXPECT_TRUE(makes(Use::kNeighbours, key));  // three have room
  EXPECT_FALSE(makes(Use::kNeighbours, "d"));
  EXPECT_FALSE(makes(Use::kNeighbours, "b"));
  EXPECT_FALSE(makes(Use::kNeighbours, "c"));
  EXPECT_TRUE(makes(Use::kNeighbours, "a"));
  EXPECT_LE(shared_.figures().bytes, 5000U);
  EXPECT_TRUE(makes(Use::kNeighbours, "too large", 6000));
  EXPECT_TRUE(makes(Use::kNeighbours, "too large", 6000));
  EXPECT_FALSE(makes(Use::kNeighbours, "a"));
}

TEST_F(Shared, WithoutMemoryKeepsNothing) {
  SharedWork none(0);
  int made = 0;
  for (int i = 0; i < 2; ++i) {
    none.get<Block>(Use::kEveryPoint, "a", [&] { return Block{++made, 1}; });
  }
  EXPECT_EQ(made, 2);
  EXPECT_EQ(none.figures().bytes, 0U);
}

TEST_F(Shared, TellsWhetherWhatIsReadAgainIsTheSame) {
  EXPECT_TRUE(shared_.is_as_before("tensor", 1));
  EXPECT_TRUE(shared_.is_as_before("other", 2));
  EXPECT_TRUE(shared_.is_as_before("tensor", 1));
  EXPECT_FALSE(shared_.is_as_before("tensor", 3));
}

}  // namespace
}  // namespace mlsim::evaluation
