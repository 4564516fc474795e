#include "tests/fuzz/reader.h"
#include "workloads/onnx/import.h"
#include "workloads/training_counts.h"

namespace mlsim::fuzz {

void read_onnx(std::string_view bytes) {
  const workloads::Network network =
      workloads::parse_onnx(bytes, scratch_folder() / "model.onnx", {.batch = 2, .strict = bytes.size() % 8 == 0});
  for (const workloads::NetworkLayer& layer : network.layers) {
    if (layer.weight != nullptr) layer.weight->load();
  }
  workloads::to_text(workloads::count_training_step(network, network.batch.value_or(1)));
}

}  // namespace mlsim::fuzz
