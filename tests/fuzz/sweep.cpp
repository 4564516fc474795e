#include <nlohmann/json.hpp>

#include "app/report/sweep_reader.h"
#include "base/json.h"
#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {

// JSON and CSV, which the name of a file tells apart: JSON begins with a brace.
void read_sweep(std::string_view bytes) {
  if (!bytes.starts_with('{')) {
    app::load_sweep(file_of("sweep.csv", bytes).string());
    return;
  }
  const app::SweepSource sweep = app::parse_sweep(bytes, kInput);
  const app::SweepSource again = app::parse_sweep(base::to_text(sweep.document), "what is written");
  require(again.document == sweep.document, "a sweep that is written is another one");
}

}  // namespace mlsim::fuzz
