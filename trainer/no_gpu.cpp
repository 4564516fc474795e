// Stands in for cuda/gpu.cpp in a build without CUDA.
#include <stdexcept>

#include "trainer/gpu.h"

namespace mlsim::trainer {

std::unique_ptr<Gpu> make_gpu() {
  throw std::runtime_error("--device cuda: this mlsim-train was built without CUDA, expected cpu");
}

}  // namespace mlsim::trainer
