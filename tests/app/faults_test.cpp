// What the command does where the system refuses it something: a read, a write, any other call on a file, memory.
#include "tests/support/faults.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tests/support/random_tensors.h"
#include "tests/support/repetitions.h"
#include "tests/support/temporary_folder.h"
#include "workloads/npy.h"

namespace mlsim {
namespace {

namespace fs = std::filesystem;
using test::FaultCounts;
using test::FaultKind;
using test::TemporaryFolder;

using Files = std::map<std::string, std::string>;  // contents by names within a folder

// A command over the inputs of make_inputs().
struct Scenario {
  std::string name;
  std::vector<std::string> arguments;
  std::string input = "/dev/null";  // what standard input is
  // Files of earlier runs that it takes up. It may change or remove them, even where it fails.
  Files taken_up = {};
};

std::ostream& operator<<(std::ostream& stream, const Scenario& scenario) {
  return stream << scenario.name;
}

void write_tensor(const fs::path& path, const models::Shape& shape, std::mt19937& random) {
  models::Tensor<float> tensor{shape, std::vector<float>(static_cast<std::size_t>(models::element_count(shape)))};
  std::normal_distribution<float> normal;
  for (float& x : tensor.values) x = normal(random);
  workloads::write_npy(path, tensor);
}

// A trace has a line for each signal's change.
constexpr const char* kOnePixel = R"({ "schema": "mlsim.workload/1", "name": "pixel", "seed": 7, "format": "e2m1",
  "values": {}, "layers": [
    { "name": "conv", "type": "conv2d", "batch": 1, "in_channels": 1, "out_channels": 1, "in_size": [1, 1],
      "kernel": [1, 1], "passes": ["forward"] } ] })";

constexpr const char* kWorkloadOfFiles =
    R"({ "schema": "mlsim.workload/1", "name": "small", "seed": 7, "format": "e2m4",
  "layers": [
    { "name": "conv", "type": "conv2d", "batch": 4, "in_channels": 3, "out_channels": 2, "in_size": [6, 6],
      "kernel": [3, 3], "padding": [1, 1],
      "tensors": { "activation": "a.npy", "weight": "w.npy", "error": "e.npy" } } ] })";

class Faults : public testing::TestWithParam<Scenario> {
 protected:
  struct Outcome {
    int status = 0;  // as waitpid() has it
    std::string out;
    std::string err;
    Files files;
    FaultCounts counts{};
  };

