#include "energy/operations.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace mlsim::energy {
namespace {

TEST(Operations, HaveDistinctSnakeCaseNames) {
  std::set<std::string_view> names;
  for (const Operation operation : kOperations) {
    EXPECT_TRUE(names.insert(name(operation)).second) << name(operation);
    EXPECT_EQ(name(operation).find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos);
    EXPECT_EQ(find_operation(name(operation)), operation);
  }
  EXPECT_EQ(names.size(), kOperationCount);
  EXPECT_EQ(name(Operation::kMantissaMultiply), "mantissa_multiply");
  EXPECT_EQ(name(Operation::kDramWrite), "dram_write");
  EXPECT_FALSE(find_operation("no_such_operation"));
}

TEST(Operations, BelongToOneLine) {
  EXPECT_EQ(line_of(Operation::kMantissaMultiply), Line::kOperation);
  EXPECT_EQ(line_of(Operation::kIntegerMultiply), Line::kOperation);
  EXPECT_EQ(line_of(Operation::kRegister), Line::kOverhead);
  EXPECT_EQ(line_of(Operation::kRandomBits), Line::kOverhead);
  EXPECT_EQ(line_of(Operation::kBufferRead), Line::kMemory);
  EXPECT_EQ(line_of(Operation::kDramWrite), Line::kMemory);
}

TEST(Operations, AreDescribedOnceEach) {
  std::set<std::string_view> descriptions;
  for (const Operation operation : kOperations) {
    EXPECT_FALSE(description(operation).empty()) << name(operation);
    EXPECT_TRUE(descriptions.insert(description(operation)).second) << name(operation);
    EXPECT_EQ(unit(operation), is_standing(operation)                ? "cycles"
                               : line_of(operation) == Line::kMemory ? "bits"
                                                                     : "")
        << name(operation);
  }
}

TEST(Counts, AddUp) {
  Counts left;
  left[Operation::kShift] = 3;
  Counts right;
  right[Operation::kShift] = 4;
  right[Operation::kDramRead] = 64;
  const Counts sum = left + right;
  EXPECT_EQ(sum[Operation::kShift], 7U);
  EXPECT_EQ(sum[Operation::kDramRead], 64U);
  EXPECT_EQ(sum[Operation::kFloatAdd], 0U);
}

}  // namespace
}  // namespace mlsim::energy
