#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "app/report/cells.h"
#include "app/report/page_parts.h"
#include "app/report/report_tables.h"

namespace mlsim::app {
namespace {

using evaluation::Evaluation;
using evaluation::PassFigures;

// What the cells of a source are shaded against.
struct Scale {
  double most_share = 0;
  double lowest_db = std::numeric_limits<double>::infinity();
  double highest_db = -std::numeric_limits<double>::infinity();

  explicit Scale(const std::vector<PassFigures>& all) {
    for (const PassFigures& figures : all) {
      most_share = std::max(most_share, figures.energy_share.value_or(0));
      if (!figures.sqnr_db || !std::isfinite(*figures.sqnr_db)) continue;
      lowest_db = std::min(lowest_db, *figures.sqnr_db);
      highest_db = std::max(highest_db, *figures.sqnr_db);
    }
  }
};

// A figure before a shade from 0 to 1; `order` is what it is sorted by, undefined figures last.
std::string shaded_cell(double shade, double order, const std::string& text, bool is_spot) {
  return fmt::format("<td style=\"--h:{:.2f}\"{}{}>{}</td>", std::isfinite(shade) ? shade : 0,
                     std::isnan(order) ? "" : fmt::format(" data-order=\"{:.9g}\"", order),
                     is_spot ? " class=\"spot\"" : "", text);
}

// One source's map.
class HeatMap {
 public:
  HeatMap(const Evaluation& evaluated, std::size_t source, const std::string& label)
      : evaluated_(evaluated),
        source_(source),
        label_(label),
        figures_(evaluated.passes()),
        spots_(evaluation::hot_spots(figures_)),
        scale_(figures_) {
    std::vector<double> energies;
    for (std::size_t i = 0; i < figures_.size(); ++i) {
      const PassFigures& figures = figures_[i];
      energies.push_back(figures.all_pj);
      places_[{figures.layer, pass_of(figures)}] = i;
    }
    energy_ = energy_column(energies);
    for (const models::Pass pass : models::kPasses) {
      if (std::any_of(figures_.begin(), figures_.end(), [&](const auto& f) { return pass_of(f) == pass; })) {
        passes_.push_back(pass);
      }
    }
  }

  std::string html() const {
    return fmt::format(
        "<div class=\"choice\" data-name=\"{}\">\n{}<div class=\"scroll wide\" tabindex=\"0\" role=\"region\" "
        "aria-labelledby=\"heat-{}\">\n<table class=\"heat sortable paged\">\n{}{}</table>\n</div>\n</div>\n",
        escaped(label_), spots_html(), source_ + 1, head_html(), body_html());
  }

 private:
  models::Pass pass_of(const PassFigures& figures) const {
    return evaluated_.results().layers[figures.layer].passes[figures.pass].pass;
  }

  std::string head_html() const {
    std::string html = fmt::format(
        "<caption id=\"heat-{}\"><span>{}<b>{}</b> energy with memory, utilization of the array, stalls as a share of "
        "its cycles with their causes, what bounds the pass, SQNR</span></caption>\n<thead>\n<tr><th scope=\"col\" "
        "class=\"name stick\" rowspan=\"2\">layer"
        "</th>",
        source_ + 1, swatch(source_), escaped(label_));
    for (const models::Pass pass : passes_) {
      html += fmt::format(R"(<th scope="colgroup" class="group" colspan="5">{}</th>)", models::to_string(pass));
    }
    html += "</tr>\n<tr>";
    for (std::size_t p = 0; p < passes_.size(); ++p) {
      for (const std::string& name :
           {energy_.unit, std::string("util."), std::string("stalls"), std::string("bound by"), std::string("dB")}) {
        html += fmt::format("<th scope=\"col\">{}</th>", name);
      }
    }
    return html + "</tr>\n</thead>\n";
  }

  std::string body_html() const {
    std::string html = "<tbody>\n";
    for (std::size_t l = 0; l < evaluated_.results().layers.size(); ++l) {
      html += fmt::format(R"(<tr><th scope="row" class="name stick">{}</th>)",
                          escaped(evaluated_.results().layers[l].name));
      for (const models::Pass pass : passes_) {
        const auto place = places_.find({l, pass});
        html += place == places_.end() ? "<td></td><td></td><td></td><td></td><td></td>" : pass_cells(place->second);
      }
      html += "</tr>\n";
    }
    return html + "</tbody>\n";
  }

