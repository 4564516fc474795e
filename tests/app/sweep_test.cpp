// mlsim sweep: its points, and that a kill at any moment loses nothing.
#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "app/cli/sweep_command.h"
#include "app/report/sweep_reader.h"
#include "tests/support/command.h"
#include "tests/support/processes.h"
#include "tests/support/repetitions.h"

namespace mlsim {
namespace {

using app::load_sweep;
using nlohmann::json;
using nlohmann::ordered_json;
using test::TemporaryFolder;
using testing::HasSubstr;

constexpr const char* kSweepWorkload = R"({ "schema": "mlsim.workload/1", "name": "small", "seed": 1, "format": "e2m4",
  "values": {}, "layers": [
    { "name": "conv", "type": "conv2d", "batch": 2, "in_channels": 8, "out_channels": 8, "in_size": [12, 12],
      "kernel": [3, 3], "padding": [1, 1] } ] })";

class Sweep : public testing::Test {
 protected:
  Sweep() { folder_.write("workload.json", kSweepWorkload); }

  // One whose sweeps run for seconds, with its layers in net.csv, of which it returns the header.
  std::string write_long_workload() const {
    folder_.write("workload.json", R"({ "schema": "mlsim.workload/1", "name": "net", "seed": 1, "format": "e2m4",
      "batch": 1024, "values": {}, "layers": "net.csv" })");
    std::string header =
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n";
    folder_.write("net.csv", header + "conv, 10, 10, 3, 3, 4, 8, 1,\n");
    return header;
  }

  test::CommandResult run(const std::string& arguments) const {
    return test::run_mlsim(MLSIM_COMMAND, folder_, "sweep workload.json " + arguments);
  }
  void expect_error(const std::string& arguments, const std::string& part) const {
    const test::CommandResult result = run(arguments);
    EXPECT_EQ(result.status, 2) << arguments;
    EXPECT_THAT(result.err, HasSubstr(part)) << arguments;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }

  // The command as a process of its own; its output is thrown away.
  pid_t start(const std::string& out, const std::string& ranges) const {
    std::vector<std::string> words{MLSIM_COMMAND, "sweep", folder_.path() / "workload.json", "--out",
                                   folder_.path() / out};
    std::istringstream more(ranges);
    for (std::string word; more >> word;) words.push_back(word);
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t process = 0;
    EXPECT_EQ(posix_spawn(&process, MLSIM_COMMAND, &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return process;
  }

  TemporaryFolder folder_;
};

TEST_F(Sweep, CombinesEveryAxis) {
  ASSERT_EQ(run("--exponent-bits 1:2 --mantissa-bits 1:3 --grouping nc,n --accumulator-bits full,12 --sharing 4,8 "
                "--out s.json")
                .status,
            0);
  const json sweep = json::parse(folder_.read("s.json"));
  EXPECT_EQ(sweep["schema"], "mlsim.sweep/1");
  EXPECT_EQ(sweep["points"].size(), 2U * 3 * 2 * 2 * 2);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "s.json.journal"));
  for (const json& point : sweep["points"]) {
    EXPECT_GT(point["computing_pj"].get<double>(), point["operations_only_pj"].get<double>());
    EXPECT_GT(point["mean_sqnr_db"].get<double>(), 0);
    EXPECT_GT(point["passes"]["forward"]["cosine_error"].get<double>(), 0);
  }
}

