// The page as its reader sees it. Skipped where there is no Chromium.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>

#include "app/report/html_report.h"
#include "app/report/sweep_reader.h"
#include "energy/cost_table.h"
#include "tests/support/browser.h"

namespace mlsim::app {
namespace {

using evaluation::load_results;
using nlohmann::json;

json sweep_of_four() {
  json points = json::array();
  for (const auto& [format, pj, sqnr, pareto] :
       std::vector<std::tuple<std::string, double, double, bool>>{{"e1m2/g8m1/nc", 426, 19.2, false},
                                                                  {"e2m1/g8m1/nc", 420, 19.5, true},
                                                                  {"e2m3/g8m1/nc", 556, 32.0, true},
                                                                  {"e2m4/g8m1/nc", 631, 38.2, true}}) {
    points.push_back({{"activation", format},
                      {"weight", format},
                      {"error", format},
                      {"rows", 16},
                      {"columns", 16},
                      {"elements_per_scaler", 8},
                      {"accumulator_bits", 25},
                      {"multiply_adds", 1000},
                      {"cycles", 40},
                      {"operations_only_pj", 225.0},
                      {"computing_pj", pj},
                      {"memory_pj", 9000.0},
                      {"area_um2", 3.7e6},
                      {"mean_sqnr_db", sqnr},
                      {"passes", json::object()},
                      {"pareto", pareto}});
  }
  return {{"schema", "mlsim.sweep/1"}, {"workload", "resnet20-cifar10"}, {"points", points}};
}

class HtmlInBrowser : public testing::Test {
 protected:
  void SetUp() override {
    chromium_ = test::find_chromium();
    if (!chromium_) GTEST_SKIP() << "chromium is not on the PATH";
    std::signal(SIGPIPE, SIG_IGN);
  }

  static evaluation::Source shipped(const std::string& format) {
    return {format + ".json", load_results(MLSIM_SOURCE_DIR "/results/shipped-trace/" + format + ".json")};
  }

  // Two formats; a name would be markup if a plot or a tooltip took it for that.
  static std::vector<evaluation::Source> two_formats() {
    std::vector<evaluation::Source> sources{shipped("e2m4"), shipped("e2m1")};
    sources[0].results.layers[0].name = "</script><img src=x onerror=alert(1)>";
    return sources;
  }

  // Seven formats, as far as the page knows, of a hundred layers.
  static std::vector<evaluation::Source> many_layers() {
    std::vector<evaluation::Source> sources;
    for (const char* format : {"e2m4", "e2m3", "e2m2", "e2m1", "mxfp4", "nvfp4", "int8"}) {
      evaluation::Source source = shipped(sources.size() % 2 == 0 ? "e2m4" : "e2m1");
      const std::vector<evaluation::LayerRecord> layers = source.results.layers;
      for (int i = 6; i < 100; ++i) {
        source.results.layers.push_back(layers[static_cast<std::size_t>(i) % layers.size()]);
        source.results.layers.back().name = "stage.block.conv" + std::to_string(i);
      }
      for (evaluation::LayerRecord& layer : source.results.layers) {
        for (models::Format& one : layer.formats.values) one = models::parse_format(format);
      }
      sources.push_back(std::move(source));
    }
    return sources;
  }

  void open(std::vector<evaluation::Source> sources, const std::optional<SweepSource>& sweep, int plots) {
    const energy::Laws laws(energy::find_cost_table(std::string(energy::kDefaultCostTable)));
    std::vector<evaluation::Evaluation> evaluations;
    for (evaluation::Source& source : sources) evaluations.emplace_back(std::move(source), laws);
    ReportExtras extras;
    extras.sweep = sweep;
    extras.command = "mlsim report";
    const auto file = folder_.write("report.html", html_report(evaluations, extras));
    browser_ = std::make_unique<test::Browser>(*chromium_);
    browser_->open_file(file);
    wait_for_plots(plots);
  }
  void open_two() { open(two_formats(), parse_sweep(sweep_of_four().dump(), "s.json"), 3); }

  void wait_for_plots(int count) {
    browser_->wait_for("document.querySelectorAll('.plot svg').length === " + std::to_string(count));
  }
  void unfold() {
    browser_->evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
  }

