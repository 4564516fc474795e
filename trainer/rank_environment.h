// What a process of a training that is spread over several learns from its environment, as torchrun sets it. No Torch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace mlsim::trainer {

struct RankEnvironment {
  int rank = 0;
  int size = 1;        // processes of the training
  int local_rank = 0;  // among those of this machine: the GPU
  int local_size = 1;  // as many as are known of
  // Where the processes meet.
  std::string address;
  std::uint16_t port = 0;
  // Whether the launcher keeps the store of the meeting; else rank 0 does.
  bool launcher_keeps_store = false;
  std::string attempt;  // tells a start of the launcher from those before
};

// `variable` gives the value of an environment variable, null where it is not set. WORLD_SIZE and RANK go together;
// without them, and with a WORLD_SIZE of 1, the process is alone. Beside a larger one MASTER_ADDR and MASTER_PORT are
// needed, LOCAL_RANK is RANK unless it is set. Throws std::runtime_error with the variable and what was expected.
RankEnvironment read_rank_environment(const std::function<const char*(const char*)>& variable);

}  // namespace mlsim::trainer
