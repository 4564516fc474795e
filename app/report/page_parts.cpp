#include "app/report/page_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "app/report/cells.h"
#include "app/report/report_tables.h"
#include "app/report/summary.h"
#include "base/terminal.h"

namespace mlsim::app {
namespace {

using evaluation::Evaluation;
using evaluation::MachineFigures;

const MachineFigures& own(const Evaluation& evaluated) {
  return evaluated.machines().front();
}

std::string tile_html(const std::string& name, const std::vector<std::string>& labels,
                      const std::vector<std::string>& values) {
  std::string html = fmt::format("<div class=\"tile\">\n<h3>{}</h3>\n<dl>\n", name);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    html += fmt::format("<dt>{}{}</dt><dd>{}</dd>\n", swatch(i), escaped(labels[i]), escaped(values[i]));
  }
  return html + "</dl>\n</div>\n";
}

template <typename Value, typename Of>
std::vector<Value> each_of(const std::vector<Evaluation>& evaluations, const Of& of) {
  std::vector<Value> values;
  values.reserve(evaluations.size());
  for (const Evaluation& evaluated : evaluations) values.push_back(of(evaluated));
  return values;
}

std::string tiles_html(const std::vector<Evaluation>& evaluations) {
  const std::vector<std::string> labels = labels_of(evaluations);
  const auto texts = [&](const auto& of) { return each_of<std::string>(evaluations, of); };
  const auto numbers = [&](const auto& of) { return each_of<double>(evaluations, of); };
  const EnergyColumn energy = energy_column(numbers([](const Evaluation& e) { return own(e).all_pj.value; }));
  const auto shares = texts([](const Evaluation& e) { return percent(own(e).memory_share, 0); });
  const auto times = fixed_column(numbers([](const Evaluation& e) { return e.all().milliseconds; }));
  const auto utilizations = texts([](const Evaluation& e) { return percent(own(e).utilization); });
  const auto errors = texts([](const Evaluation& e) { return decibels(own(e).sqnr_db); });
  return fmt::format("<div class=\"tiles{}\">\n", evaluations.size() > 2 ? " many" : "") +
         tile_html("Energy with memory, " + energy.unit, labels, energy.cells) +
         tile_html("Share of memory in it", labels, shares) + tile_html("Time, ms", labels, times) +
         tile_html("Utilization of the array", labels, utilizations) + tile_html("Mean SQNR, dB", labels, errors) +
         "</div>\n";
}

// What stands out among several sources.
std::string lead_of(const std::vector<Evaluation>& evaluations, const std::vector<std::string>& sentences) {
  const std::vector<std::string> labels = labels_of(evaluations);
  std::size_t cheapest = 0;
  std::size_t closest = 0;
  const auto error = [&](std::size_t i) { return own(evaluations[i]).sqnr_db.value_or(-HUGE_VAL); };
  for (std::size_t i = 1; i < evaluations.size(); ++i) {
    if (own(evaluations[i]).all_pj.value < own(evaluations[cheapest]).all_pj.value) cheapest = i;
    if (error(i) > error(closest)) closest = i;
  }
  std::string lead =
      fmt::format("Of {} formats {} takes the least energy with memory", evaluations.size(), labels[cheapest]);
  if (std::isfinite(error(closest))) {
    lead += fmt::format(" and {} has the smallest error ({} dB SQNR)", labels[closest],
                        decibels(own(evaluations[closest]).sqnr_db));
  }
  return lead + ". " + sentences[cheapest];
}

struct Part {
  const char* name;
  energy::Range evaluation::EnergyParts::*range;
};
constexpr Part kParts[] = {{"operations", &evaluation::EnergyParts::operations},
                           {"overhead", &evaluation::EnergyParts::overhead},
                           {"buffers", &evaluation::EnergyParts::buffers},
                           {"SRAM", &evaluation::EnergyParts::sram},
                           {"DRAM", &evaluation::EnergyParts::dram},
                           {"idle clocking and leakage", &evaluation::EnergyParts::standing}};

// Parts that no machine has are not shown: what time costs stands in few cost tables.
std::vector<std::size_t> shown_parts(const std::vector<SummaryRow>& rows) {
  std::vector<std::size_t> shown;
  for (std::size_t p = 0; p < std::size(kParts); ++p) {
    const bool is_anywhere = std::any_of(rows.begin(), rows.end(), [&](const SummaryRow& row) {
      return (row.machine->parts.*kParts[p].range).value > 0;
    });
    if (is_anywhere || kParts[p].range != &evaluation::EnergyParts::standing) shown.push_back(p);
  }
  return shown;
}

// A bar against an axis that ends at `end` pJ.
std::string bar_html(const SummaryRow& row, const std::vector<std::size_t>& parts, double end,
                     const std::string& value) {
  constexpr double kRoomForText = 11;  // percent of the axis
  const MachineFigures& machine = *row.machine;
  const auto place = [&](double pj) { return end > 0 ? 100 * pj / end : 0; };
  std::string html =
      fmt::format("<div class=\"bar-row{}\">\n<div class=\"bar-name\">{}{}</div>\n<div class=\"bar\">",
                  row.source ? "" : " baseline", row.source ? swatch(*row.source) : "", escaped(row.name));
  for (const std::size_t p : parts) {
    const double pj = (machine.parts.*kParts[p].range).value;
    const double width = place(pj);
    const double share = machine.all_pj.value > 0 ? pj / machine.all_pj.value : 0;
    html += fmt::format(R"(<span class="p{}" style="width:{:.3f}%" title="{}: {}, {}">{}</span>)", p, width,
                        kParts[p].name, joules(pj), percent(share), width > kRoomForText ? percent(share, 0) : "");
  }
  html += fmt::format("<b style=\"left:{:.3f}%;width:{:.3f}%\" title=\"{} to {}\"></b></div>\n",
                      place(machine.all_pj.low), place(machine.all_pj.high - machine.all_pj.low),
                      joules(machine.all_pj.low), joules(machine.all_pj.high));
  return html + fmt::format("<div class=\"bar-value\">{}</div>\n</div>\n", escaped(value));
}

constexpr std::pair<const char*, const char*> kGlossary[] = {
    {"operations",
     "multiplications, exponent additions, shifts and accumulations; for floats multiplications and "
     "additions. What publications quote."},
    {"overhead", "registers, group scaling, conversion, the scaling of results by the tensors’ scales, quantization"},
    {"computing",
     "operations and overhead; the area of computing is that of elements, group-scale units and "
     "quantizers"},
    {"idle clocking and leakage",
     "what passes with time, where the cost table has it; that of elements, group-scale units and quantizers is a part "
     "of computing, that of memories of memory"},
    {"memory", "operand buffers, global SRAM and DRAM; “with memory” is computing and memory"},
    {"element", "a processing element of the array; with all of them busy, utilization is 100 %"},
    {"utilization", "multiply-adds for each multiplier and cycle of the array; an element has one or several"},
    {"stalls",
     "cycles in which the array waits: for operands (fill), for a shared group-scale unit (scaler) or for memory "
     "(DRAM, SRAM)"},
    {"bound by",
     "the resource that a pass waits for most, or that takes most of its time beside the array; compute where none "
     "takes "
     "a tenth of it"},
    {"EDP", "energy-delay product: energy with memory times time, in joules times seconds"},
    {"SQNR",
     "signal to quantization noise of a convolution’s results against binary64, in dB; more is better, about "
     "6 dB are one bit"},
    {"baseline", "the same array and dataflow with elements of its own format"},
    {"TOPS", "10¹² operations a second, a multiply-add being two"},
    {"operations a byte", "operations for each byte that is read from or written to DRAM"},
    {"test accuracy",
     "share of the test images that a network trained in the format tells right, after its last epoch"},
    {"error bar", "the worst case of the published prices, not a measured spread"}};

std::string row_html(const std::string& name, const std::string& value) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : base::printable_lines(text)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string swatch(std::size_t source) {
  constexpr std::size_t kColours = 8;  // as in page.css and plots.js
  static constexpr const char* kShapes[] = {"●", "■", "▲", "◆"};
  return fmt::format(R"(<i class="swatch f{}" aria-hidden="true">{}</i>)", source % kColours,
                     kShapes[source / kColours % std::size(kShapes)]);
}

std::string summary_html(const std::vector<Evaluation>& evaluations) {
  constexpr std::size_t kMostSentences = 2;
  const std::vector<std::string> sentences = summary_sentences(evaluations);
  std::string html = "<section id=\"summary\" aria-label=\"Summary\">\n";
  if (sentences.size() > kMostSentences) {
    html += fmt::format("<p class=\"sentence\">{}</p>\n<details>\n<summary>A sentence for each format</summary>\n",
                        escaped(lead_of(evaluations, sentences)));
    for (const std::string& sentence : sentences) html += fmt::format("<p>{}</p>\n", escaped(sentence));
    html += "</details>\n";
  } else {
    for (const std::string& sentence : sentences) {
      html += fmt::format("<p class=\"sentence\">{}</p>\n", escaped(sentence));
    }
  }
  return html + tiles_html(evaluations) + "</section>\n";
}

std::string energy_html(const std::vector<Evaluation>& evaluations) {
  const std::vector<SummaryRow> rows = summary_rows(evaluations);
  double end = 0;
  std::vector<double> energies;
  for (const SummaryRow& row : rows) {
    end = std::max(end, row.machine->all_pj.high);
    energies.push_back(row.machine->all_pj.value);
  }
  const EnergyColumn column = energy_column(energies);
  std::string html = "<div class=\"legend\">\n";
  const std::vector<std::size_t> parts = shown_parts(rows);
  for (const std::size_t p : parts) {
    html += fmt::format("<span><i class=\"box p{}\" aria-hidden=\"true\"></i>{}</span>\n", p, kParts[p].name);
  }
  html += "<span><i class=\"whisker\" aria-hidden=\"true\"></i>error bar</span>\n</div>\n<div class=\"bars\">\n";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    html += bar_html(rows[r], parts, end, fmt::format("{} {}", column.cells[r], column.unit));
  }
  return html + "</div>\n";
}

std::string footer_html(const std::vector<Evaluation>& evaluations, const ReportExtras& extras) {
  std::string html = "<h2 id=\"provenance\">Where the figures come from</h2>\n<dl class=\"provenance\">\n";
  html += row_html("report", "mlsim " MLSIM_VERSION);
  if (!extras.command.empty()) html += row_html("command", extras.command);
  const energy::CostTable& table = evaluations.front().table();
  html += row_html("prices", fmt::format("{}, hash {}", table.name, evaluation::hash_text(table.content_hash)) +
                                 (table.file.empty() ? "" : " (of " + table.file.string() + ")"));
  for (const Evaluation& evaluated : evaluations) {
    const std::optional<evaluation::Provenance>& provenance = evaluated.results().provenance;
    html += row_html(evaluated.source().file, provenance ? provenance_text(*provenance) : "does not say from what");
  }
  html += "</dl>\n<h2 id=\"glossary\">Glossary</h2>\n<dl class=\"glossary\">\n";
  for (const auto& [word, meaning] : kGlossary) html += row_html(word, meaning);
  return html + "</dl>\n";
}

}  // namespace mlsim::app