  // What of the plots' letters lies on other letters of the same plot, or outside of it.
  json badly_placed() {
    return browser_->evaluate(R"js((() => {
      const bad = [];
      for (const svg of document.querySelectorAll('.plot svg')) {
        const frame = svg.getBoundingClientRect();
        const texts = [...svg.querySelectorAll('text')].filter((text) => text.textContent !== '')
          .map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }));
        texts.forEach(({ text, box }, i) => {
          if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 ||
              box.bottom > frame.bottom + 1) bad.push(`${text} is cut`);
          for (const other of texts.slice(i + 1)) {
            if (box.right > other.box.left + 1 && other.box.right > box.left + 1 &&
                box.bottom > other.box.top + 3 && other.box.bottom > box.top + 3) bad.push(`${text} on ${other.text}`);
          }
        });
      }
      return bad;
    })())js");
  }

  // Nothing went wrong in the page, and it asked for nothing but itself.
  void TearDown() override {
    if (!browser_) return;
    browser_->evaluate("0");
    for (const json& event : browser_->events()) {
      const std::string method = event.value("method", "");
      EXPECT_NE(method, "Runtime.exceptionThrown") << event.dump();
      EXPECT_NE(method, "Runtime.consoleAPICalled") << event.dump();
      EXPECT_NE(method, "Log.entryAdded") << event.dump();
      if (method == "Network.requestWillBeSent") {
        const std::string url = event["params"]["request"]["url"];
        EXPECT_TRUE(url.starts_with("file://") || url.starts_with("data:")) << url;
      }
    }
  }

  std::optional<std::string> chromium_;
  test::TemporaryFolder folder_;
  std::unique_ptr<test::Browser> browser_;
};

TEST_F(HtmlInBrowser, PlotsAnswerClicks) {
  open_two();
  unfold();
  wait_for_plots(8);
  const std::string bars = "[...document.querySelectorAll('[data-plot=by-layer] .mark-rect path')]";
  ASSERT_EQ(browser_->evaluate(bars + ".length"), 12) << "six layers in two formats";
  const json computing = browser_->evaluate(bars + "[0].getAttribute('aria-label')");
  browser_->click("[data-plot=by-layer] input[value=memory]");
  browser_->wait_for(bars + "[0].getAttribute('aria-label') !== " + computing.dump());

  // One entry of a legend leaves the others faint.
  browser_->click("[data-plot=cycles] .role-legend-symbol path");
  browser_->wait_for(
      "[...document.querySelectorAll('[data-plot=cycles] .mark-rect path')]"
      ".filter((bar) => bar.getAttribute('opacity') === '0.15').length === 18");
}

TEST_F(HtmlInBrowser, RooflineHasADotForEachLayerAndPassInItsFormatsColour) {
  open_two();
  const std::string dots = "[...document.querySelectorAll('[data-plot=roofline] .mark-symbol.role-mark path')]";
  EXPECT_EQ(browser_->evaluate(dots + ".length"), 2 * 6 * 3);
  const json colours = browser_->evaluate("[...new Set(" + dots + ".map((dot) => dot.getAttribute('fill')))].sort()");
  EXPECT_EQ(colours, json({"var(--f0)", "var(--f1)"}));
  EXPECT_EQ(browser_->evaluate(
                "[...new Set([...document.querySelectorAll('[data-plot=tradeoff] .mark-symbol.role-mark path')]"
                ".map((dot) => dot.getAttribute('fill')))].filter((fill) => fill?.startsWith('var')).sort()"),
            colours)
      << "the same as elsewhere";
}

// Lines of memories end where the elements of their machines are all busy.
TEST_F(HtmlInBrowser, RooflineOfTwoMachinesHasTheRoofOfEach) {
  std::vector<evaluation::Source> sources = two_formats();
  sources[0].results.array.dram_bytes_per_cycle.thousandths = 12800;
  sources[0].results.array.clock_ghz = 0.8;  // 10.240000000000002 GB/s in binary64
  sources[1].results.array.dram_bytes_per_cycle.thousandths = 6400;
  sources[1].results.array.clock_ghz = 2;
  open(sources, parse_sweep(sweep_of_four().dump(), "s.json"), 3);
  const std::string text = browser_->evaluate("document.querySelector('[data-plot=roofline]').textContent");
  EXPECT_THAT(text, testing::HasSubstr("the machine's own DRAM: 10.24 GB/s"));
  EXPECT_THAT(text, testing::HasSubstr("the machine's own DRAM: 12.8 GB/s"));
  // The upper ends of the four lines, in pixels from above: two roofs, and each slanted line below its own.
  const std::vector<double> ends = browser_->evaluate(
      "[...document.querySelectorAll('[data-plot=roofline] .mark-line.role-mark path')]"
      ".map((path) => Math.min(...[...path.getAttribute('d').matchAll(/[\\d.-]+,([\\d.-]+)/g)].map((at) => "
      "Number(at[1]))))");
  ASSERT_EQ(ends.size(), 4U);
  EXPECT_NEAR(ends[2], ends[0], 1) << "at 0.8 GHz";
  EXPECT_NEAR(ends[3], ends[1], 1) << "at 2 GHz";
  EXPECT_GT(ends[0], ends[1] + 10);
}

