#include "sim/exchange.h"

#include "base/integers.h"
#include "models/convolution/datapath.h"

namespace mlsim::sim {

ResultPath result_path(const ArrayConfig& config, std::int64_t results, bool quantized, bool codes_leave) {
  if (config.results != ResultForm::kCodes) return {};
  if (!quantized) return {codes_leave, false};
  const bool fit = base::Int128{3} * 32 * results <= base::Int128{8} * config.global_sram_bytes;
  return {!fit, !fit};
}

}  // namespace mlsim::sim
