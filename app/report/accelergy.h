// Accelergy's reference tables, version 0.3: energies (ERT) and areas (ART) of a machine's blocks. docs/report.md has
// their components and actions.
#pragma once

#include <string>
#include <string_view>

#include "energy/laws.h"
#include "evaluation/pricing.h"
#include "evaluation/results.h"

namespace mlsim::app {

// YAML of the machine that ran the results; `file` is what errors name. Both throw std::runtime_error where the results
// ran on more than one machine, and accelergy_art where the cost table has no areas.
std::string accelergy_ert(const evaluation::Results& results, const std::string& file, const energy::Laws& laws);
std::string accelergy_art(const evaluation::Results& results, const std::string& file, const energy::Laws& laws);

// Prices out of an ERT whose actions bear the names of energy/operations.h. The actions idle and leak, which Accelergy
// adds to every component, are passed over. Throws std::runtime_error with one sentence that names the file, the place
// in it and what was expected.
evaluation::OwnPrices parse_accelergy_ert(std::string_view text, const std::string& file);
evaluation::OwnPrices load_accelergy_ert(const std::string& path);

}  // namespace mlsim::app
