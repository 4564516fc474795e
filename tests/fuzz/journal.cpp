#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "evaluation/sweep_journal.h"
#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {
namespace {

std::vector<std::size_t> missing(const evaluation::SweepJournal& journal, std::size_t points) {
  std::vector<std::size_t> result;
  for (std::size_t point = 0; point < points; ++point) {
    if (!journal.has(point)) {
      result.push_back(point);
    } else {
      journal.row(point);
    }
  }
  require(journal.finished() + result.size() == points, "points that are there are counted otherwise");
  return result;
}

}  // namespace

// The bytes as a journal, which is then one that rows can be added to and that gives them back.
void read_journal(std::string_view bytes) {
  constexpr std::size_t kPoints = 4;
  const std::filesystem::path output = scratch_folder() / "sweep.json";
  file_of(evaluation::SweepJournal::file_of("sweep.json").string(), bytes);
  const nlohmann::ordered_json row = {{"format", "e2m4"}, {"passes", nullptr}};
  {
    evaluation::SweepJournal journal(output, "id", kPoints);
    for (const std::size_t point : missing(journal, kPoints)) journal.add(point, row);
  }
  evaluation::SweepJournal again(output, "id", kPoints);
  require(missing(again, kPoints).empty(), "rows that were there or added are lost");
  again.remove();
}

}  // namespace mlsim::fuzz
