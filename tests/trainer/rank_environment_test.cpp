#include "trainer/rank_environment.h"

#include <gmock/gmock.h>

#include <map>
#include <string>

#include "tests/support/temporary_folder.h"

namespace mlsim::trainer {
namespace {

using Variables = std::map<std::string, std::string>;

RankEnvironment read(const Variables& variables) {
  return read_rank_environment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string error_of(const Variables& variables) {
  return test::error_of([&] { read(variables); });
}

const Variables kTwo{
    {"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}, {"MASTER_ADDR", "node0"}, {"MASTER_PORT", "29500"}};

Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

TEST(RankEnvironment, IsThatOfTorchrun) {
  const RankEnvironment two = read(kTwo);
  EXPECT_EQ(two.rank, 1);
  EXPECT_EQ(two.size, 2);
  EXPECT_EQ(two.local_rank, 0);
  EXPECT_EQ(two.local_size, 1);
  EXPECT_EQ(two.address, "node0");
  EXPECT_EQ(two.port, 29500);
  EXPECT_FALSE(two.launcher_keeps_store);
  Variables launched = with(kTwo, "TORCHELASTIC_USE_AGENT_STORE", "True");
  launched = with(launched, "TORCHELASTIC_RESTART_COUNT", "3");
  launched = with(launched, "LOCAL_WORLD_SIZE", "2");
  EXPECT_TRUE(read(launched).launcher_keeps_store);
  EXPECT_EQ(read(launched).attempt, "3");
  EXPECT_EQ(read(launched).local_size, 2);
}

TEST(RankEnvironment, IsOneProcessWithout) {
  EXPECT_EQ(read({}).size, 1);
  // What batch systems leave in every job's environment.
  EXPECT_EQ(read({{"MASTER_ADDR", "node0"}, {"LOCAL_RANK", "0"}}).size, 1);
  EXPECT_EQ(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).size, 1);
  EXPECT_EQ(read(without(kTwo, "LOCAL_RANK")).local_rank, 1);
}

TEST(RankEnvironment, IsRefusedWithASentence) {
  EXPECT_EQ(error_of(without(kTwo, "RANK")), "environment: RANK is not set, expected it beside WORLD_SIZE");
  EXPECT_EQ(error_of(without(kTwo, "WORLD_SIZE")), "environment: WORLD_SIZE is not set, expected it beside RANK");
  EXPECT_EQ(error_of(without(kTwo, "MASTER_ADDR")),
            "environment: MASTER_ADDR is not set, expected it beside a WORLD_SIZE of 2");
  EXPECT_EQ(error_of(with(kTwo, "MASTER_PORT", "")),
            "environment: MASTER_PORT is not set, expected it beside a WORLD_SIZE of 2");
  EXPECT_EQ(error_of(with(kTwo, "RANK", "2")), "environment: RANK is '2', expected a whole number from 0 to 1");
  EXPECT_EQ(error_of(with(kTwo, "RANK", "-1")), "environment: RANK is '-1', expected a whole number from 0 to 1");
  EXPECT_EQ(error_of(with(kTwo, "WORLD_SIZE", "2x")),
            "environment: WORLD_SIZE is '2x', expected a whole number from 1 to 4096");
  EXPECT_EQ(error_of(with(kTwo, "MASTER_PORT", "65536")),
            "environment: MASTER_PORT is '65536', expected a whole number from 1 to 65535");
  EXPECT_EQ(error_of(with(kTwo, "LOCAL_RANK", "two")),
            "environment: LOCAL_RANK is 'two', expected a whole number from 0 to 1");
}

}  // namespace
}  // namespace mlsim::trainer
