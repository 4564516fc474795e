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

TEST(NumberOf, IsAllOfTheText) {
  EXPECT_EQ(number_of<int>("-12"), -12);
  EXPECT_EQ(number_of<double>("2.5e1"), 25.0);
  for (const char* text : {"", " 1", "1 ", "+1", "1x", "1.5", "0x1", "4294967296"}) {
    EXPECT_EQ(number_of<int>(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace mlsim::base
