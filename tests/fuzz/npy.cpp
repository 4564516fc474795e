#include "workloads/npy.h"

#include <cstring>
#include <sstream>

#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {
namespace {

models::Tensor<float> read(std::string_view bytes) {
  base::InputText input(bytes, kInput);
  return workloads::read_npy(input);
}

}  // namespace

void read_npy(std::string_view bytes) {
  const models::Tensor<float> tensor = read(bytes);
  std::ostringstream written;
  workloads::write_npy(written, tensor);
  const models::Tensor<float> again = read(written.str());
  require(again.shape == tensor.shape && again.values.size() == tensor.values.size() &&
              std::memcmp(again.values.data(), tensor.values.data(), tensor.values.size() * sizeof(float)) == 0,
          "an array that is written is another one");
}

}  // namespace mlsim::fuzz