TEST_F(Sweep, VariesTheMultipliersOfAnElement) {
  ASSERT_EQ(run("--formats e2m1/b8,int8 --taps-per-cycle 1,8,9 --sharing 1,8 --out s.json").status, 0);
  const json points = json::parse(folder_.read("s.json"))["points"];
  ASSERT_EQ(points.size(), 2U * 2 * 3);
  EXPECT_EQ(points[2]["taps_per_cycle"], 9);
  EXPECT_EQ(points[2]["elements_per_scaler"], 1);
  EXPECT_EQ(points[3]["taps_per_cycle"], 1);
  for (std::size_t one = 0; one < points.size(); one += 3) {
    EXPECT_EQ(points[one]["mean_sqnr_db"], points[one + 1]["mean_sqnr_db"]);
    EXPECT_LE(points[one + 1]["cycles"].get<int>(), points[one]["cycles"].get<int>());
    EXPECT_LT(points[one + 1]["computing_pj"].get<double>(), points[one]["computing_pj"].get<double>());
    EXPECT_GT(points[one + 1]["area_um2"].get<double>(), points[one]["area_um2"].get<double>());
  }
  ASSERT_EQ(run("--formats e2m1/b8,int8 --taps-per-cycle 1,8,9 --sharing 1,8 --out s.csv").status, 0);
  EXPECT_THAT(folder_.read("s.csv"), HasSubstr(",taps_per_cycle,"));
  EXPECT_THAT(run("--formats e2m1 --taps-per-cycle 8").out, HasSubstr("16x16x8/8"));
  EXPECT_EQ(load_sweep(folder_.path() / "s.csv").document["points"][1]["taps_per_cycle"], 8);
  ASSERT_EQ(run("--formats e2m1 --out plain.json").status, 0);
  EXPECT_THAT(folder_.read("plain.json"), testing::Not(HasSubstr("taps_per_cycle")));
  expect_error("--formats e2m4 --taps-per-cycle 300", "--taps-per-cycle 300 of default: /row_feeder/buffer_elements");
  expect_error("--formats e2m4 --taps-per-cycle 0", "--taps-per-cycle");
}

TEST_F(Sweep, TakesAFormatForEachOperand) {
  ASSERT_EQ(run("--formats e2m4,e2m4+e2m3+e2m1/g8m0/n,int8 --out s.json").status, 0);
  const json points = json::parse(folder_.read("s.json"))["points"];
  ASSERT_EQ(points.size(), 3U);
  EXPECT_EQ(points[1]["activation"], "e2m4/g8m1/nc");
  EXPECT_EQ(points[1]["weight"], "e2m3/g8m1/nc");
  EXPECT_EQ(points[1]["error"], "e2m1/g8m0/n");
  EXPECT_EQ(points[2]["weight"], "int8");
}

TEST_F(Sweep, TakesWidthsAndFormatsTogether) {
  ASSERT_EQ(run("--formats fp32,fp8,mxfp8,e2m1 --exponent-bits 2 --mantissa-bits 1:2 --accumulator-bits full,12 "
                "--engine analytic --pareto time,area,edp --out s.json")
                .status,
            0);
  const json sweep = json::parse(folder_.read("s.json"));
  EXPECT_EQ(sweep["front"], json({"time", "area", "edp"}));
  std::vector<std::string> points;
  bool has_front = false;
  for (const json& point : sweep["points"]) {
    points.push_back(point["format"].get<std::string>() + " " +
                     (point["accumulator_bits"].is_null() ? "-"
                      : point["accumulator_bits"] == 12   ? "12"
                                                          : "full"));
    EXPECT_EQ(point["with_memory_pj"].get<double>(),
              point["computing_pj"].get<double>() + point["memory_pj"].get<double>());
    // At 1 GHz.
    EXPECT_DOUBLE_EQ(point["energy_delay_js"].get<double>(),
                     point["with_memory_pj"].get<double>() * 1e-12 * point["cycles"].get<double>() * 1e-9);
    has_front = has_front || point["pareto"].get<bool>();
  }
  // Baselines have no accumulator of a width, and e2m1 is there once.
  EXPECT_EQ(points, (std::vector<std::string>{"fp32 -", "fp8 -", "mxfp8/k32 full", "mxfp8/k32 12", "e2m1/g8m1/nc full",
                                              "e2m1/g8m1/nc 12", "e2m2/g8m1/nc full", "e2m2/g8m1/nc 12"}));
  EXPECT_TRUE(has_front);
}

