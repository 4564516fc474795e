#include "workloads/workload.h"

#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {

// Values of layers are drawn where they are few.
void read_workload(std::string_view bytes) {
  constexpr std::int64_t kFew = 4096;
  const workloads::Workload workload = workloads::parse_workload(bytes, kInput, scratch_folder(), {.batch = 1});
  require(!workload.layers.empty(), "a workload without layers");
  for (const workloads::Layer& layer : workload.layers) {
    require(layer.shape.out_size()[0] > 0 && layer.shape.out_size()[1] > 0, "a layer without outputs");
    for (const models::Operand operand : models::kOperands) {
      if (!layer.operand(operand).has_values()) continue;
      if (models::element_count(layer.shape.shape_of(operand)) <= kFew) workloads::load_operand(layer, operand);
    }
  }
}

}  // namespace mlsim::fuzz
