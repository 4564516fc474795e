#include <iostream>

#include "models/quantizer/quantizer.h"
#include "workloads/npy.h"

int main(int /*argc*/, char** argv) {
  namespace models = mlsim::models;
  const models::Tensor<float> tensor{{1, 1, 2, 2}, {1, -0.5F, 0.3F, 2}};
  const auto quantized = models::quantize(tensor, models::parse_scaled_format("e2m1"), {}, "tensor").tensor;
  const auto values = models::dequantize(quantized);
  for (const double& value : values.values) std::cout << value << (&value == &values.values.back() ? '\n' : ' ');
  mlsim::workloads::write_npy(argv[1], values);
}
