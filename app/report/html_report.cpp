#include "app/report/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <set>
#include <string_view>

#include "app/report/cells.h"
#include "app/report/page_parts.h"
#include "app/report/report.h"
#include "app/report/report_tables.h"
#include "app/report/summary.h"
#include "app/report/sweep_report.h"
#include "app/report/table_columns.h"
#include "base/json.h"
#include "base/terminal.h"

// app/report/html/assets.S
extern "C" {
extern const char kMlsimHtmlPage[];
extern const char kMlsimHtmlStyle[];
extern const char kMlsimHtmlTables[];
extern const char kMlsimHtmlPlots[];
extern const char kMlsimHtmlVega[];
extern const char kMlsimHtmlVegaLite[];
extern const char kMlsimHtmlVegaEmbed[];
extern const char kMlsimHtmlLicences[];
}

namespace mlsim::app {
namespace {

using evaluation::count_text;
using evaluation::decibels_text;
using evaluation::overflows_text;
using evaluation::picojoules_each;
using Json = nlohmann::ordered_json;

// JSON inside <script>: without a '<' nothing in it can end the element.
std::string script_data(const Json& json) {
  std::string result;
  for (const char c : base::to_text(json)) {
    if (c == '<') {
      result += "\\u003c";
    } else {
      result += c;
    }
  }
  return result;
}

// A script without the line that names a file for debuggers, which is not in the page.
std::string_view without_source_map(std::string_view script) {
  const std::size_t line = script.rfind("//# sourceMappingURL=");
  return line == std::string_view::npos ? script : script.substr(0, line);
}

// `text` with each {{name}} replaced; what is put in is not looked at again.
std::string filled(std::string_view text, const std::map<std::string_view, std::string_view>& values) {
  std::string result;
  while (true) {
    const std::size_t begin = text.find("{{");
    result += text.substr(0, begin);
    if (begin == std::string_view::npos) return result;
    const std::size_t end = text.find("}}", begin);
    assert(end != std::string_view::npos);
    result += values.at(text.substr(begin + 2, end - begin - 2));
    text.remove_prefix(end + 2);
  }
}

// Whether a table needs the page's whole width.
bool is_wide(const ReportTable& table) {
  constexpr std::size_t kCharacters = 80;  // of half the page
  constexpr std::size_t kNarrowest = 5;    // of a column, with what surrounds it
  constexpr std::size_t kPadding = 3;
  std::size_t sum = 0;
  for (std::size_t i = 0; i < table.head.size(); ++i) {
    std::size_t widest = kNarrowest;
    for (const auto& row : table.rows) widest = std::max(widest, row[i].size());
    // Headings are broken at spaces.
    for (std::size_t begin = 0, end = 0; begin < table.head[i].size(); begin = end + 1) {
      end = std::min(table.head[i].find(' ', begin), table.head[i].size());
      widest = std::max(widest, end - begin);
    }
    sum += widest + kPadding;
  }
  return sum > kCharacters;
}

// A cell of figures. An error bar in the overview has a line of its own.
std::string figure_cell(const ReportTable& table, const std::string& text) {
  const std::size_t bar = table.id == "overview" ? text.find(" (") : std::string::npos;
  if (bar == std::string::npos) return fmt::format("<td>{}</td>", escaped(text));
  return fmt::format("<td>{}<small> {}</small></td>", escaped(text.substr(0, bar)), escaped(text.substr(bar + 1)));
}

// A table that scrolls by itself where it is too wide. `owner` is HTML that tells whose it is, where there are several.
std::string to_html(const ReportTable& table, const std::string& id, const std::string& owner) {
  std::string html = fmt::format(
      "<div class=\"scroll{1}\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{0}\">\n<table{2}>\n<caption "
      "id=\"{0}\"><span>{3}",
      id, is_wide(table) ? " wide" : "", table.grouped ? " class=\"paged\"" : "", owner);
  html += escaped(table.title) + "</span></caption>\n<thead><tr>";
  for (std::size_t i = 0; i < table.head.size(); ++i) {
    const char* const kind = i == 0 ? R"( class="name stick")" : i < table.text_columns ? R"( class="name")" : "";
    html += fmt::format(R"(<th scope="col"{}>{}{}</th>)", kind, i > 0 && table.id == "overview" ? swatch(i - 1) : "",
                        escaped(table.head[i]));
  }
  html += "</tr></thead>\n";
  if (!table.grouped) html += "<tbody>\n";
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const auto& row = table.rows[r];
    std::size_t first = 0;
    const bool group_begins = table.grouped && (r == 0 || table.rows[r - 1][0] != row[0]);
    if (group_begins) html += r == 0 ? "<tbody>\n" : "</tbody>\n<tbody>\n";
    html += "<tr>";
    if (table.grouped) {
      first = 1;
      if (group_begins) {
        const auto end = std::find_if(table.rows.begin() + static_cast<std::ptrdiff_t>(r), table.rows.end(),
                                      [&](const auto& other) { return other[0] != row[0]; });
        html += fmt::format(R"(<th scope="rowgroup" class="name stick" rowspan="{}">{}</th>)",
                            end - table.rows.begin() - static_cast<std::ptrdiff_t>(r), escaped(row[0]));
      }
    }
    for (std::size_t i = first; i < row.size(); ++i) {
      html += i >= table.text_columns
                  ? figure_cell(table, row[i])
                  : fmt::format(R"(<th scope="row" class="name{}">{}</th>)", i == 0 ? " stick" : "", escaped(row[i]));
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n</div>\n";
}

// What belongs together among what is folded: a plot and the tables that have its figures.
struct Topic {
  const char* id;
  const char* title;
  const char* text;
  std::vector<std::string> tables;
  bool plotted = true;
};

const std::vector<Topic>& topics() {
  static const std::vector<Topic> all = {
      {"ratios",
       "Ratios, with error bars and by cost table",
       "“Operations only” counts multiplications, exponent additions, shifts and accumulations, for floats "
       "multiplications and additions; this is what publications quote. “With everything but memory” has registers, "
       "group scaling, conversion, the scaling of results by the tensors’ scales and dynamic quantization too. A ratio "
       "such as fp32 / says how many times the energy that baseline takes. Error bars take the worst case of the "
       "published prices.",
       {"ranges", "table-ranges", "energy-operations", "energy-computing", "energy-memory"},
       false},
      {"machines",
       "Machines compared",
       "Each baseline on the same dataflow: with as many elements, with the area of this format’s machine, and with "
       "its throughput. Clocks are equal; a multiply-add is two operations.",
       {"machines", "equal", "step-machines", "step"},
       false},
      {"zero-operands",
       "Zeros",
       "A product of a zero switches little, and nothing where elements are held still for it (zero gating). The "
       "figures elsewhere on this page are for the operands that are named with the results.",
       {"zeros", "activity", "toggles"},
       false},
      {"operations",
       "Energy by operation and pass",
       "Every joule has one name: the operations proper, what surrounds them, and memory.",
       {"operations"}},
      {"error",
       "Error by layer",
       "Signal to quantization noise of each convolution’s results against binary64, measured on the tensors of the "
       "workload; each baseline quantized the same tensors. More is better; about 6 dB are one bit. What is far beyond "
       "every format stands at the plot’s right edge.",
       {"errors"}},
      {"cycles",
       "Cycles and stalls",
       "Fill stalls wait for operands, scaler stalls for a shared group-scale unit, DRAM and SRAM stalls for memory; "
       "all are parts of the array’s "
       "cycles. The quantizer runs after the array.",
       {"work", "sharing"}},
      {"blocks",
       "Area",
       "A baseline has as many elements, and buffers of as many elements. Memories are an estimate, no area of theirs "
       "is published.",
       {"area"}},
      {"by-layer",
       "Energy by layer",
       "Energy of each layer and pass, and what they ask of DRAM.",
       {"layers", "roofline"}},
  };
  return all;
}

std::string figure_html(const char* plot, const char* title) {
  return fmt::format("<figure class=\"plot\" data-plot=\"{}\" aria-label=\"{}, plotted\"></figure>\n", plot, title);
}

std::string tables_html(const std::string& tables) {
  return fmt::format("<div class=\"tables\">\n{}</div>\n", tables);
}

// Those of one source.
std::string topic_tables(const Topic& topic, const std::vector<ReportSection>& sections, std::size_t source) {
  std::string tables;
  for (const std::string& id : topic.tables) {
    for (const ReportTable& table : sections[source].tables) {
      if (table.id != id) continue;
      const std::string owner = fmt::format("{}<b>{}</b> ", swatch(source), escaped(sections[source].label));
      tables += to_html(table, fmt::format("{}-{}", id, source + 1), sections.size() > 1 ? owner : "");
    }
  }
  return tables;
}

std::string topic_html(const Topic& topic, const std::vector<ReportSection>& sections) {
  std::string choices;
  for (std::size_t s = 0; s < sections.size(); ++s) {
    const std::string tables = topic_tables(topic, sections, s);
    if (tables.empty()) continue;
    choices += fmt::format("<div class=\"choice\" data-name=\"{}\">\n{}</div>\n", escaped(sections[s].label),
                           tables_html(tables));
  }
  if (choices.empty()) return "";
  const std::string plot = topic.plotted ? figure_html(topic.id, topic.title) : "";
  return fmt::format(
      "<details id=\"{0}\">\n<summary>{1}</summary>\n<p>{2}</p>\n{3}<div class=\"choices\" data-label=\"Format\">\n{4}"
      "</div>\n</details>\n",
      topic.id, topic.title, topic.text, plot, choices);
}

ReportTable sweep_table(const nlohmann::json& sweep) {
  ReportTable table{"sweep", "Points of the sweep, all passes of all layers; pJ are for a multiply-add"};
  table.head = {"format",          "front",  "accumulator", "array",    "operations, pJ", "computing, pJ",
                "with memory, pJ", "cycles", "area, mm²",   "SQNR, dB", "overflows"};
  table.text_columns = 2;
  const auto front = sweep["front"].get<std::vector<std::string>>();
  const bool has_delay = std::find(front.begin(), front.end(), "edp") != front.end();
  std::vector<double> delays;  // pJ·s
  for (const nlohmann::json& point : sweep["points"]) {
    table.rows.push_back(
        {point["format"].get<std::string>(), point["pareto"].get<bool>() ? "Pareto" : "",
         point["accumulator_bits"].is_null() ? "-" : fmt::format("{} bits", point["accumulator_bits"].get<int>()),
         fmt::format(
             "{}{} x {}{} / {}", point.value("dataflow", "") == "weight-stationary" ? "WS " : "",
             point["rows"].get<int>(), point["columns"].get<int>(),
             point.value("taps_per_cycle", 1) > 1 ? fmt::format(" x {}", point["taps_per_cycle"].get<int>()) : "",
             point["elements_per_scaler"].get<int>()),
         picojoules_each(point, "operations_only_pj"), picojoules_each(point, "computing_pj"),
         picojoules_each(point, "with_memory_pj"), count_text(point["cycles"]),
         point["area_um2"].is_null() ? "-" : fmt::format("{:.4f}", point["area_um2"].get<double>() / 1e6),
         decibels_text(point["mean_sqnr_db"]), overflows_text(point["passes"])});
    if (has_delay) delays.push_back(1e12 * point["energy_delay_js"].get<double>());
  }
  if (!has_delay) return table;
  const EnergyColumn column = energy_column(delays);
  table.head.push_back(fmt::format("EDP, {}·s", column.unit));
  for (std::size_t r = 0; r < delays.size(); ++r) table.rows[r].push_back(column.cells[r]);
  return table;
}

std::string facts_html(const std::vector<ReportSection>& sections) {
  std::string html = "<div class=\"sources\">\n";
  for (const ReportSection& section : sections) {
    html += fmt::format("<div>\n<h3>{}</h3>\n<dl>\n", escaped(section.title));
    for (const auto& [name, value] : section.facts) {
      html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
    }
    html += "</dl>\n</div>\n";
  }
  return html + "</div>\n";
}

// Of a report what the plots show: without the operations and the baselines of each layer, which are most of it.
Json plotted(Json report) {
  for (Json& result : report["results"]) {
    for (const char* key : {"activities", "machines", "sharing", "table_range", "training_step"}) result.erase(key);
    for (Json& layer : result["layers"]) {
      for (Json& pass : layer["passes"]) {
        pass.erase("baselines");
        pass["energy"].erase("operations");
      }
    }
  }
  return report;
}

// What the plots are drawn from.
Json page_data(const std::vector<evaluation::Evaluation>& evaluations, const std::optional<SweepSource>& sweep,
               const Accuracies& accuracies) {
  Json data = Json::object();
  data["report"] = plotted(json_report(evaluations));
  data["labels"] = labels_of(evaluations);
  data["sweep"] = sweep ? Json(sweep->document) : Json();
  data["machines"] = Json::array();
  for (const SummaryRow& row : summary_rows(evaluations)) {
    std::optional<evaluation::TestAccuracy> accuracy;
    if (row.source) {
      accuracy = accuracies.sources[*row.source];
    } else if (const auto found = accuracies.baselines.find(row.machine->baseline);
               found != accuracies.baselines.end()) {
      accuracy = found->second;
    }
    Json& machine = data["machines"].emplace_back();
    machine["name"] = row.name;
    machine["source"] = row.source ? Json(*row.source) : Json();
    machine["pj"] = evaluation::number_or_null(row.machine->pj_each_with_memory);
    machine["db"] = evaluation::decibels_to_json(row.machine->sqnr_db);
    if (accuracy) {
      machine["accuracy"] = {
          {"mean", accuracy->mean}, {"low", accuracy->low}, {"high", accuracy->high}, {"runs", accuracy->runs.size()}};
    }
  }
  return data;
}

// The questions of an architect, in order, and what leads to them.
struct Body {
  std::string navigation;
  std::string html;

  void add(const char* id, const char* title, const std::string& text, const std::string& content) {
    navigation += fmt::format("<a href=\"#{}\">{}</a>\n", id, title);
    html += fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n<p>{}</p>\n{}</section>\n", id, title, text, content);
  }
};

ReportTable accuracy_table(const Json& machines) {
  ReportTable table{"accuracy", "Test accuracy, %, after the last epoch; the range is that of the runs"};
  table.head = {"machine", "runs", "mean", "lowest", "highest"};
  const auto cell = [](const Json& value) { return fmt::format("{:.2f}", 100 * value.get<double>()); };
  for (const Json& machine : machines) {
    if (!machine.contains("accuracy")) continue;
    const Json& accuracy = machine["accuracy"];
    table.rows.push_back({machine["name"].get<std::string>(), accuracy["runs"].dump(), cell(accuracy["mean"]),
                          cell(accuracy["low"]), cell(accuracy["high"])});
  }
  return table;
}

void add_tradeoffs(Body& body, const Json& machines) {
  const auto is_measured = [](const Json& machine) {
    return machine["source"].is_number() && !machine["db"].is_null();
  };
  if (std::any_of(machines.begin(), machines.end(), is_measured)) {
    body.add(
        "tradeoff", "Energy against error",
        "Mean SQNR over layers and passes, and energy with memory of a multiply-add. Formats have their colours, "
        "baselines are hollow. What is far more exact than every format stands at the upper edge, with its figure.",
        figure_html("tradeoff", "Energy against error"));
  }
  const ReportTable table = accuracy_table(machines);
  if (!table.rows.empty()) {
    body.add("accuracy", "Energy against test accuracy",
             "Test accuracy of networks trained in each format, and energy with memory of a multiply-add.",
             figure_html("accuracy", "Energy against test accuracy") + tables_html(to_html(table, "accuracy-1", "")));
  }
}

// What of a large sweep is shown; nothing where all of it is.
std::string thinning_text(const SweepSource& sweep) {
  const std::size_t shown = sweep.document["points"].size();
  if (shown >= sweep.points) return "";
  const std::size_t front = std::min(shown, sweep.front);
  const std::string others =
      shown > front ? fmt::format(" and {} of the others", shown - front) : " and none of the others";
  return fmt::format(" Shown are {} of the file’s {} points: {} of the {} on the front{}, drawn at random.", shown,
                     sweep.points, front == sweep.front ? "all" : std::to_string(front), sweep.front, others);
}

void add_sweep(Body& body, const SweepSource& sweep) {
  const nlohmann::json& points = sweep.document["points"];
  const auto front = sweep.document["front"].get<std::vector<std::string>>();
  const bool is_of_error = std::find(front.begin(), front.end(), "error") != front.end();
  // A sweep without values has no errors, one without errors no decibels, and one without multiply-adds no energy of
  // one, so there is nothing to plot.
  const bool has_plot = std::any_of(points.begin(), points.end(), [&](const auto& point) {
    return (point["mean_sqnr_db"].is_number() || !is_of_error) && point["multiply_adds"].template get<double>() > 0;
  });
  body.add("sweep", "Sweep",
           fmt::format("{}: {}. Each point is a format on an array. On the Pareto front no other point is at least as "
                       "good in {} and better in one of them.{}",
                       escaped(sweep.file), escaped(sweep.document["workload"].get_ref<const std::string&>()),
                       front_text(front), thinning_text(sweep)),
           (has_plot ? figure_html("sweep", "Sweep") : "") +
               tables_html(to_html(sweep_table(sweep.document), "sweep-1", "")));
}

// What the passes of each source ask of DRAM.
ReportTable bandwidth_table(const std::vector<evaluation::Evaluation>& evaluations) {
  ReportTable table{"bandwidth", "What passes ask of DRAM, and how many would wait for it"};
  const std::vector<std::string> labels = labels_of(evaluations);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < evaluations.size(); ++i) places.push_back(i);
  TableColumns columns(table, places);
  columns.texts("format", [&](std::size_t i) { return labels[i]; });
  columns.texts("passes", [&](std::size_t i) { return std::to_string(evaluations[i].passes().size()); });
  columns.numbers("the most that one asks, GB/s", [&](std::size_t i) {
    double most = 0;
    for (const evaluation::PassFigures& pass : evaluations[i].passes()) {
      most = std::max(most, pass.needed_gigabytes_per_second.value_or(0));
    }
    return most;
  });
  for (const evaluation::Bandwidth& memory : evaluation::example_bandwidths()) {
    columns.texts("would wait for " + memory.name, [&](std::size_t i) {
      return std::to_string(evaluation::waiting_passes(evaluations[i].passes(), memory));
    });
  }
  return table;
}

// What the slanted lines of the roofline are: the machines' own memories, or else such as they may have.
std::string bandwidths_text(const std::vector<evaluation::Evaluation>& evaluations) {
  std::set<std::string> own;
  for (const evaluation::Evaluation& evaluated : evaluations) {
    if (const auto memory = evaluation::own_bandwidth(evaluated.results().array)) {
      own.insert(fmt::format("{} ({:g} GB/s)", memory->name, memory->gigabytes_per_second));
    }
  }
  if (!own.empty()) return fmt::format("the slanted line is what its memory lets it do: {}.", fmt::join(own, " and "));
  std::vector<std::string> said;
  for (const evaluation::Bandwidth& memory : evaluation::example_bandwidths()) {
    said.push_back(fmt::format("{} ({:g} GB/s: {})", memory.name, memory.gigabytes_per_second, memory.source));
  }
  return fmt::format(
      "the slanted lines are what two memories would let it do: {}. A dot above such a line would wait "
      "for that memory.",
      fmt::join(said, " and "));
}

Body body_of(const std::vector<evaluation::Evaluation>& evaluations, const std::optional<SweepSource>& sweep,
             const Json& machines) {
  Body body;
  body.add("energy", "Energy with memory",
           "All passes of all layers on each machine. A baseline is the same array and dataflow with elements of its "
           "own format. The error bar is the worst case of the published prices.",
           energy_html(evaluations));
  body.add(
      "roofline", "Roofline",
      fmt::format("Each layer and pass: operations for a byte of DRAM traffic, and how fast they are done. An array "
                  "waits for DRAM only where its file limits it; {}",
                  escaped(bandwidths_text(evaluations))),
      figure_html("roofline", "Roofline") + tables_html(to_html(bandwidth_table(evaluations), "bandwidth-1", "")));
  body.add("layers", "Layers and passes",
           "The redder, the more energy, idle elements, stalls or error. <span class=\"screen\">A click on a heading "
           "sorts.</span>",
           heat_map_html(evaluations));
  add_tradeoffs(body, machines);
  body.add("overview", "Formats side by side",
           "What each format takes; a row such as fp32 / this format says how many times that the baseline takes.",
           tables_html(to_html(overview_table(evaluations), "overview-1", "")));
  if (sweep) add_sweep(body, *sweep);
  return body;
}

}  // namespace

std::string html_report(const std::vector<evaluation::Evaluation>& evaluations, const ReportExtras& extras) {
  const std::vector<ReportSection> sections = report_sections(evaluations);
  std::set<std::string> workloads;
  for (const evaluation::Evaluation& evaluated : evaluations) workloads.insert(evaluated.results().workload);
  const std::string title = fmt::format("mlsim report: {}", escaped(fmt::format("{}", fmt::join(workloads, ", "))));
  const Json data = page_data(evaluations, extras.sweep, load_accuracies(extras.accuracies, evaluations));
  const Body body = body_of(evaluations, extras.sweep, data["machines"]);
  std::string details;
  for (const Topic& topic : topics()) details += topic_html(topic, sections);
  std::string notes;
  for (const std::string& note : report_notes(evaluations)) notes += fmt::format("<li>{}</li>\n", escaped(note));

  const std::string summary = summary_html(evaluations);
  const std::string facts = facts_html(sections);
  const std::string footer = footer_html(evaluations, extras);
  const std::string data_text = script_data(data);
  const std::string licences = escaped(kMlsimHtmlLicences);
  return filled(kMlsimHtmlPage, {{"title", title},
                                 {"style", kMlsimHtmlStyle},
                                 {"summary", summary},
                                 {"navigation", body.navigation},
                                 {"body", body.html},
                                 {"facts", facts},
                                 {"details", details},
                                 {"notes", notes},
                                 {"footer", footer},
                                 {"licences", licences},
                                 {"data", data_text},
                                 {"vega", without_source_map(kMlsimHtmlVega)},
                                 {"vega-lite", without_source_map(kMlsimHtmlVegaLite)},
                                 {"vega-embed", without_source_map(kMlsimHtmlVegaEmbed)},
                                 {"tables", kMlsimHtmlTables},
                                 {"plots", kMlsimHtmlPlots}});
}

}  // namespace mlsim::app
