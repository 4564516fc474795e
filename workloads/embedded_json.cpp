#include <algorithm>
#include <cassert>
#include <nlohmann/json.hpp>

#include "workloads/embedded_files.h"

namespace mlsim::workloads {

nlohmann::json embedded_json(std::string_view name) {
  const auto files = embedded_files();
  const auto file = std::find_if(files.begin(), files.end(), [&](const EmbeddedFile& f) { return f.name == name; });
  assert(file != files.end());
  return nlohmann::json::parse(file->text);
}

}  // namespace mlsim::workloads
