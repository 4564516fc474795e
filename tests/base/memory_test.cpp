#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstddef>
#include <vector>

#include "tests/support/repetitions.h"

namespace mlsim::base {
namespace {

// Pages that the system hands out for a block of so many MiB, once such a block was freed.
long faults_of_a_second_block(std::size_t mebibytes) {
  const auto faults = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
  };
  const auto fill = [&] { return std::vector<char>(mebibytes << 20, 1).back(); };
  if (fill() != 1) return -1;
  const long before = faults();
  if (fill() != 1) return -1;
  return faults() - before;
}

constexpr long kPagesOf64MiB = 16384;

// Sanitizers bring an allocator of their own.
bool is_usual() {
  return test::kOneOf == 1 && faults_of_a_second_block(64) > kPagesOf64MiB / 2;
}

TEST(KeepFreedMemory, SparesPageFaults) {
  if (!is_usual()) GTEST_SKIP() << "an allocator or pages other than the usual";
  keep_freed_memory();
  EXPECT_LT(faults_of_a_second_block(64), kPagesOf64MiB / 64);
}

TEST(KeepFreedMemory, ReturnsLargerBlocks) {
  if (!is_usual()) GTEST_SKIP() << "an allocator or pages other than the usual";
  keep_freed_memory(std::size_t{32} << 20);
  EXPECT_LT(faults_of_a_second_block(30), kPagesOf64MiB / 64);
  EXPECT_GE(faults_of_a_second_block(64), kPagesOf64MiB / 2);
}

}  // namespace
}  // namespace mlsim::base
