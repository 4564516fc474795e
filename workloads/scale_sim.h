// Topology files of SCALE-Sim, the systolic-array simulator: a table as text with a layer in each row.
#pragma once

#include <string>
#include <string_view>

#include "workloads/network.h"

namespace mlsim::workloads {

// A network from a text such as
//
//   Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
//   Conv1, 230, 230, 7, 7, 3, 64, 2,
//
// or, of matrix products (M × K) · (K × N), which become linear layers of M rows, K inputs and N outputs,
//
//   Layer, M, N, K,
//   QKT, 1024, 1024, 64,
//
// How the text is cut into cells is in delimited_text.h. The words of a header do not matter, and none is needed, but
// that they may tell a column for the batch, the sparsity, a second stride, or the order of M, N and K. Rows that are
// empty or a title are passed over. The height and width of an input include its padding, so the convolutions have
// none. A convolution with "DP" in its name is depthwise. Layers do not name their inputs: each has "input" as its own
// one. `file` stands for the text in errors and, without folder and ending, names the network. What was not taken as it
// stands is in Network::remarks. Throws base::Error with file, line and what was expected.
Network parse_scale_sim(std::string_view text, const std::string& file);

}  // namespace mlsim::workloads
