// The closed form: what a pass costs on the array, from its shape, its formats and the array's parameters alone. Sums
// over the kinds of phases and tiles, not over phases, tiles, steps or taps. docs/dataflow.md derives it; the
// simulation agrees exactly.
#pragma once

#include "models/convolution/convolution.h"
#include "models/formats/format.h"
#include "sim/array_config.h"
#include "sim/dataflow.h"

namespace mlsim::sim::output_stationary {

// Dataflow::predict.
PassPrediction predict_pass(models::Pass pass, const models::ConvolutionShape& shape, const models::Format& left,
                            const models::Format& right, const ArrayConfig& config, const Exchange& exchange);

}  // namespace mlsim::sim::output_stationary