  Faults() {
    fs::create_directory(folder());
    std::ofstream(memory_.path() / "counts") << std::string(sizeof(FaultCounts), '\0');
    const int file = open((memory_.path() / "counts").c_str(), O_RDWR | O_CLOEXEC);
    void* const counts = mmap(nullptr, sizeof(FaultCounts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (counts == MAP_FAILED) throw std::runtime_error("the counts cannot be mapped");
    counts_ = static_cast<FaultCounts*>(counts);
    make_inputs();
    undisturbed_ = run("", inputs_);
    if (undisturbed_.status != 0) throw std::runtime_error("without a fault: " + undisturbed_.err);
    // What was there before, in the second of the two ways in which each fault is tried.
    for (const auto& [name, content] : undisturbed_.files) {
      if (inputs_.count(name) == 0) old_[name] = "what was there before: " + name + "\n";
    }
  }
  ~Faults() override { munmap(counts_, sizeof(FaultCounts)); }

  fs::path folder() const { return memory_.path() / "folder"; }

  static Files files_of(const fs::path& folder) {
    Files files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream stream(entry.path(), std::ios::binary);
      std::string content{std::istreambuf_iterator<char>(stream), {}};
      // A trace says when it was made.
      const std::size_t date = content.find("$date");
      if (date != std::string::npos && entry.path().extension() == ".vcd") {
        content.erase(date, content.find("$end", date) - date);
      }
      files[entry.path().lexically_relative(folder).string()] = std::move(content);
    }
    return files;
  }

  // Makes the folder hold these files and no others.
  void set_files(const Files& files) const {
    fs::remove_all(folder());
    fs::create_directory(folder());
    for (const auto& [name, content] : files) {
      const fs::path path = folder() / name;
      fs::create_directories(path.parent_path());
      std::ofstream(path, std::ios::binary) << content;
    }
  }

  // Runs a command in the folder, as it is; standard output is a file there too.
  Outcome start(const std::string& fault, const std::vector<std::string>& arguments, const std::string& input) const {
    std::vector<std::string> words{MLSIM_COMMAND};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<std::string> variables{"LD_PRELOAD=" MLSIM_FAULTS, "MLSIM_FAULT_FOLDER=" + folder().string(),
                                       "MLSIM_FAULT_COUNTS=" + (memory_.path() / "counts").string()};
    // SystemC's own pool of memory (2.3.4: sc_allocator::allocate()) does not look whether it got any. It is there
    // before main, so that a program cannot do without it, but those who start one can.
    variables.emplace_back("SYSTEMC_MEMPOOL_DONT_USE=1");
    if (!fault.empty()) variables.push_back("MLSIM_FAULT=" + fault);
    for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> result;
      result.reserve(texts.size() + 1);
      for (std::string& text : texts) result.push_back(text.data());
      result.push_back(nullptr);
      return result;
    };
    const std::string err = memory_.path() / "err.txt";
    *counts_ = {};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder().c_str());
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    pid_t process = -1;
    const int error =
        posix_spawn(&process, MLSIM_COMMAND, &actions, nullptr, pointers(words).data(), pointers(variables).data());
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::runtime_error("the command cannot be started");
    Outcome outcome;
    waitpid(process, &outcome.status, 0);
    outcome.counts = *counts_;
    outcome.err = memory_.read("err.txt");
    outcome.files = files_of(folder());
    outcome.out = outcome.files.extract("out.txt").mapped();
    return outcome;
  }

  Outcome run(const std::string& fault, const Files& files) const {
    set_files(files);
    return start(fault, GetParam().arguments, GetParam().input);
  }

  void make_inputs() {
    std::mt19937 random(5);
    write_tensor(folder() / "a.npy", {4, 3, 6, 6}, random);
    write_tensor(folder() / "w.npy", {2, 3, 3, 3}, random);
    write_tensor(folder() / "e.npy", {4, 2, 6, 6}, random);
    std::ofstream(folder() / "workload.json") << kWorkloadOfFiles;
    std::ofstream(folder() / "array.json") << R"({ "rows": 4, "columns": 4, "elements_per_scaler": 2 })";
    std::ofstream(folder() / "pixel.json") << kOnePixel;
    std::ofstream(folder() / "one.json") << R"({ "rows": 1, "columns": 1, "elements_per_scaler": 1 })";
    if (GetParam().arguments[0] == "report") {
      start("", {"simulate", "workload.json", "--results", "results.json", "--jobs", "1"}, "/dev/null");
      start("", {"sweep", "workload.json", "--formats", "e2m4,e2m1", "--out", "sweep.json", "--jobs", "1"},
            "/dev/null");
    }
    fs::remove(folder() / "out.txt");
    inputs_ = files_of(folder());
    for (const auto& [name, content] : GetParam().taken_up) inputs_[name] = content;
  }

  // A fault that the program can be expected to get over, as a short count.
  enum class Allowed { kFailure, kNone };

  // Runs with a fault, beside nothing or what was there before, and looks at what it leaves.
  void expect_whole(const std::string& fault, bool with_old, Allowed allowed) {
    SCOPED_TRACE(fault + (with_old ? ", where old files were there" : ""));
    Files before = inputs_;
    if (with_old) before.insert(old_.begin(), old_.end());
    const Outcome outcome = run(fault, before);
    ++runs_;
    SCOPED_TRACE(outcome.counts.function);
    const bool failed = outcome.status != 0;
    if (WIFSIGNALED(outcome.status)) {
      EXPECT_TRUE(fault.ends_with(":signal") && WTERMSIG(outcome.status) == SIGTERM)
          << "signal " << WTERMSIG(outcome.status) << "\n"
          << outcome.err;
    } else if (failed) {
      EXPECT_EQ(WEXITSTATUS(outcome.status), 2);
      EXPECT_THAT(outcome.err, testing::StartsWith("mlsim: error: "));
      EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
      EXPECT_EQ(allowed, Allowed::kFailure) << outcome.err;
      if (fault.starts_with("read:")) {
        // The file does not lack anything: it could not be read.
        EXPECT_THAT(outcome.err, testing::HasSubstr("cannot be read"));
      }
    } else {
      EXPECT_EQ(outcome.err, "");
      EXPECT_EQ(outcome.out, undisturbed_.out);
    }
    bool has_journal = false;
    for (const auto& [name, content] : outcome.files) {
      const auto was = before.find(name);
      const auto expected = undisturbed_.files.find(name);
      if (GetParam().arguments[0] == "sweep" && name.ends_with(".journal") && failed) {
        has_journal = true;
      } else if (expected == undisturbed_.files.end() && was == before.end()) {
        // Where it could not be removed, there is nothing more to do.
        const std::string function = outcome.counts.function;
        EXPECT_THAT(function, testing::AnyOf("unlink", "unlinkat", "remove")) << name << " was left behind";
      } else {
        const bool is_old = was != before.end() && content == was->second;
        const bool is_new = expected != undisturbed_.files.end() && content == expected->second;
        EXPECT_TRUE(is_new || (failed && is_old)) << name << (is_old ? " is still the old one" : " is another file");
      }
    }
    for (const auto& [name, content] : before) {
      EXPECT_TRUE(outcome.files.count(name) == 1 || GetParam().taken_up.count(name) == 1) << name << " was lost";
    }
    if (!failed) {
      for (const auto& [name, content] : undisturbed_.files) EXPECT_EQ(outcome.files.count(name), 1U) << name;
    }
    if (has_journal || (failed && !GetParam().taken_up.empty())) {
      const Outcome again = start("", GetParam().arguments, GetParam().input);
      EXPECT_EQ(again.status, 0) << "again: " << again.err;
      EXPECT_EQ(again.out, undisturbed_.out) << "again";
      for (const auto& [name, content] : undisturbed_.files) {
        EXPECT_TRUE(again.files.count(name) == 1 && again.files.at(name) == content) << "again: " << name;
      }
      EXPECT_EQ(again.files.size(), undisturbed_.files.size()) << "again";
    }
  }

  std::uint64_t calls(FaultKind kind) const { return undisturbed_.counts.calls[static_cast<std::size_t>(kind)]; }

  // Numbers of calls from 1 to their count: all, or, where there are more, a sample of `most`.
  static std::set<std::uint64_t> sample(std::uint64_t count, std::uint64_t most, unsigned seed) {
    std::set<std::uint64_t> numbers;
    std::mt19937_64 random(seed);
    while (numbers.size() < std::min(count, most)) {
      numbers.insert(count <= most ? numbers.size() + 1
                                   : std::uniform_int_distribution<std::uint64_t>(1, count)(random));
    }
    return numbers;
  }

  void report() {
    RecordProperty("runs", std::to_string(runs_));
    fmt::print("{}: {} reads, {} writes, {} other calls, {} allocations; {} runs with a fault\n", GetParam().name,
               calls(FaultKind::kRead), calls(FaultKind::kWrite), calls(FaultKind::kCall),
               calls(FaultKind::kAllocation), runs_);
  }

  TemporaryFolder memory_;
  FaultCounts* counts_ = nullptr;
  Files inputs_;
  Files old_;
  Outcome undisturbed_;
  int runs_ = 0;
};

