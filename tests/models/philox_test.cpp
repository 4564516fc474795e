#include "base/philox.h"

#include <gtest/gtest.h>

#include <vector>

#include "models/quantizer/quantizer_kernels.h"
#include "tests/support/vector_targets.h"

namespace mlsim::models {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Known answers that the authors publish with their library (Random123).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(base::philox_4x32_10({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(base::philox_4x32_10({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(base::philox_4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, VectorsGiveTheWordsOfEveryElement) {
  constexpr std::uint64_t kSeed = 0x299f31d0a4093822;
  constexpr std::uint64_t kStream = 0x0370734413198a2e;
  // The second start crosses the lower half of the block counter.
  for (const std::uint64_t first :
       {std::uint64_t{0}, (std::uint64_t{1} << 34) - 40, std::uint64_t{0x85a308d3243f6a88}}) {
    for (std::size_t count = 4; count <= 100; count += 4) {
      tests::for_each_vector_target([&] {
        std::vector<std::uint32_t> words(count);
        random_words(kSeed, kStream, first, count, words.data());
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(words[i], base::random_word(kSeed, kStream, first + i)) << i;
      });
    }
  }
}

}  // namespace
}  // namespace mlsim::models