  // The redder, the worse.
  std::string pass_cells(std::size_t i) const {
    const PassFigures& figures = figures_[i];
    const double db = number(figures.sqnr_db);
    const double range = scale_.highest_db - scale_.lowest_db;
    return shaded_cell(figures.energy_share.value_or(0) / scale_.most_share, figures.all_pj, energy_.cells[i],
                       spots_.most_energy == i) +
           shaded_cell(1 - number(figures.utilization), number(figures.utilization), percent(figures.utilization, 0),
                       spots_.least_utilization == i) +
           shaded_cell(number(figures.stall_share), number(figures.stall_share),
                       percent(figures.stall_share, 0) + causes_html(i), spots_.most_stalls == i) +
           bound_cell(figures) +
           shaded_cell(range > 0 ? (scale_.highest_db - db) / range : 0, db, decibels(figures.sqnr_db),
                       spots_.largest_error == i);
  }

  // Sorted by resources.
  static std::string bound_cell(const PassFigures& figures) {
    const std::string order =
        figures.cycles ? fmt::format(" data-order=\"{}\"", static_cast<int>(evaluation::bound_of(*figures.cycles)))
                       : "";
    return fmt::format("<td{}>{}</td>", order, evaluation::bound_in_a_word(figures.cycles));
  }

  // Of the array's stalls, each cause that takes a hundredth of its cycles.
  std::string causes_html(std::size_t i) const {
    const sim::CycleCounts& cycles = evaluated_.results().layers[figures_[i].layer].passes[figures_[i].pass].cycles;
    const std::pair<const char*, std::uint64_t> causes[] = {{"fill", cycles.fill_stalls},
                                                            {"scaler", cycles.scaler_stalls},
                                                            {"DRAM", cycles.dram_stalls},
                                                            {"SRAM", cycles.sram_stalls}};
    std::vector<std::string> said;
    for (const auto& [cause, stalls] : causes) {
      const double share = static_cast<double>(stalls) / static_cast<double>(std::max<std::uint64_t>(cycles.array, 1));
      constexpr double kLeast = 0.01;
      if (share >= kLeast) said.push_back(fmt::format("{} {}", cause, percent(share, 0)));
    }
    return said.empty() ? "" : fmt::format("<small>{}</small>", fmt::join(said, "<br>"));
  }

  std::string spots_html() const {
    std::vector<std::string> said;
    const auto say = [&](const char* what, const std::optional<std::size_t>& place, const auto& figure) {
      if (!place) return;
      const PassFigures& figures = figures_[*place];
      said.push_back(fmt::format("{} <b>{}</b> {} ({})", what, escaped(evaluated_.results().layers[figures.layer].name),
                                 models::to_string(pass_of(figures)), figure(figures)));
    };
    say("Most energy:", spots_.most_energy, [](const auto& f) { return percent(f.energy_share) + " of all"; });
    say("lowest utilization:", spots_.least_utilization, [](const auto& f) { return percent(f.utilization); });
    say("most stalls:", spots_.most_stalls, [](const auto& f) { return percent(f.stall_share) + " of its cycles"; });
    say("largest error:", spots_.largest_error, [](const auto& f) { return decibels(f.sqnr_db) + " dB SQNR"; });
    if (said.empty()) return "";
    return fmt::format("<p class=\"spots\">{}.</p>\n", fmt::join(said, "; "));
  }

  const Evaluation& evaluated_;
  std::size_t source_;
  const std::string& label_;
  const std::vector<PassFigures>& figures_;
  evaluation::HotSpots spots_;
  Scale scale_;
  EnergyColumn energy_;
  std::vector<models::Pass> passes_;
  std::map<std::pair<std::size_t, models::Pass>, std::size_t> places_;  // of layer and pass in the figures
};

}  // namespace

std::string heat_map_html(const std::vector<Evaluation>& evaluations) {
  const std::vector<std::string> labels = labels_of(evaluations);
  std::string html = "<div class=\"choices\" data-label=\"Format\">\n";
  for (std::size_t i = 0; i < evaluations.size(); ++i) html += HeatMap(evaluations[i], i, labels[i]).html();
  return html + "</div>\n";
}

}  // namespace mlsim::app