TEST_F(Sweep, WritesTheSameInEveryWay) {
  ASSERT_EQ(run("--exponent-bits 2 --mantissa-bits 1:4 --out a.csv --jobs 1").status, 0);
  ASSERT_EQ(run("--exponent-bits 2 --mantissa-bits 1:4 --out b.csv").status, 0);
  EXPECT_EQ(folder_.read("a.csv"), folder_.read("b.csv"));
  const std::string csv = folder_.read("a.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
}

TEST_F(Sweep, ReadsCsvAsJson) {
  const std::string what = "--formats fp32,mxfp8,e2m1+e2m1+e2m3 --accumulator-bits full,10 --pareto area,energy ";
  for (const char* engine : {"functional", "analytic"}) {
    SCOPED_TRACE(engine);
    for (const char* file : {"s.csv", "s.json"}) {
      ASSERT_EQ(run(fmt::format("{} --engine {} --out {}", what, engine, file)).status, 0);
    }
    EXPECT_EQ(load_sweep((folder_.path() / "s.csv").string()).document,
              load_sweep((folder_.path() / "s.json").string()).document);
  }
  const auto error = [&](const std::string& text) {
    folder_.write("bad.csv", text);
    return test::error_of([&] { load_sweep((folder_.path() / "bad.csv").string()); });
  };
  EXPECT_THAT(error(""), HasSubstr("bad.csv: has no points, expected what mlsim sweep writes as CSV"));
  EXPECT_THAT(error("a,b\n1,2\n"), HasSubstr("bad.csv: "));
  EXPECT_THAT(error("format,cycles\nfp32,many\n"), HasSubstr("bad.csv: line 2, cycles: is 'many', expected a number"));
  EXPECT_EQ(error("passes,forward_overflows\n1,2\n"),
            (folder_.path() / "bad.csv").string() +
                ": line 1: has a column 'passes', expected one for each figure, such as forward_overflows");
  std::string text = folder_.read("s.csv");
  text.replace(text.find(",false,"), 7, ",perhaps,");
  EXPECT_THAT(error(text), HasSubstr("pareto: is 'perhaps'"));
}

TEST_F(Sweep, ASampleHasRowsOfTheWholeSweep) {
  const std::string what = "--exponent-bits 0:4 --mantissa-bits 1:6 --sharing 1,2,4,8 --engine analytic ";
  ASSERT_EQ(run(what + "--out whole.json").status, 0);
  const json whole = json::parse(folder_.read("whole.json"))["points"];
  for (const std::string sampling : {"random", "latin-hypercube"}) {
    const std::string sample = what + "--sample 30 --seed 5 --sampling " + sampling;
    ASSERT_EQ(run(sample + " --out a.json").status, 0);
    ASSERT_EQ(run(sample + " --jobs 1 --out b.json").status, 0);
    EXPECT_EQ(folder_.read("a.json"), folder_.read("b.json"));
    json points = json::parse(folder_.read("a.json"))["points"];
    ASSERT_EQ(points.size(), 30U);
    std::size_t place = 0;
    for (json& point : points) {
      point.erase("pareto");
      const auto is_it = [&](json other) {
        other.erase("pareto");
        return other == point;
      };
      while (place < whole.size() && !is_it(whole[place])) ++place;
      ASSERT_LT(place, whole.size()) << point;
      ++place;
    }
    ASSERT_EQ(run(what + "--sample 30 --seed 6 --sampling " + sampling + " --out c.json").status, 0);
    EXPECT_NE(folder_.read("a.json"), folder_.read("c.json"));
  }
}

// What points share is no part of a result: with and without it, and beside more or fewer points.
TEST_F(Sweep, WhatIsKeptChangesNothing) {
  const std::string what =
      "--formats e2m4,int8,e2m1+e2m4+e2m1 --accumulator-bits full,12 --sharing 2,8 --activity gated --out ";
  ASSERT_EQ(run(what + "kept.csv").status, 0);
  ASSERT_EQ(run(what + "anew.csv --cache 0").status, 0);
  EXPECT_EQ(folder_.read("kept.csv"), folder_.read("anew.csv"));
}

TEST_F(Sweep, OfManyPointsItPrintsTheFront) {
  const test::CommandResult result = run(
      "--exponent-bits 0:4 --mantissa-bits 1:6 --scale-fraction-bits 0:3 --sharing 1,2,4,8,16,32,64,128,256 --engine "
      "analytic --pareto area,time --out s.json");
  ASSERT_EQ(result.status, 0) << result.err;
  const json points = json::parse(folder_.read("s.json"))["points"];
  ASSERT_GT(points.size(), 1000U);
  const auto front =
      std::count_if(points.begin(), points.end(), [](const json& point) { return point["pareto"] == true; });
  EXPECT_THAT(result.out,
              HasSubstr(fmt::format("of {} points, the {} on the front are shown\n", points.size(), front)));
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), front + 4);
}