TEST_P(Faults, OfEveryReadAndWrite) {
  ASSERT_GT(calls(FaultKind::kRead), 0U);
  ASSERT_GT(calls(FaultKind::kWrite), 0U);
  // A trace is written in many pieces.
  const int most = test::runs(30);
  for (const std::uint64_t number : sample(calls(FaultKind::kRead), most, 1)) {
    expect_whole(fmt::format("read:{}:{}", number, EIO), true, Allowed::kFailure);
    expect_whole(fmt::format("read:{}:{}", number, EINTR), false, Allowed::kNone);
    expect_whole(fmt::format("read:{}:short", number), false, Allowed::kNone);
  }
  for (const std::uint64_t number : sample(calls(FaultKind::kWrite), most, 2)) {
    expect_whole(fmt::format("write:{}:{}", number, EIO), true, Allowed::kFailure);
    expect_whole(fmt::format("write:{}:{}", number, ENOSPC), false, Allowed::kFailure);
    expect_whole(fmt::format("write:{}+:{}", number, ENOSPC), true, Allowed::kFailure);
    expect_whole(fmt::format("write:{}:{}", number, EINTR), false, Allowed::kNone);
    expect_whole(fmt::format("write:{}:short", number), true, Allowed::kNone);
    expect_whole(fmt::format("write:{}:signal", number), true, Allowed::kFailure);
  }
  report();
}

