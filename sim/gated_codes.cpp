#include "sim/gated_codes.h"

namespace mlsim::sim {

std::vector<std::uint16_t> gated_codes(const models::ScaledTensor& tensor) {
  std::vector<std::uint16_t> codes = tensor.codes;
  if (tensor.format.scale.kind != models::ScaleKind::kE4m3) return codes;
  tensor.grid().for_each_run(0, tensor.size(),
                             [&](std::int64_t offset, std::int64_t length, std::int64_t tile, std::int64_t step) {
                               for (std::int64_t i = offset; i < offset + length; ++i, tile += step) {
                                 if (tensor.scales[static_cast<std::size_t>(tile)].significand == 0)
                                   codes[static_cast<std::size_t>(i)] = 0;
                               }
                             });
  return codes;
}

}  // namespace mlsim::sim
