// The page as its reader sees it. Skipped where there is no Chromium.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>

#include "app/report/html_report.h"
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
    const std::optional<std::string> chromium = test::find_chromium();
    if (!chromium) GTEST_SKIP() << "chromium is not on the PATH";
    std::signal(SIGPIPE, SIG_IGN);
    const energy::Laws laws(energy::find_cost_table(std::string(energy::kDefaultCostTable)));
    std::vector<evaluation::Source> sources;
    for (const std::string format : {"e2m4", "e2m1"}) {
      sources.push_back(
          {format + ".json", load_results(MLSIM_SOURCE_DIR "/results/shipped-trace/" + format + ".json")});
    }
    // A name that would be markup if a plot or a tooltip took it for that.
    sources[0].results.layers[0].name = "</script><img src=x onerror=alert(1)>";
    std::vector<evaluation::Evaluation> evaluations;
    for (evaluation::Source& source : sources) evaluations.emplace_back(std::move(source), laws);
    ReportExtras extras;
    extras.sweep = SweepSource{"s.json", sweep_of_four()};
    const auto file = folder_.write("report.html", html_report(evaluations, extras));
    browser_ = std::make_unique<test::Browser>(*chromium);
    browser_->open_file(file);
    browser_->wait_for("document.querySelectorAll('.plot svg').length === 7");
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

  test::TemporaryFolder folder_;
  std::unique_ptr<test::Browser> browser_;
};

TEST_F(HtmlInBrowser, PlotsAnswerClicks) {
  const std::string bars = "[...document.querySelectorAll('[data-plot=baselines] .mark-rect path')]";
  const json widths = browser_->evaluate(bars + ".map((bar) => bar.getBoundingClientRect().width)");
  ASSERT_EQ(widths.size(), 8U) << "two formats and six baselines";
  EXPECT_GT(widths[2], 5 * widths[0].get<double>()) << "fp32 against e2m4, operations only";

  browser_->click("[data-plot=baselines] input[value=memory]");
  browser_->wait_for("document.querySelector('[data-plot=baselines] input[value=memory]').checked");
  browser_->wait_for(bars + "[2].getBoundingClientRect().width < 5 * " + bars + "[0].getBoundingClientRect().width");

  // One entry of a legend leaves the others faint.
  browser_->click("[data-plot=cycles] .role-legend-symbol path");
  browser_->wait_for(
      "[...document.querySelectorAll('[data-plot=cycles] .mark-rect path')]"
      ".filter((bar) => bar.getAttribute('opacity') === '0.15').length === 18");
}

TEST_F(HtmlInBrowser, TooltipsTellFigures) {
  browser_->click("[data-plot=sweep] .mark-symbol path[aria-label*='e2m4']");
  browser_->wait_for("document.querySelector('#vg-tooltip-element.visible')");
  EXPECT_THAT(
      browser_->evaluate("document.querySelector('#vg-tooltip-element').innerText").get<std::string>(),
      testing::AllOf(testing::HasSubstr("e2m4/g8m1/nc"), testing::HasSubstr("38.2"), testing::HasSubstr("0.631")));
  browser_->click("[data-plot=by-layer] .mark-rect path");
  browser_->wait_for("document.querySelector('#vg-tooltip-element').innerText.includes('onerror')");
  EXPECT_EQ(browser_->evaluate("document.querySelectorAll('img').length"), 0);
}

TEST_F(HtmlInBrowser, FitsAPhone) {
  browser_->call("Emulation.setDeviceMetricsOverride",
                 {{"width", 360}, {"height", 740}, {"deviceScaleFactor", 2}, {"mobile", true}});
  browser_->wait_for("innerWidth === 360");
  browser_->wait_for("document.documentElement.scrollWidth <= 360");
  browser_->wait_for(
      "[...document.querySelectorAll('.plot svg')].every((svg) => svg.getBoundingClientRect().right <= 360)");
  EXPECT_EQ(browser_->evaluate("(() => { const e = document.querySelector('#layers-1').closest('.scroll');"
                               " e.scrollLeft = 1000; return e.scrollLeft > 0; })()"),
            true)
      << "a wide table scrolls by itself";
}

TEST_F(HtmlInBrowser, FollowsTheSchemeAndThePaper) {
  const auto media = [&](const std::string& type, const std::string& scheme) {
    browser_->call("Emulation.setEmulatedMedia",
                   {{"media", type}, {"features", {{{"name", "prefers-color-scheme"}, {"value", scheme}}}}});
    return browser_->evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
        " getComputedStyle(document.querySelector('[data-plot=blocks]')"
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
}

}  // namespace
}  // namespace mlsim::app
