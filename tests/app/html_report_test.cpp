// The page as a document: what is in it, that nothing is outside it, and that no name can break it.
#include "app/report/html_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "app/report/report.h"
#include "app/report/report_tables.h"
#include "app/report/sweep_reader.h"
#include "energy/cost_table.h"
#include "tests/support/temporary_folder.h"

namespace mlsim::app {
namespace {

using evaluation::Evaluation;
using evaluation::LayerRecord;
using evaluation::load_results;
using evaluation::PassRecord;
using evaluation::Source;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kHostile = "</script><b>x</b> & \"q\" <!-- {{data}} | *";
constexpr const char* kHostileEscaped = "&lt;/script&gt;&lt;b&gt;x&lt;/b&gt; &amp; &quot;q&quot; &lt;!-- {{data}} | *";

class HtmlReport : public testing::Test {
 protected:
  static Source shipped(const std::string& format) {
    const std::string file = MLSIM_SOURCE_DIR "/results/shipped-trace/" + format + ".json";
    return {format + ".json", load_results(file)};
  }

  static json sweep_point(const std::string& format, const json& sqnr, bool pareto) {
    return {{"activation", format},
            {"weight", format},
            {"error", format},
            {"array", "default"},
            {"rows", 16},
            {"columns", 16},
            {"elements_per_scaler", 8},
            {"accumulator_bits", 25},
            {"multiply_adds", 1000},
            {"cycles", 40},
            {"operations_only_pj", 225.0},
            {"computing_pj", 631.0},
            {"memory_pj", 9000.0},
            {"area_um2", 3.7e6},
            {"mean_sqnr_db", sqnr},
            {"passes", {{"forward", {{"overflows", 3}}}, {"backward_data", {{"overflows", 4}}}}},
            {"pareto", pareto}};
  }
  static json small_sweep() {
    return {{"schema", "mlsim.sweep/1"},
            {"workload", "w"},
            {"points", {sweep_point("e2m4/g8m1/nc", 38.25, true), sweep_point("e9m9/odd", nullptr, false)}}};
  }

  std::vector<Evaluation> evaluated(const std::vector<Source>& sources) const {
    std::vector<Evaluation> evaluations;
    for (const Source& source : sources) evaluations.emplace_back(source, laws_);
    return evaluations;
  }

  std::string page(const std::vector<Source>& sources, const std::optional<SweepSource>& sweep = {}) const {
    ReportExtras extras;
    extras.sweep = sweep;
    return html_report(evaluated(sources), extras);
  }

