// Topology files of SCALE-Sim, the systolic-array simulator: convolutions as comma-separated values, one a line.
#pragma once

#include <string>
#include <string_view>

#include "workloads/network.h"

namespace mlsim::workloads {

// A network of convolutions from a text such as
//
//   Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
//   Conv1, 230, 230, 7, 7, 3, 64, 2,
//
// A comma at the end of a line, spaces and empty lines do not matter, nor does the case of the header. The height and
// width of an input include its padding, so the convolutions have none; one stride serves both axes. Grouped and
// depthwise convolutions cannot be written in such a file. Layers do not name their inputs: each has "input" as its own
// one. `file` stands for the text in errors and, without folder and ending, names the network. Throws
// std::runtime_error with file, line and what was expected.
Network parse_scale_sim(std::string_view text, const std::string& file);

}  // namespace mlsim::workloads