TEST_F(HtmlInBrowser, TooltipsTellFigures) {
  open_two();
  browser_->click("[data-plot=sweep] .mark-symbol path[aria-label*='e2m4']");
  browser_->wait_for("document.querySelector('#vg-tooltip-element.visible')");
  EXPECT_THAT(
      browser_->evaluate("document.querySelector('#vg-tooltip-element').innerText").get<std::string>(),
      testing::AllOf(testing::HasSubstr("e2m4/g8m1/nc"), testing::HasSubstr("38.2"), testing::HasSubstr("0.631")));
  unfold();
  wait_for_plots(8);
  browser_->click("[data-plot=by-layer] .mark-rect path");
  browser_->wait_for("document.querySelector('#vg-tooltip-element').innerText.includes('onerror')");
  EXPECT_EQ(browser_->evaluate("document.querySelectorAll('img').length"), 0);
}

TEST_F(HtmlInBrowser, SweepsOfEveryFrontArePlotted) {
  const std::vector<std::vector<std::string>> fronts{{"edp"}, {"edp", "error"}};
  for (const std::vector<std::string>& front : fronts) {
    json sweep = sweep_of_four();
    sweep["front"] = front;
    double delay = 2e-9;
    for (json& point : sweep["points"]) point["energy_delay_js"] = delay *= 1.7;
    sweep["points"][3]["dataflow"] = "weight-stationary";
    open({shipped("e2m4")}, parse_sweep(sweep.dump(), "s.json"), 3);
    EXPECT_THAT(browser_->evaluate("document.querySelector('[data-plot=sweep]').textContent").get<std::string>(),
                testing::HasSubstr("energy-delay product, nJ·s"));
    EXPECT_EQ(badly_placed(), json::array());
    browser_->click("[data-plot=sweep] .mark-symbol path[aria-label*='e2m4']");
    browser_->wait_for("document.querySelector('#vg-tooltip-element.visible')");
    EXPECT_THAT(browser_->evaluate("document.querySelector('#vg-tooltip-element').innerText").get<std::string>(),
                testing::AllOf(testing::HasSubstr("WS 16 x 16 / 8"), testing::HasSubstr("16.7")));
  }
}

TEST_F(HtmlInBrowser, MapOfLayersIsSorted) {
  open_two();
  const std::string names =
      "[...document.querySelectorAll('#layers .choice:not([hidden]) tbody th')].map((th) => th.textContent)";
  const json original = browser_->evaluate(names);
  ASSERT_EQ(original.size(), 6U);
  const std::string decibels = "#layers .choice:not([hidden]) thead tr:nth-child(2) th:nth-child(8) button";
  browser_->click(decibels);
  const std::string cells =
      "[...document.querySelectorAll('#layers .choice:not([hidden]) tbody td:nth-child(9)')].map((td) => "
      "Number(td.textContent))";
  const json sorted = browser_->evaluate(cells);
  EXPECT_EQ(browser_->evaluate(cells + ".sort((a, b) => b - a)"), sorted) << "largest first";
  browser_->click(decibels);
  EXPECT_EQ(browser_->evaluate(cells + ".reverse()"), sorted);
  EXPECT_EQ(browser_->evaluate("document.querySelector('[aria-sort]').getAttribute('aria-sort')"), "ascending");
  browser_->click(decibels);
  EXPECT_EQ(browser_->evaluate(names), original);

  // Passes that one resource bounds stand together.
  browser_->click("#layers .choice:not([hidden]) thead tr:nth-child(2) th:nth-child(9) button");
  const std::string bounds =
      "[...document.querySelectorAll('#layers .choice:not([hidden]) tbody td:nth-child(10)')].map((td) => "
      "td.textContent)";
  EXPECT_EQ(browser_->evaluate(bounds), json({"scaler", "scaler", "fill", "fill", "compute", "compute"}));
}

