#include "evaluation/results.h"

#include <nlohmann/json.hpp>

#include "app/report/report.h"
#include "base/json.h"
#include "energy/laws.h"
#include "evaluation/evaluation.h"
#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {

// What is accepted can be written, read again, and reported in every format.
void read_results(std::string_view bytes) {
  static const energy::Laws laws(energy::find_cost_table());
  evaluation::Results results = evaluation::parse_results(std::string(bytes), kInput);
  const std::string written = base::to_text(evaluation::to_json(results));
  const evaluation::Results again = evaluation::parse_results(written, "what is written");
  require(base::to_text(evaluation::to_json(again)) == written, "results that are written are others");
  evaluation::non_finite_remark(results);
  std::vector<evaluation::Evaluation> evaluations;
  evaluations.emplace_back(evaluation::Source{kInput, std::move(results)}, laws);
  for (const char* const format : {"text", "markdown", "json", "csv"}) app::report_as(format, evaluations, {});
}

}  // namespace mlsim::fuzz
