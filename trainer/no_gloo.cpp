// Stands in for gloo.cpp where libtorch or its headers are without Gloo.
#include <stdexcept>

#include "trainer/collectives.h"

namespace mlsim::trainer {

std::unique_ptr<Collectives> make_gloo(const Meeting& /*meeting*/) {
  throw std::runtime_error(
      "--device cpu: this mlsim-train was built without Gloo, expected one process or --device cuda");
}

}  // namespace mlsim::trainer
