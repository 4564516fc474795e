// What it costs rank 0 to hand out a point of a sweep and to take its row: mpirun -n N hand_out [POINTS]. The other
// ranks answer at once, with rows as functional sweeps have them; rank 0 runs none itself, and keeps the rows as a
// sweep does, in a journal and with the front. Prints microseconds a point, of the wall clock and of rank 0's processor
// time, which bounds how many points a second all ranks together can take.
#include <fmt/core.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

#include "base/ranks.h"
#include "evaluation/cluster_sweep.h"
#include "evaluation/sweep_collector.h"
#include "evaluation/sweep_journal.h"

namespace mlsim {
namespace {

using Json = nlohmann::ordered_json;

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Figures of as many digits as a sweep's.
Json row_of(std::size_t point) {
  const double figure = 1e9 / (3 + static_cast<double>(point));
  Json pass = {{"sqnr_db", 30 + 1 / figure}, {"cosine_error", 1 / figure}, {"overflows", point}, {"non_finite", 0}};
  return {{"format", "e2m4/g8m1/nc"},
          {"activation", "e2m4/g8m1/nc"},
          {"weight", "e2m4/g8m1/nc"},
          {"error", "e2m4/g8m1/nc"},
          {"array", "default"},
          {"rows", 16},
          {"columns", 16},
          {"elements_per_scaler", 8},
          {"accumulator_bits", 25},
          {"multiply_adds", 123456789},
          {"cycles", 1000000 + point},
          {"operations_only_pj", figure},
          {"computing_pj", 3 * figure},
          {"memory_pj", 7 * figure},
          {"with_memory_pj", 10 * figure},
          {"energy_delay_js", 11 * figure},
          {"area_um2", figure / 3},
          {"mean_sqnr_db", 30 + 1 / figure},
          {"passes", {{"forward", pass}, {"backward_data", pass}, {"backward_weight", pass}}}};
}

void follow(base::Ranks& ranks) {
  evaluation::SweepFollower follower(ranks);
  follower.report_ready(1, "bench");
  follower.run([](const evaluation::NextPoint& next, const evaluation::DonePoint& done) {
    while (const std::optional<std::size_t> point = next()) done(*point, row_of(*point));
  });
}

void lead(base::Ranks& ranks, std::size_t points, const std::filesystem::path& output) {
  evaluation::SweepJournal journal(output, "bench", points);
  evaluation::SweepCollector collector(points, {evaluation::Objective::kComputing, evaluation::Objective::kError},
                                       &journal);
  std::vector<std::size_t> open(points);
  std::iota(open.begin(), open.end(), std::size_t{0});
  evaluation::PointDispenser dispenser(std::move(open), [](std::size_t point) { return point; });
  evaluation::SweepLeader leader(ranks);
  leader.gather("bench");
  const double processor = processor_seconds();
  const auto begin = std::chrono::steady_clock::now();
  leader.run(
      dispenser, [](const evaluation::NextPoint&, const evaluation::DonePoint&) {},
      [&](std::size_t point, const Json& row) { collector.add(point, row); });
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double micro = 1e6 / static_cast<double>(points);
  std::cout << fmt::format("{} ranks, {} points: {:.1f} us a point, of rank 0's processor {:.1f} us\n", ranks.size(),
                           points, micro * wall, micro * (processor_seconds() - processor));
  journal.remove();
}

}  // namespace
}  // namespace mlsim

int main(int argc, char** argv) {
  try {
    const auto launch = mlsim::base::launch();
    if (!launch) throw std::runtime_error("expected several ranks: mpirun -n N hand_out [POINTS]");
    const auto ranks = mlsim::base::start_ranks(*launch);
    if (ranks->rank() != 0) {
      mlsim::follow(*ranks);
      return 0;
    }
    const std::size_t points = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 20'000;
    mlsim::lead(*ranks, points, std::filesystem::temp_directory_path() / "mlsim-hand-out");
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "hand_out: " << error.what() << "\n";
    return 2;
  }
}
