#include "tests/fuzz/reader.h"
#include "workloads/scale_sim.h"
#include "workloads/training_counts.h"

namespace mlsim::fuzz {

void read_topology(std::string_view bytes) {
  const workloads::Network network = workloads::parse_scale_sim(bytes, kInput);
  workloads::to_text(workloads::count_training_step(network, network.batch.value_or(1)));
}

}  // namespace mlsim::fuzz
