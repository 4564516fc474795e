#include "evaluation/machines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "energy/cost_table.h"
#include "tests/support/laws.h"
#include "tests/support/run_layers.h"

namespace mlsim::evaluation {
namespace {

using test::kShape;
using test::laws;
using test::run_layers;

TEST(Sharings, AreWhatThatSharingGives) {
  const Results results = run_layers(kShape, Engine::kAnalytic);
  const std::vector<Sharing> all = sharings(results, price(work_of(results), laws()).area);
  ASSERT_EQ(all.size(), 9U) << "1, 2, 4, ... 256";
  for (const Sharing& sharing : all) {
    SCOPED_TRACE(sharing.elements_per_scaler);
    sim::ArrayConfig array;
    array.elements_per_scaler = sharing.elements_per_scaler;
    const Results shared = run_layers(kShape, Engine::kAnalytic, "", array);
    sim::CycleCounts cycles;
    for (const PassRecord& record : shared.layers[0].passes) cycles += record.cycles;
    EXPECT_EQ(sharing.cycles, cycles);
    EXPECT_EQ(sharing.units, 256 / sharing.elements_per_scaler);
    EXPECT_NEAR(sharing.area.total(), price(work_of(shared), laws()).area.total(), 1e-6);
  }
  sim::ArrayConfig odd;
  odd.rows = 3;
  odd.columns = 5;
  odd.elements_per_scaler = 7;
  const Results small = run_layers(kShape, Engine::kAnalytic, "", odd);
  std::vector<int> shares;
  for (const Sharing& sharing : sharings(small, price(work_of(small), laws()).area))
    shares.push_back(sharing.elements_per_scaler);
  EXPECT_THAT(shares, testing::ElementsAre(1, 2, 4, 7, 8, 15));
}

}  // namespace
}  // namespace mlsim::evaluation