TEST_F(Sweep, GroupingsAreAnAxisOfFormatsWithoutOne) {
  ASSERT_EQ(run("--formats mxfp4,nvfp4/k16,fp8,e2m1 --grouping b4,k8 --engine analytic --out s.json").status, 0);
  std::vector<std::string> formats;
  const ordered_json sweep = ordered_json::parse(folder_.read("s.json"));
  for (const ordered_json& point : sweep["points"]) {
    formats.push_back(point["activation"].get<std::string>() + " " + point["error"].get<std::string>());
  }
  EXPECT_EQ(formats,
            (std::vector<std::string>{"mxfp4/b4 mxfp4/b4", "mxfp4/k8 mxfp4/k8", "nvfp4/k16 nvfp4/k16",
                                      "fp8-e4m3 fp8-e5m2", "e2m1/g8m1/b4 e2m1/g8m1/b4", "e2m1/g8m1/k8 e2m1/g8m1/k8"}));
}

TEST_F(Sweep, Refuses) {
  expect_error("", "nothing to sweep");
  expect_error("--formats e2m4 --mantissa-bits 1:2", "--mantissa-bits is given, expected both");
  expect_error("--exponent-bits 3:1 --mantissa-bits 1", "lower end first");
  expect_error("--exponent-bits 0:9 --mantissa-bits 1", "--exponent-bits");
  expect_error("--exponent-bits 0 --mantissa-bits 0", "nothing to sweep");
  expect_error("--formats e2m4+e2m1", "ACTIVATION+WEIGHT+ERROR");
  expect_error("--formats e2m99", "e2m99");
  expect_error("--formats e2m4 --scale-fraction-bits 2", "--scale-fraction-bits is given, expected both");
  expect_error("--formats e2m4 --pareto energy,speed", "--pareto: has 'speed', expected one of energy");
  expect_error("--formats e2m4 --pareto time,time", "--pareto: has time twice");
  expect_error("--formats e2m4 --pareto error --engine analytic", "--pareto: has error, which the analytic engine");
  expect_error("--formats e2m4 --grouping q",
               "grouping 'q' is unknown, expected nc, n, c, none, bB (blocks of B channels, ");
  expect_error("--exponent-bits 2 --mantissa-bits 1 --grouping x", "grouping 'x'");
  expect_error("--formats e2m4 --out s.txt", ".csv or .json");
  expect_error("--formats e2m4 --sharing 300", "--sharing 300");
  expect_error("--formats int8+int8+fp16", "--formats: backward_data would multiply fp16 by int8");
  expect_error("--formats e2m4+int8+fp16", "--formats: forward would multiply e2m4/g8m1/nc by int8");
  expect_error("--formats e2m4 --engine cycle", "functional or analytic");
  expect_error("--formats e2m4 --out /proc/nowhere/s.csv", "/proc/nowhere");
  std::filesystem::create_directory(folder_.path() / "folder.csv");
  expect_error("--formats e2m4 --out folder.csv", "folder.csv: cannot be written: it is a folder");
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "folder.csv.journal"));
}

// Points of a sweep that was killed must not outlive a change of what they were made of.
TEST_F(Sweep, AnEditedInputStartsItAnew) {
  const std::string header = write_long_workload();
  const std::vector<std::array<std::string, 3>> edits{
      {"net.csv", header + "conv, 10, 10, 3, 3, 4, 8, 1,\n", header + "conv, 12, 12, 3, 3, 4, 8, 1,\n"},
      {"array.json", R"({ "rows": 4, "columns": 4, "quantizer_lanes": 16 })",
       R"({ "rows": 4, "columns": 4, "quantizer_lanes": 1 })"},
  };
  for (const auto& [file, before, after] : edits) {
    for (const auto& [name, text, unused] : edits) folder_.write(name, text);
    const std::string ranges =
        "--exponent-bits 0:3 --mantissa-bits 1:6 --array " + (folder_.path() / "array.json").string() + " --jobs 1";
    const std::filesystem::path journal = folder_.path() / "killed.csv.journal";
    const pid_t process = start("killed.csv", ranges);
    const bool begun = test::comes_true([&] {
      return std::filesystem::exists(journal) && folder_.read("killed.csv.journal").find("row") != std::string::npos;
    });
    kill(process, SIGKILL);
    waitpid(process, nullptr, 0);
    ASSERT_TRUE(begun);
    ASSERT_TRUE(std::filesystem::exists(journal)) << "it had ended before it was killed";

    folder_.write(file, after);
    ASSERT_EQ(run(ranges + " --out killed.csv").status, 0);
    ASSERT_EQ(run(ranges + " --out whole.csv").status, 0);
    EXPECT_EQ(folder_.read("killed.csv"), folder_.read("whole.csv")) << file;
  }
}

