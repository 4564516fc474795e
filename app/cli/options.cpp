#include "app/cli/options.h"

#include <string_view>

#include "base/text.h"
#include "energy/cost_table.h"
#include "models/formats/format.h"

namespace mlsim::app {

using base::Option;

Option activity_option() {
  return {.name = "activity",
          .value_name = "A",
          .help =
              "operands that are priced: dense, zeros (as counted in the values), or gated (elements that hold "
              "still at a zero)",
          .kind = base::Choice{{"dense", "zeros", "gated"}},
          .preset = "dense"};
}

Option table_option(const std::string& help) {
  const std::vector<std::string_view> shipped = energy::shipped_cost_tables();
  return {.name = "table",
          .value_name = "TABLE",
          .help = help,
          .kind = base::File{{shipped.begin(), shipped.end()}},
          .preset = std::string(energy::kDefaultCostTable)};
}

Option jobs_option() {
  return {
      .name = "jobs", .value_name = "N", .help = "threads, all cores by default", .kind = base::WholeNumber{1, 1024}};
}

namespace {

// What completion offers.
std::vector<std::string> known_formats() {
  return {"e2m4",  "e2m1", "mxfp4", "mxfp6-e2m3", "mxfp6-e3m2", "mxfp8-e4m3", "mxfp8-e5m2", "mxint8",
          "nvfp4", "fp32", "fp16",  "bf16",       "fp8-e4m3",   "fp8-e5m2",   "int8"};
}

}  // namespace

base::Parsed format_kind() {
  return {[](const std::string& text) { models::parse_format(text); }, known_formats()};
}

base::Parsed operand_formats_kind() {
  std::vector<std::string> formats = known_formats();
  formats.insert(formats.end(), {"mxfp8", "fp8"});
  return {[](const std::string& text) { models::parse_operand_formats(text); }, formats};
}

base::Parsed list_of(std::function<void(const std::string&)> parse) {
  return {[parse = std::move(parse)](const std::string& text) {
    for (const std::string& part : base::split(text, ',')) parse(part);
  }};
}

energy::Laws find_laws(const std::string& table) {
  return energy::Laws(energy::find_cost_table(table));
}

std::unique_ptr<tbb::global_control> limit_threads(const base::CommandLine& line) {
  if (!line.has("jobs")) return nullptr;
  return std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism, line.whole_number("jobs"));
}

}  // namespace mlsim::app
