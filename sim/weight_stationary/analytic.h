// The closed form of the weight-stationary dataflow: sums over the kinds of phases, tiles and folds, not over phases,
// tiles, folds or positions. docs/dataflow.md derives it; the simulation agrees exactly.
#pragma once

#include <vector>

#include "models/convolution/convolution.h"
#include "models/formats/format.h"
#include "sim/array_config.h"
#include "sim/dataflow.h"

namespace mlsim::sim::weight_stationary {

// Dataflow::predict.
PassPrediction predict_pass(models::Pass pass, const models::ConvolutionShape& shape, const models::Format& left,
                            const models::Format& right, const ArrayConfig& config, const Exchange& exchange);

}  // namespace mlsim::sim::weight_stationary