TEST_F(Sweep, TakesNamesAsLongAsFilesMayHave) {
  const std::string name = std::string(251, 'n') + ".csv";
  EXPECT_EQ(run("--formats e2m4 --out " + name).status, 0);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), std::filesystem::directory_iterator()),
            4);  // the workload, the output, and what the command printed
}

// A tensor that cannot be read for a moment: what a later run finds in the journal is right. 60 repetitions, of which
// ten ended in wrong rows when a failing point cancelled the work of others.
TEST_F(Sweep, APassingFailureLeavesNoWrongRow) {
  const std::filesystem::path trace =
      std::filesystem::path(MLSIM_SOURCE_DIR) / "workloads/traces/resnet20-cifar10-e2m4";
  std::filesystem::copy(trace, folder_.path() / "trace");
  const std::string sweep = "sweep trace/workload.json --engine functional --exponent-bits 1:2 --mantissa-bits 1:2 ";
  const auto run_trace = [&](const std::string& out) {
    return test::run_mlsim(MLSIM_COMMAND, folder_, sweep + "--jobs 4 --out " + out);
  };
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run_trace("whole.csv").status, 0);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
  const std::string expected = folder_.read("whole.csv");
  const std::string tensor = "trace/layer2.0.conv1.weight.npy";
  const int repetitions = test::runs(60);
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    std::thread damage([&] {
      std::this_thread::sleep_for(whole * repetition / repetitions);
      std::filesystem::rename(folder_.path() / tensor, folder_.path() / "away.npy");
    });
    const test::CommandResult failed = run_trace("out.csv");
    damage.join();
    std::filesystem::rename(folder_.path() / "away.npy", folder_.path() / tensor);
    ASSERT_TRUE(failed.status == 0 || failed.status == 2) << failed.err;
    if (failed.status == 2) {
      ASSERT_THAT(failed.err, HasSubstr("layer2.0.conv1.weight.npy: cannot be "));
    }
    ASSERT_EQ(run_trace("out.csv").status, 0);
    ASSERT_EQ(folder_.read("out.csv"), expected) << "repetition " << repetition;
    std::filesystem::remove(folder_.path() / "out.csv");
  }
}

// Another workload on the pipe is another sweep, though the command is the same.
TEST_F(Sweep, KnowsAWorkloadFromAPipeByItsContent) {
  const std::string ranges = "sweep /dev/stdin --exponent-bits 0:3 --mantissa-bits 1:5 --out s.csv";
  // Long enough for a kill to meet it.
  std::string first = kSweepWorkload;
  first.replace(first.find("\"batch\": 2"), 10, "\"batch\": 512");
  folder_.write("first.json", first);
  std::string other = first;
  other.replace(other.find("\"seed\": 1"), 9, "\"seed\": 2");
  folder_.write("other.json", other);
  const auto piped = [&](const std::string& file, const std::string& prefix) {
    const std::string line = "cd '" + folder_.path().string() + "' && cat " + file + " | " + prefix + " '" +
                             MLSIM_COMMAND + "' " + ranges + " >out.txt 2>err.txt";
    return std::system(line.c_str());  // NOLINT(cert-env33-c): the shell's pipe is what is tested
  };
  ASSERT_EQ(piped("other.json", ""), 0);
  const std::string expected = folder_.read("s.csv");
  std::filesystem::remove(folder_.path() / "s.csv");
  for (int delay = 1; !std::filesystem::exists(folder_.path() / "s.csv.journal"); ++delay) {
    ASSERT_LT(delay, 100);
    piped("first.json", "timeout -s KILL 0." + std::string(delay < 10 ? "0" : "") + std::to_string(delay));
    if (std::filesystem::exists(folder_.path() / "s.csv")) std::filesystem::remove(folder_.path() / "s.csv");
  }
  ASSERT_EQ(piped("other.json", ""), 0);
  EXPECT_EQ(folder_.read("s.csv"), expected);
}

