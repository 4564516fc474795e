// What a pass takes from the passes before it and leaves for those after it, and by which way (docs/memory.md).
// Tested in tests/sim/analytic_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "models/formats/format.h"
#include "sim/array_config.h"

namespace mlsim::sim {

// Where the codes of a format of the results go.
struct CodePath {
  bool to_dram = true;
  bool stay = false;  // in the SRAM, as an operand of the next pass
  bool operator==(const CodePath&) const = default;
};

// What is in the SRAM where a pass begins, and what of its results stays there.
struct Residence {
  bool rows = false;              // the operand of the rows is there
  bool columns = false;           // that of the columns
  std::vector<CodePath> codes{};  // of each format of the results; none: all to DRAM
  bool operator==(const Residence&) const = default;

  CodePath path(std::size_t format) const { return format < codes.size() ? codes[format] : CodePath{}; }
};

// The formats that results are quantized to, each in a run of the quantizer but fp32, which leaves them as they are;
// and what stays. Formats alone make one whose pass takes everything from DRAM and leaves everything there.
struct Exchange {
  std::vector<models::Format> results;
  Residence residence{};

  Exchange() = default;
  Exchange(std::vector<models::Format> formats) : results(std::move(formats)) {}  // NOLINT(google-explicit-constructor)
  Exchange(std::initializer_list<models::Format> formats) : results(formats) {}   // NOLINT(google-explicit-constructor)
  template <typename Iterator>
  Exchange(Iterator begin, Iterator end) : results(begin, end) {}
};

// The way of the results in binary32.
struct ResultPath {
  bool leave = true;       // for DRAM
  bool come_back = false;  // from there for each run of the quantizer, since the SRAM does not hold them
};
// Of so many results: they leave unless the array keeps codes alone (ArrayConfig::results) and there are codes. Where
// they do not fit in a third of the SRAM they leave nevertheless, and come back. `codes_leave` is of fp32, whose codes
// are the results themselves.
ResultPath result_path(const ArrayConfig& config, std::int64_t results, bool quantized, bool codes_leave = true);

}  // namespace mlsim::sim