TEST_F(HtmlInBrowser, LayersOfALargeNetworkAreFilteredAndTurned) {
  open(many_layers(), {}, 2);
  const std::string shown =
      "[...document.querySelectorAll('#layers .choice:not([hidden]) tbody tr:not([hidden]) th')]"
      ".map((th) => th.textContent)";
  EXPECT_EQ(browser_->evaluate(shown + ".length"), 25);
  browser_->click("#layers .choice:not([hidden]) .controls button:last-of-type");
  EXPECT_EQ(browser_->evaluate(shown + "[0]"), "stage.block.conv25");
  browser_->evaluate(
      "(() => { const input = document.querySelector('#layers .choice:not([hidden]) input'); input.value = 'CONV9'; "
      "input.dispatchEvent(new Event('input')); })()");
  EXPECT_EQ(browser_->evaluate(shown + ".length"), 11) << "conv9 and conv90 to conv99";
  EXPECT_EQ(browser_->evaluate("document.querySelector('#layers .choice:not([hidden]) [aria-live]').textContent"),
            "layers 1 to 11 of 11 found, 100 in all");
  // Another format, here and in what is folded.
  browser_->evaluate(
      "(() => { const select = document.querySelector('#layers select'); select.value = 'mxfp4/k32'; "
      "select.dispatchEvent(new Event('change')); })()");
  EXPECT_EQ(browser_->evaluate("[...new Set([...document.querySelectorAll('.choice:not([hidden])')].map((choice) => "
                               "choice.dataset.name))]"),
            json({"mxfp4/k32"}));
  unfold();
  wait_for_plots(7);
  EXPECT_EQ(browser_->evaluate("document.querySelectorAll('[data-plot=by-layer] .mark-rect path').length"), 25 * 7);
}

TEST_F(HtmlInBrowser, NoLetterOfAPlotIsCutOrOnAnother) {
  open(many_layers(), {}, 2);
  unfold();
  wait_for_plots(7);
  EXPECT_EQ(badly_placed(), json::array());
  browser_->call("Emulation.setDeviceMetricsOverride",
                 {{"width", 390}, {"height", 844}, {"deviceScaleFactor", 1}, {"mobile", true}});
  browser_->wait_for(
      "document.querySelector('[data-plot=tradeoff] svg').getBoundingClientRect().width < 380 &&"
      "Number(document.querySelector('[data-plot=tradeoff] svg').getAttribute('width')) < 380");
  browser_->wait_for(
      "[...document.querySelectorAll('.plot svg')].every((svg) => Number(svg.getAttribute('width')) < 380)");
  EXPECT_EQ(badly_placed(), json::array());
}

TEST_F(HtmlInBrowser, FitsAPhone) {
  open_two();
  browser_->call("Emulation.setDeviceMetricsOverride",
                 {{"width", 360}, {"height", 740}, {"deviceScaleFactor", 2}, {"mobile", true}});
  browser_->wait_for("innerWidth === 360");
  browser_->wait_for("document.documentElement.scrollWidth <= 360");
  browser_->wait_for(
      "[...document.querySelectorAll('.plot svg')].every((svg) => svg.getBoundingClientRect().right <= 360)");
  EXPECT_EQ(browser_->evaluate("(() => { const e = document.querySelector('#heat-1').closest('.scroll');"
                               " e.scrollLeft = 1000; return e.scrollLeft > 0; })()"),
            true)
      << "a wide table scrolls by itself";
  EXPECT_EQ(
      browser_->evaluate("(() => { const cell = document.querySelector('#layers tbody th').getBoundingClientRect();"
                         " return cell.left >= 0 && cell.right <= 360; })()"),
      true)
      << "and its first column stays";
}

TEST_F(HtmlInBrowser, FollowsTheSchemeAndThePaper) {
  open_two();
  const auto media = [&](const std::string& type, const std::string& scheme) {
    browser_->call("Emulation.setEmulatedMedia",
                   {{"media", type}, {"features", {{{"name", "prefers-color-scheme"}, {"value", scheme}}}}});
    return browser_->evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
        " getComputedStyle(document.querySelector('[data-plot=roofline]')"
        ".querySelector('.role-axis-label text')).fill]");
  };
  const json light = media("screen", "light");
  EXPECT_EQ(light[0], "rgb(255, 255, 255)");
  EXPECT_EQ(light[1], light[2]);
  const json dark = media("screen", "dark");
  EXPECT_NE(dark[0], light[0]);
  EXPECT_NE(dark[1], light[1]);
  EXPECT_EQ(dark[1], dark[2]) << "the plots’ letters too";
  const json paper = media("print", "dark");
  EXPECT_EQ(paper[0], "rgb(255, 255, 255)");
  EXPECT_EQ(paper[2], "rgb(0, 0, 0)");
  EXPECT_EQ(
      browser_->evaluate("[...document.querySelectorAll('nav, select, input, button:not(.sort), details:not([open])')]"
                         ".filter((element) => element.checkVisibility()).length"),
      0)
      << "nothing to be clicked on paper";
  EXPECT_EQ(browser_->evaluate("document.querySelector('.provenance').checkVisibility()"), true);
}

}  // namespace
}  // namespace mlsim::app