TEST_F(Sweep, KilledAtRandomMomentsItEndsInTheSameBytes) {
  const std::string ranges = "--exponent-bits 0:3 --mantissa-bits 1:5 --grouping nc,n";
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run(ranges + " --out whole.csv").status, 0);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
  const std::string expected = folder_.read("whole.csv");

  const unsigned seed = 20;
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> moment(0, whole.count());
  int killed = 0;
  for (int trial = 0; trial < 20; ++trial) {
    const pid_t process = start("killed.csv", ranges);
    std::this_thread::sleep_for(std::chrono::duration<double>(moment(random)));
    kill(process, SIGKILL);
    int status = 0;
    waitpid(process, &status, 0);
    killed += WIFSIGNALED(status) ? 1 : 0;
    // Now and then it is let through to the end; the next trial starts a sweep from nothing.
    if (trial % 3 == 2) {
      ASSERT_EQ(run(ranges + " --out killed.csv").status, 0) << "seed " << seed << ", trial " << trial;
      ASSERT_EQ(folder_.read("killed.csv"), expected) << "seed " << seed << ", trial " << trial;
      std::filesystem::remove(folder_.path() / "killed.csv");
    }
  }
  EXPECT_GT(killed, 0);
  ASSERT_EQ(run(ranges + " --out killed.csv").status, 0);
  EXPECT_EQ(folder_.read("killed.csv"), expected);
}

TEST_F(Sweep, SaysHowToGoOnWhereItIsInterrupted) {
  write_long_workload();
  const std::string command = "cd '" + folder_.path().string() +
                              "' && exec '" MLSIM_COMMAND
                              "' sweep workload.json --exponent-bits 0:4 --mantissa-bits 1:5 --grouping nc,n,c,none "
                              "--sharing 1,2,4 --out s.csv >out.txt 2>err.txt";
  const pid_t process = fork();
  ASSERT_GE(process, 0);
  if (process == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  // A point is done, and most are not.
  const std::filesystem::path journal = folder_.path() / "s.csv.journal";
  int status = 0;
  const auto lines = [&] {
    std::error_code none;
    return std::filesystem::exists(journal, none) ? std::filesystem::file_size(journal, none) : 0;
  };
  while (lines() < 1000 && waitpid(process, &status, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(process, SIGINT);
  ASSERT_EQ(waitpid(process, &status, 0), process);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(
      folder_.read("err.txt"),
      "\nmlsim: sweep interrupted, its finished points are in s.csv.journal: the same command goes on from there\n");
}

TEST_F(Sweep, ATableWithoutAreasLeavesThemOut) {
  const test::CommandResult result = run("--formats e2m4,e2m1 --table tpuv4i-7nm --out s.json");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, testing::Not(HasSubstr("nan")));
  const json points = json::parse(folder_.read("s.json"))["points"];
  ASSERT_EQ(points.size(), 2U);
  for (const json& point : points) EXPECT_TRUE(point["area_um2"].is_null());
}

TEST_F(Sweep, TwoSideBySideDoNotDisturbEachOther) {
  const std::string ranges = "--exponent-bits 0:3 --mantissa-bits 1:4";
  ASSERT_EQ(run(ranges + " --out expected.json").status, 0);
  const pid_t first = start("a.json", ranges);
  const pid_t second = start("b.json", ranges);
  for (const pid_t process : {first, second}) {
    int status = 0;
    waitpid(process, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(folder_.read("a.json"), folder_.read("expected.json"));
  EXPECT_EQ(folder_.read("b.json"), folder_.read("expected.json"));
}

}  // namespace
}  // namespace mlsim