  energy::Laws laws_{energy::find_cost_table(std::string(energy::kDefaultCostTable))};
};

// The page's tags; the contents of scripts and styles are left out.
std::vector<std::string> tags_of(const std::string& page) {
  std::vector<std::string> tags;
  std::size_t at = 0;
  while ((at = page.find('<', at)) != std::string::npos) {
    const std::size_t end = page.find('>', at);
    tags.push_back(page.substr(at, end - at + 1));
    at = end;
    for (const std::string raw : {"script", "style"}) {
      if (tags.back().starts_with("<" + raw)) at = page.find("</" + raw, at);
    }
  }
  return tags;
}

std::string name_of(const std::string& tag) {
  const std::size_t begin = tag[1] == '/' ? 2 : 1;
  return tag.substr(begin, tag.find_first_of(" >", begin) - begin);
}

void expect_balanced(const std::string& page) {
  std::vector<std::string> open;
  for (const std::string& tag : tags_of(page)) {
    const std::string name = name_of(tag);
    if (name == "!DOCTYPE" || name == "meta" || name == "link") continue;
    if (tag[1] != '/') {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << tag;
    ASSERT_EQ(open.back(), name);
    open.pop_back();
  }
  EXPECT_THAT(open, testing::IsEmpty());
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

json data_of(const std::string& page) {
  const std::string begin = R"(<script type="application/json" id="data">)";
  const std::size_t at = page.find(begin) + begin.size();
  return json::parse(page.substr(at, page.find("</script>", at) - at));
}

TEST_F(HtmlReport, HasEveryFigureOfTheText) {
  const std::vector<Source> sources{shipped("e2m4"), shipped("e2m1")};
  const std::string html = page(sources);
  expect_balanced(html);
  std::ptrdiff_t tables = 0;
  for (const ReportSection& section : report_sections(evaluated(sources))) {
    for (const ReportTable& table : section.tables) {
      ++tables;
      EXPECT_THAT(html, HasSubstr("<b>" + section.label + "</b> " + table.title));
      for (const auto& row : table.rows) {
        std::string cells;
        for (std::size_t i = table.text_columns; i < row.size(); ++i) cells += "<td>" + row[i] + "</td>";
        EXPECT_THAT(html, HasSubstr(row[table.text_columns - 1] + "</th>" + cells + "</tr>"));
      }
    }
  }
  const std::vector<std::string> tags = tags_of(html);
  constexpr std::ptrdiff_t kOfThePage = 4;  // two maps, what DRAM is asked for, the overview
  EXPECT_EQ(
      std::count_if(tags.begin(), tags.end(), [](const auto& tag) { return name_of(tag) == "table" && tag[1] != '/'; }),
      tables + kOfThePage);
  EXPECT_EQ(occurrences(html, "<caption id="), static_cast<std::size_t>(tables + kOfThePage));
  EXPECT_THAT(html, Not(HasSubstr("<th>"))) << "every heading has a scope";
  for (const std::string& note : report_notes(evaluated(sources)))
    EXPECT_THAT(html, HasSubstr(note.substr(note.rfind('"') + 1)));
  const json report = json_report(evaluated(sources));
  const json plotted = data_of(html)["report"]["results"];
  ASSERT_EQ(plotted.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const json& expected = report["results"][i];
    for (const char* key : {"totals", "area_um2", "baseline_area_um2", "roofline"}) {
      EXPECT_EQ(plotted[i][key], expected[key]);
    }
    EXPECT_EQ(plotted[i]["layers"][0]["passes"]["forward"]["tops"], expected["layers"][0]["passes"]["forward"]["tops"]);
  }
  EXPECT_EQ(data_of(html)["labels"], json({"e2m4/g8m1/nc", "e2m1/g8m1/nc"}));
}

TEST_F(HtmlReport, AnswersQuestionsInTheirOrder) {
  const std::string html = page({shipped("e2m4"), shipped("e2m1")}, parse_sweep(small_sweep().dump(), "s.json"));
  std::size_t at = 0;
  for (const char* id : {"summary", "energy", "roofline", "layers", "tradeoff", "overview", "sweep", "details", "notes",
                         "provenance", "glossary"}) {
    const std::size_t next = html.find(std::string("id=\"") + id + "\"");
    ASSERT_NE(next, std::string::npos) << id;
    EXPECT_GT(next, at) << id;
    at = next;
  }
  EXPECT_EQ(occurrences(html, "<div class=\"tile\">"), 5U);
  EXPECT_THAT(html,
              HasSubstr("<h3>Energy with memory, mJ</h3>\n<dl>\n<dt><i class=\"swatch f0\" aria-hidden=\"true\">●</i>"
                        "e2m4/g8m1/nc</dt><dd>1.25</dd>\n<dt><i class=\"swatch f1\" aria-hidden=\"true\">●</i>"
                        "e2m1/g8m1/nc</dt><dd>1.00</dd>"));
  EXPECT_THAT(html, HasSubstr("<p class=\"sentence\">e2m1/g8m1/nc takes 1.00 mJ with memory"));
  const std::vector<std::string> tags = tags_of(html);
  EXPECT_EQ(std::count_if(tags.begin(), tags.end(), [](const auto& tag) { return tag.starts_with("<details open"); }),
            0);
  EXPECT_GT(html.find("id=\"ranges-1\""), html.find("<details id=\"ratios\"")) << "folded";
}

TEST_F(HtmlReport, StacksTheEnergyOfEachMachine) {
  const std::vector<Source> sources{shipped("e2m4"), shipped("e2m1")};
  const std::string html = page(sources);
  EXPECT_EQ(occurrences(html, "<div class=\"bar-row\">"), 2U);
  EXPECT_EQ(occurrences(html, "<div class=\"bar-row baseline\">"), 6U);
  const std::size_t row = html.find("<div class=\"bar-row\">");
  const std::string first = html.substr(row, html.find("</b>", row) - row);
  const std::regex width(R"(<span class="p[0-4]" style="width:([0-9.]+)%)");
  double sum = 0;
  int parts = 0;
  for (std::sregex_iterator match(first.begin(), first.end(), width), end; match != end; ++match, ++parts) {
    sum += std::stod((*match)[1]);
  }
  EXPECT_EQ(parts, 5);
  const std::vector<Evaluation> evaluations = evaluated(sources);
  double most = 0;
  for (const auto& machine : evaluations[0].machines()) most = std::max(most, machine.all_pj.high);
  EXPECT_NEAR(sum, 100 * evaluations[0].machines()[0].all_pj.value / most, 0.01);
  EXPECT_THAT(html, HasSubstr("<div class=\"bar-value\">1.25 mJ</div>"));
  EXPECT_THAT(html, HasSubstr("<div class=\"bar-value\">1.00 mJ</div>"));
}

TEST_F(HtmlReport, MapsLayersAndNamesWhatStandsOut) {
  const std::string html = page({shipped("e2m4")});
  EXPECT_THAT(html,
              HasSubstr("<p class=\"spots\">Most energy: <b>layer1.0.conv1</b> backward_data (9.1 % of all); lowest "
                        "utilization: <b>layer3.0.conv1</b> backward_data (25.8 %); most stalls: "
                        "<b>layer3.0.conv1</b> backward_data (71.9 % of its cycles); largest error: "
                        "<b>layer1.2.conv2</b> backward_data (30.9 dB SQNR).</p>"));
  EXPECT_EQ(occurrences(html, "class=\"spot\""), 4U);
  EXPECT_THAT(html, HasSubstr("<th scope=\"colgroup\" class=\"group\" colspan=\"5\">backward_weight</th>"));
  // Stalls by cause, and what bounds the pass.
  EXPECT_THAT(html, HasSubstr(">72 %<small>scaler 72 %</small></td><td data-order=\"2\">scaler</td>"));
  Source forward = shipped("e2m4");
  forward.results.layers.resize(2);
  forward.results.layers[0].passes.resize(1);
  const std::string fewer = page({forward});
  expect_balanced(fewer);
  EXPECT_THAT(fewer, HasSubstr("<td></td><td></td><td></td><td></td><td></td>")) << "a pass that a layer does not have";
}

TEST_F(HtmlReport, SaysOfManyFormatsWhatStandsOutAndTellsThemApart) {
  std::vector<Source> sources;
  for (int i = 0; i < 9; ++i) {
    sources.push_back(shipped(i == 4 ? "e2m1" : "e2m4"));
    sources.back().file = std::to_string(i) + ".json";
  }
  const std::string html = page(sources);
  expect_balanced(html);
  EXPECT_THAT(html, HasSubstr("<p class=\"sentence\">Of 9 formats e2m1/g8m1/nc takes the least energy with memory and "
                              "e2m4/g8m1/nc (0.json) has the smallest error (38.2 dB SQNR). "));
  EXPECT_EQ(occurrences(html, "<p class=\"sentence\">"), 1U);
  EXPECT_THAT(html, HasSubstr("<i class=\"swatch f0\" aria-hidden=\"true\">●</i>e2m4/g8m1/nc (0.json)"));
  EXPECT_THAT(html, HasSubstr("<i class=\"swatch f0\" aria-hidden=\"true\">■</i>e2m4/g8m1/nc (8.json)"));
}

TEST_F(HtmlReport, SaysWhereItsFiguresComeFrom) {
  ReportExtras extras;
  extras.command = "mlsim report e2m4.json --format html";
  Source old = shipped("e2m1");
  old.results.provenance.reset();
  const std::string html = html_report(evaluated({shipped("e2m4"), old}), extras);
  EXPECT_THAT(html, HasSubstr("<dt>report</dt><dd>mlsim " MLSIM_VERSION "</dd>"));
  EXPECT_THAT(html, HasSubstr("<dt>command</dt><dd>mlsim report e2m4.json --format html</dd>"));
  EXPECT_THAT(html, testing::ContainsRegex("<dt>prices</dt><dd>horowitz-45nm, hash [0-9a-f]{16}</dd>"));
  EXPECT_THAT(html,
              testing::ContainsRegex("<dt>e2m4.json</dt><dd>mlsim [0-9.]+, seed 1, step 2000; workload [0-9a-f]{16}, "
                                     "tensors [0-9a-f]{16}, array [0-9a-f]{16}</dd>"));
  EXPECT_THAT(html, HasSubstr("<dt>e2m1.json</dt><dd>does not say from what</dd>"));
  EXPECT_THAT(page({shipped("e2m4")}), Not(HasSubstr("<dt>command</dt>")));
}

TEST_F(HtmlReport, ShowsTestAccuracies) {
  const test::TemporaryFolder folder;
  const auto run = [&](const char* name, const char* accuracy) {
    return folder.write(name, std::string("{\"test_accuracy\":0.5}\n{\"test_accuracy\":") + accuracy + "}\n").string();
  };
  ReportExtras extras;
  extras.accuracies = {
      {"e2m1", run("1.jsonl", "0.9")}, {"e2m1", run("2.jsonl", "0.92")}, {"fp32", run("3.jsonl", "0.93")}};
  const std::vector<Source> sources{shipped("e2m4"), shipped("e2m1")};
  const std::string html = html_report(evaluated(sources), extras);
  expect_balanced(html);
  EXPECT_THAT(html, HasSubstr("data-plot=\"accuracy\""));
  EXPECT_THAT(html, HasSubstr(">e2m1/g8m1/nc</th><td>2</td><td>91.00</td><td>90.00</td><td>92.00</td></tr>"));
  EXPECT_THAT(html, HasSubstr(">fp32</th><td>1</td><td>93.00</td><td>93.00</td><td>93.00</td></tr>"));
  const json data = data_of(html);
  for (const json& machine : data["machines"]) {
    EXPECT_EQ(machine.contains("accuracy"), machine["name"] == "e2m1/g8m1/nc" || machine["name"] == "fp32") << machine;
  }
}

TEST_F(HtmlReport, RefusesAccuraciesOfNoMachine) {
  Source other = shipped("e2m4");
  for (LayerRecord& layer : other.results.layers) {
    for (models::Format& format : layer.formats.values) format = models::parse_format("e2m4/g8m1/n");
  }
  const std::vector<Evaluation> evaluations = evaluated({shipped("e2m4"), other});
  const auto refused = [&](const std::string& name, const std::string& sentence) {
    EXPECT_EQ(test::error_of([&] { load_accuracies({{name, "none.jsonl"}}, evaluations); }), sentence);
  };
  refused("e9",
          "--accuracy: 'e9' is no machine of this report, expected one of e2m4/g8m1/nc, e2m4/g8m1/n, fp32, fp16, "
          "bf16, fp8, int8, fp8-acc16");
  refused("e2m4", "--accuracy: 'e2m4' stands for e2m4/g8m1/nc and for e2m4/g8m1/n, expected one of them in full");
  EXPECT_THAT(test::error_of([&] {
                load_accuracies({{"e2m4/g8m1/n", "none.jsonl"}}, evaluations);
              }),
              HasSubstr("none.jsonl: cannot be read"));
  EXPECT_EQ(test::error_of([] { parse_named_metrics("e2m1"); }),
            "is 'e2m1', expected NAME=FILE, such as e2m1=run.jsonl");
  EXPECT_EQ(test::error_of([] { parse_named_metrics("=x"); }), "is '=x', expected NAME=FILE, such as e2m1=run.jsonl");
  EXPECT_EQ(parse_named_metrics("a=b=c").file, "b=c");
}

TEST_F(HtmlReport, NothingIsOutsideThePage) {
  const std::string html = page({shipped("e2m4")}, parse_sweep(small_sweep().dump(), "s.json"));
  EXPECT_THAT(html, HasSubstr("content=\"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                              "img-src data:;"));
  const std::regex reference("(src|href|srcset|action|poster|data)=\"([^\"]*)\"");
  for (const std::string& tag : tags_of(html)) {
    for (std::sregex_iterator match(tag.begin(), tag.end(), reference), end; match != end; ++match) {
      const std::string target = (*match)[2];
      EXPECT_TRUE(target.starts_with("#") || target == "data:,") << tag;
      if (target.starts_with("#") && target.size() > 1) {
        EXPECT_THAT(html, HasSubstr("id=\"" + target.substr(1) + "\""));
      }
    }
  }
  const std::string style = html.substr(html.find("<style>"), html.find("</style>") - html.find("<style>"));
  EXPECT_THAT(style, Not(HasSubstr("url(")));
  EXPECT_THAT(style, Not(HasSubstr("@import")));
  EXPECT_THAT(html, Not(HasSubstr("sourceMappingURL")));
  EXPECT_EQ(occurrences(html, "<script>"), 5U) << "three of the library, one of the tables, one of the plots";
  EXPECT_EQ(occurrences(html, "</script"), 6U);
}

TEST_F(HtmlReport, NamesCannotBreakIt) {
  Source source = shipped("e2m4");
  source.file = kHostile;
  source.results.workload = kHostile;
  source.results.layers[0].name = kHostile;
  json sweep = small_sweep();
  sweep["workload"] = kHostile;
  sweep["points"][0]["activation"] = kHostile;
  // The same twice, so that labels have the file's name.
  const std::vector<Source> sources{source, source};
  const SweepSource source_of_sweep = parse_sweep(sweep.dump(), kHostile);
  const std::string html = page(sources, source_of_sweep);
  expect_balanced(html);
  EXPECT_EQ(occurrences(html, "</script"), 6U);
  EXPECT_THAT(html, Not(HasSubstr("<b>x")));
  EXPECT_THAT(html, Not(HasSubstr("<!--")));
  EXPECT_THAT(html, HasSubstr(std::string("<title>mlsim report: ") + kHostileEscaped + "</title>"));
  EXPECT_THAT(html, HasSubstr(std::string("rowspan=\"3\">") + kHostileEscaped + "</th>"));
  EXPECT_EQ(occurrences(html, "id=\"data\""), 1U);
  EXPECT_EQ(data_of(html)["report"]["results"][0]["layers"][0]["name"], kHostile);
  EXPECT_EQ(data_of(html)["labels"][1], std::string("e2m4/g8m1/nc (") + kHostile + ") #2");
  EXPECT_EQ(data_of(html)["sweep"], source_of_sweep.document);

  const std::string markdown = markdown_report(evaluated(sources));
  EXPECT_THAT(markdown, Not(HasSubstr("<b>")));
  EXPECT_THAT(markdown, HasSubstr("| \\</script\\>\\<b\\>x\\</b\\> \\& \"q\" \\<!-- {{data}} \\| \\* | forward |"));
}

TEST_F(HtmlReport, LeavesOutWhatIsNotThere) {
  Source source = shipped("e2m4");
  for (LayerRecord& layer : source.results.layers) {
    for (PassRecord& pass : layer.passes) {
      pass.sqnr_db.reset();
      pass.baselines.clear();
    }
  }
  const std::string html = page({source});
  expect_balanced(html);
  EXPECT_THAT(html, Not(HasSubstr("data-plot=\"error\"")));
  EXPECT_THAT(html, Not(HasSubstr("id=\"tradeoff\"")));
  EXPECT_THAT(html, Not(HasSubstr("href=\"#tradeoff\"")));
  EXPECT_THAT(html, Not(HasSubstr("largest error")));
  EXPECT_THAT(html, Not(HasSubstr("data-plot=\"sweep\"")));
  EXPECT_THAT(html, Not(HasSubstr("data-plot=\"accuracy\"")));
  EXPECT_THAT(html, HasSubstr("data-plot=\"roofline\""));
}

TEST_F(HtmlReport, ShowsTheSweep) {
  const test::TemporaryFolder folder;
  folder.write("s.json", small_sweep().dump());
  const std::string html = page({shipped("e2m4")}, load_sweep((folder.path() / "s.json").string()));
  EXPECT_THAT(html, HasSubstr("data-plot=\"sweep\""));
  EXPECT_THAT(html,
              HasSubstr(">e2m4/g8m1/nc</th><th scope=\"row\" class=\"name\">Pareto</th><td>25 bits</td><td>16 x 16 "
                        "/ 8</td><td>0.225</td><td>0.631</td><td>9.631</td><td>40</td><td>3.7000</td><td>38.2</td>"
                        "<td>7</td></tr>"));
  EXPECT_THAT(html, HasSubstr("<td>-</td><td>7</td></tr>"));

  json unmeasured = small_sweep();
  for (json& point : unmeasured["points"]) {
    point["mean_sqnr_db"] = nullptr;
    point["area_um2"] = nullptr;
  }
  const std::string table_alone = page({shipped("e2m4")}, parse_sweep(unmeasured.dump(), "s.json"));
  EXPECT_THAT(table_alone, Not(HasSubstr("data-plot=\"sweep\"")));
  EXPECT_THAT(table_alone, HasSubstr("<td>40</td><td>-</td><td>-</td><td>7</td></tr>"));

  // Without errors, too, a front of others is a plot.
  unmeasured["front"] = {"energy", "time"};
  unmeasured["points"][0]["accumulator_bits"] = nullptr;
  const std::string analytic = page({shipped("e2m4")}, parse_sweep(unmeasured.dump(), "s.json"));
  EXPECT_THAT(analytic, HasSubstr("data-plot=\"sweep\""));
  EXPECT_THAT(analytic, HasSubstr("at least as good in energy with memory and time and better in one of them"));
  EXPECT_THAT(analytic, HasSubstr(">Pareto</th><td>-</td>"));

  // What the front is of, and which array it is.
  json delays = small_sweep();
  delays["front"] = {"edp"};
  for (json& point : delays["points"]) point["energy_delay_js"] = 1.25e-9;
  delays["points"][0]["dataflow"] = "weight-stationary";
  delays["points"][0]["taps_per_cycle"] = 4;
  const std::string of_delays = page({shipped("e2m4")}, parse_sweep(delays.dump(), "s.json"));
  EXPECT_THAT(of_delays, HasSubstr("<td>WS 16 x 16 x 4 / 8</td>"));
  EXPECT_THAT(of_delays, HasSubstr("<th scope=\"col\">EDP, nJ·s</th>"));
  EXPECT_THAT(of_delays, HasSubstr("<td>1.25</td></tr>"));
}

// The front, a sample that is always the same, and a sentence that says so.
TEST_F(HtmlReport, ThinsALargeSweep) {
  json large = small_sweep();
  large["points"].clear();
  for (int i = 0; i < 5000; ++i) {
    large["points"].push_back(sweep_point("f" + std::to_string(i), 20, i % 100 == 7));
  }
  const SweepSource thinned = parse_sweep(large.dump(), "s.json");
  EXPECT_EQ(thinned.points, 5000U);
  EXPECT_EQ(thinned.front, 50U);
  const json& points = thinned.document["points"];
  ASSERT_EQ(points.size(), kMostPointsShown);
  EXPECT_EQ(std::count_if(points.begin(), points.end(), [](const json& point) { return point["pareto"] == true; }), 50);
  const auto number = [](const json& point) { return std::stoi(point["format"].get<std::string>().substr(1)); };
  EXPECT_TRUE(std::is_sorted(points.begin(), points.end(),
                             [&](const json& one, const json& other) { return number(one) < number(other); }));
  // From everywhere: about 780 of the first 2000.
  const auto first = std::count_if(points.begin(), points.end(), [&](const json& p) { return number(p) < 2000; });
  EXPECT_NEAR(static_cast<double>(first), 800, 100);
  EXPECT_EQ(parse_sweep(large.dump(), "s.json").document, thinned.document);
  EXPECT_THAT(page({shipped("e2m4")}, thinned),
              HasSubstr("Shown are 2000 of the file’s 5000 points: all of the 50 on the front and 1950 of the others, "
                        "drawn at random."));
  EXPECT_THAT(page({shipped("e2m4")}, parse_sweep(small_sweep().dump(), "s.json")), Not(HasSubstr("Shown are")));

  for (json& point : large["points"]) point["pareto"] = true;
  EXPECT_THAT(page({shipped("e2m4")}, parse_sweep(large.dump(), "s.json")),
              HasSubstr("2000 of the 5000 on the front and none of the others"));
}

TEST_F(HtmlReport, RefusesWhatIsNoSweep) {
  const test::TemporaryFolder folder;
  const auto refused = [&](const json& document, const std::string& place) {
    folder.write("bad.json", document.dump());
    try {
      load_sweep((folder.path() / "bad.json").string());
      ADD_FAILURE() << place << " is accepted";
    } catch (const std::runtime_error& error) {
      EXPECT_THAT(error.what(), HasSubstr("bad.json"));
      EXPECT_THAT(error.what(), HasSubstr(place));
    }
  };
  refused({{"schema", "mlsim.results/1"}}, "schema");
  refused(json::array(), "bad.json");
  json sweep = small_sweep();
  sweep["points"] = json::array();
  refused(sweep, "/points");
  for (const char* key : {"activation", "computing_pj", "mean_sqnr_db", "pareto", "passes", "multiply_adds"}) {
    sweep = small_sweep();
    sweep["points"][1][key] = json::array({1});
    refused(sweep, std::string("/points/1/") + key);
    sweep["points"][1].erase(key);
    refused(sweep, key);
  }
  sweep = small_sweep();
  sweep["points"][1]["mean_sqnr_db"] = "exactly";
  refused(sweep,
          "/points/1/mean_sqnr_db: is \"exactly\", expected a number or null or one of \"exact\", \"infinite error\", "
          "\"undefined\"");
  sweep = small_sweep();
  sweep["points"][0]["passes"]["forward"].erase("overflows");
  refused(sweep, "/points/0/passes/forward");
  const auto refuse_value = [&](const std::string& pointer, const json& value, const std::string& reason) {
    sweep = small_sweep();
    sweep["points"][1][json::json_pointer(pointer)] = value;
    refused(sweep, "/points/1" + pointer + reason);
  };
  refuse_value("/passes/other", json::object(), ": is an unknown key, expected one of backward_data, backward_weight");
  refuse_value("/passes/other", 5, ": is an unknown key");
  refuse_value("/passes/forward", 5, ": is 5, expected an object");
  refuse_value("/passes/forward/overflows", -1, ": is -1, expected an integer of 0 or more");
  refuse_value("/passes/forward/overflows", 1.5, ": is 1.5, expected an integer of 0 or more");
  refuse_value("/multiply_adds", -4, ": is -4, expected an integer of 0 or more");
  refuse_value("/cycles", 0.5, ": is 0.5, expected an integer of 0 or more");
  refuse_value("/rows", 4294967312, ": is 4294967312, expected an integer from 1 to 1024");
  refuse_value("/columns", 4294967297, ": is 4294967297, expected an integer from 1 to 1024");
  refuse_value("/elements_per_scaler", 4294967297, ": is 4294967297, expected an integer from 1 to 1048576");
  refuse_value("/accumulator_bits", 4294967297, ": is 4294967297, expected");
  sweep = small_sweep();
  sweep["front"] = {"energy", "speed"};
  refused(sweep, "/front/1: is \"speed\", expected one of");
  sweep = small_sweep();
  sweep["front"] = {"edp"};
  refused(sweep, "/points/0: has no energy_delay_js, expected one of each point where the front is of edp");
  EXPECT_THROW(load_sweep((folder.path() / "none.json").string()), std::runtime_error);
}

TEST_F(HtmlReport, ShowsPointsOfAnyNumberOfMultiplyAdds) {
  const test::TemporaryFolder folder;
  json sweep = small_sweep();
  sweep["points"][0]["multiply_adds"] = 0;
  sweep["points"][0]["cycles"] = ~std::uint64_t{0};
  sweep["points"][1]["multiply_adds"] = 0x1p65;
  sweep["points"][1]["cycles"] = 0x1p65;
  for (const char* pass : {"forward", "backward_data"}) {
    sweep["points"][1]["passes"][pass]["overflows"] = std::uint64_t{1} << 63;
  }
  folder.write("s.json", sweep.dump());
  const std::string html = page({shipped("e2m4")}, load_sweep((folder.path() / "s.json").string()));
  EXPECT_THAT(html, HasSubstr("<td>-</td><td>-</td><td>-</td><td>18446744073709551615</td>"));
  EXPECT_THAT(html, HasSubstr("<td>0.000</td><td>0.000</td><td>0.000</td><td>3.6893E+19</td>"));
  EXPECT_THAT(html, HasSubstr("<td>1.8447E+19</td></tr>"));
  EXPECT_THAT(html, Not(HasSubstr("data-plot=\"sweep\""))) << "no point has an energy of a multiply-add and an error";
}

}  // namespace
}  // namespace mlsim::app
