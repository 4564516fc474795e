#include "base/ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/temporary_folder.h"

namespace mlsim::base {
namespace {

std::string launch_in(const std::map<std::string, std::string>& environment) {
  const std::optional<Launch> launch = launch_of([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
  if (!launch) return "none";
  return launch->launcher + " " + std::to_string(launch->rank) + "/" + std::to_string(launch->size);
}

TEST(Ranks, AreTheLaunchersOfTheEnvironment) {
  EXPECT_EQ(launch_in({}), "none");
  EXPECT_EQ(launch_in({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}}), "mpirun 2/4");
  EXPECT_EQ(launch_in({{"PMIX_RANK", "3"}, {"SLURM_STEP_NUM_TASKS", "8"}}), "srun 3/8");
  EXPECT_EQ(launch_in({{"PMIX_RANK", "3"}}), "srun 3/0");
  EXPECT_EQ(launch_in({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}), "the launcher 1/2");
  // mpirun within a step of srun, which starts its helpers.
  EXPECT_EQ(launch_in({{"OMPI_COMM_WORLD_RANK", "2"},
                       {"OMPI_COMM_WORLD_SIZE", "4"},
                       {"PMIX_RANK", "2"},
                       {"SLURM_STEP_NUM_TASKS", "2"}}),
            "mpirun 2/4");
}

TEST(Ranks, AreNoneWhereAProcessIsOnItsOwn) {
  // A batch script of Slurm, and one process of a launcher.
  EXPECT_EQ(launch_in({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "16"}, {"SLURM_JOB_ID", "7"}}), "none");
  EXPECT_EQ(launch_in({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}), "none");
  EXPECT_EQ(launch_in({{"PMIX_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}), "none");
  EXPECT_EQ(launch_in({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"MLSIM_MPI", "off"}}), "none");
  EXPECT_EQ(launch_in({{"OMPI_COMM_WORLD_RANK", "x"}, {"OMPI_COMM_WORLD_SIZE", "4"}}), "none");
}

// The tests' own programs say of no folder that the library is there.
TEST(Ranks, WithoutMpiAreRefusedInASentence) {
  EXPECT_THAT(test::error_of([] {
                start_ranks({"mpirun", 0, 4});
              }),
              testing::HasSubstr("mpirun has started 4 processes, but this mlsim cannot use MPI ("));
}

}  // namespace
}  // namespace mlsim::base
