// Accelergy's reference tables: energies (ERT) and areas (ART) of a machine's blocks. Version 0.3 is written, 0.3 and
// 0.4 are read. docs/report.md has their components and actions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "energy/laws.h"
#include "energy/operations.h"
#include "evaluation/pricing.h"
#include "evaluation/results.h"

namespace mlsim::app {

// YAML of the machine that ran the results; `file` is what errors name. Both throw std::runtime_error where the results
// ran on more than one machine, and accelergy_art where the cost table has no areas.
std::string accelergy_ert(const evaluation::Results& results, const std::string& file, const energy::Laws& laws);
std::string accelergy_art(const evaluation::Results& results, const std::string& file, const energy::Laws& laws);

// What an action of an ERT stands for.
struct MappedAction {
  std::optional<energy::Operation> operation;  // nothing: it is passed over
  double bits = 1;                             // that it moves; of memories, whose operations are priced by the bit
};

// Actions by COMPONENT.ACTION, where the component is a table's name with or without its ranges, or by ACTION alone.
struct ActionMap {
  std::string file;  // of errors; empty: none was given
  std::map<std::string, MappedAction> actions;
};

// Reads such a map from YAML or JSON: names of operations, null, or {operation: NAME, bits: N}. Throws base::Error.
ActionMap parse_action_map(std::string_view text, const std::string& file);
ActionMap load_action_map(const std::string& path);

// Prices out of an ERT whose actions bear the names of energy/operations.h, or are mapped to them. The actions idle and
// leak, which Accelergy adds to every component, are passed over. Throws base::Error that names the file, the place in
// it and what was expected; all other actions are listed with the operations that they may stand for.
evaluation::OwnPrices parse_accelergy_ert(std::string_view text, const std::string& file, const ActionMap& map = {});
evaluation::OwnPrices load_accelergy_ert(const std::string& path, const ActionMap& map = {});

}  // namespace mlsim::app
