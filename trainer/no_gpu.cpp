// Stands in for cuda/gpu.cpp and cuda/nccl.cpp in a build without CUDA.
#include <stdexcept>

#include "trainer/collectives.h"
#include "trainer/gpu.h"

namespace mlsim::trainer {
namespace {

constexpr const char* kNoCuda = "--device cuda: this mlsim-train was built without CUDA, expected cpu";

}  // namespace

std::unique_ptr<Gpu> make_gpu(int /*index*/) {
  throw std::runtime_error(kNoCuda);
}

std::unique_ptr<Collectives> make_nccl(const Meeting& /*meeting*/) {
  throw std::runtime_error(kNoCuda);
}

}  // namespace mlsim::trainer
