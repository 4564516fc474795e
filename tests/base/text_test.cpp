#include "base/text.h"

#include <gmock/gmock.h>

namespace mlsim::base {
namespace {

using testing::ElementsAre;

TEST(Split, GivesThePartsBetweenSeparators) {
  EXPECT_THAT(split("a,bc,d", ','), ElementsAre("a", "bc", "d"));
  EXPECT_THAT(split("a+b,c", '+'), ElementsAre("a", "b,c"));
  EXPECT_THAT(split("", ','), ElementsAre(""));
  EXPECT_THAT(split(",a,,", ','), ElementsAre("", "a", "", ""));
}

TEST(Lower, LeavesWhatIsNoLetterOfAscii) {
  EXPECT_EQ(lower("IFMAP Height, 3x3 É.CSV"), "ifmap height, 3x3 É.csv");
  EXPECT_EQ(lower(""), "");
}

}  // namespace
}  // namespace mlsim::base
