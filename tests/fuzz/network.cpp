#include "workloads/network.h"

#include "base/json.h"
#include "tests/fuzz/reader.h"
#include "workloads/training_counts.h"

namespace mlsim::fuzz {

void read_network(std::string_view bytes) {
  const workloads::Network network = workloads::parse_network(bytes, kInput);
  workloads::to_text(workloads::count_training_step(network, network.batch.value_or(1)));
}

}  // namespace mlsim::fuzz