TEST_P(Faults, OfEveryOtherCall) {
  for (const std::uint64_t number : sample(calls(FaultKind::kCall), test::runs(200), 3)) {
    expect_whole(fmt::format("call:{}:{}", number, EIO), number % 2 == 0, Allowed::kFailure);
    expect_whole(fmt::format("call:{}:signal", number), number % 2 == 1, Allowed::kFailure);
  }
  report();
}

TEST_P(Faults, OfManyAllocations) {
  // Memory is short for a moment, or from then on.
  for (const std::uint64_t number : sample(calls(FaultKind::kAllocation), test::runs(200), 4)) {
    expect_whole(fmt::format("allocation:{}{}:{}", number, number % 4 == 0 ? "+" : "", ENOMEM), number % 2 == 0,
                 Allowed::kFailure);
  }
  report();
}

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all{
      {"simulate_functional",
       {"simulate", "workload.json", "--array", "array.json", "--results", "r.json", "--tensors", "t", "--jobs", "1"}},
      {"simulate_cycle",
       {"simulate", "workload.json", "--engine", "cycle", "--results", "r.json", "--tensors", "t", "--jobs", "1"}},
      {"simulate_structural",
       {"simulate", "pixel.json", "--array", "one.json", "--engine", "structural", "--results", "r.json", "--trace",
        "t.vcd", "--jobs", "1", "--quiet"}},
      {"simulate_to_standard_output", {"simulate", "workload.json", "--jobs", "1"}},
      {"sweep_csv", {"sweep", "workload.json", "--formats", "e2m4,e2m1", "--out", "s.csv", "--jobs", "1"}},
      {"sweep_json", {"sweep", "workload.json", "--formats", "e2m4,int8", "--out", "s.json", "--jobs", "1"}},
      {"report_text", {"report", "results.json", "--out", "r.txt"}},
      {"report_json", {"report", "results.json", "--format", "json", "--out", "r.json"}},
      {"report_csv", {"report", "-", "--format", "csv", "--out", "r.csv"}, "results.json"},
      {"report_html", {"report", "results.json", "--format", "html", "--sweep", "sweep.json", "--out", "r.html"}},
      {"quantize_mls", {"quantize", "a.npy", "--format", "e2m1/g8m0/n", "--out", "q"}},
      {"quantize_int8", {"quantize", "-", "--format", "int8", "--out", "q"}, "a.npy"},
  };
  return all;
}

INSTANTIATE_TEST_SUITE_P(Command, Faults, testing::ValuesIn(scenarios()),
                         [](const testing::TestParamInfo<Scenario>& test) { return test.param.name; });

}  // namespace
}  // namespace mlsim
