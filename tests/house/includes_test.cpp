// The floors of docs/architecture.md: who may include whom, read from every #include of the sources.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace mlsim {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using Names = std::vector<std::string>;

// Each room, and the rooms that it includes from beside itself.
const std::map<std::string, Names>& floors() {
  static const std::map<std::string, Names> rooms{
      {"base", {}},
      {"models", {"base"}},
      {"energy", {"base", "models"}},
      {"workloads", {"base", "models"}},
      {"sim", {"base", "models", "energy", "workloads"}},
      {"evaluation", {"base", "models", "energy", "workloads", "sim"}},
      {"app/report", {"base", "models", "energy", "workloads", "sim", "evaluation"}},
      {"app/cli", {"base", "models", "energy", "workloads", "sim", "evaluation", "app/report"}},
      {"trainer", {"base", "models", "workloads"}},
      {"python", {"base", "models", "energy", "workloads", "sim", "evaluation", "app/report"}},
      {"bench", {"base", "models", "energy", "workloads", "sim", "evaluation"}},
  };
  return rooms;
}

// Headers that the build writes.
bool is_generated(const std::string& path) {
  return path.ends_with(".inc");
}

std::string room_of(const std::string& path) {
  const std::size_t end = path.find('/', path.starts_with("app/") ? 4 : 0);
  return path.substr(0, end);
}

struct Line {
  int number = 0;
  std::string include;  // the path that it includes, or nothing
  bool is_quoted = false;
  std::string text;  // without a comment
};

using Sources = std::map<std::string, std::vector<Line>>;

std::vector<Line> lines_of(std::istream& text) {
  static const std::regex pattern(R"re(^\s*#\s*include\s*(["<])([^">]+)[">].*$)re");
  std::vector<Line> lines;
  std::string content;
  for (int number = 1; std::getline(text, content); ++number) {
    Line line{number, "", false, content.substr(0, content.find("//"))};
    std::smatch match;
    if (content.find("include") != std::string::npos && std::regex_match(content, match, pattern)) {
      line.include = match[2];
      line.is_quoted = match[1] == "\"";
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

Sources of_repository() {
  Sources sources;
  const fs::path root = MLSIM_SOURCE_DIR;
  for (const char* folder :
       {"base", "models", "energy", "workloads", "sim", "evaluation", "app", "trainer", "python", "bench"}) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
      std::ifstream file(entry.path());
      sources[fs::relative(entry.path(), root).generic_string()] = lines_of(file);
    }
  }
  return sources;
}

// As error messages of the command: FILE: PLACE: what is there, what was expected.
class Breaches {
 public:
  explicit Breaches(const Sources& sources) : sources_(sources) {
    for (const auto& [file, lines] : sources) {
      if (!floors().contains(room_of(file))) {
        sentences_.push_back(file + ": is in no room, expected a folder that stands in docs/architecture.md");
        continue;
      }
      for (const Line& line : lines) {
        if (!line.include.empty()) {
          check_room(file, line);
          check_library(file, line);
        }
        check_parallel(file, line);
      }
    }
  }

  const Names& sentences() const { return sentences_; }

 private:
  void add(const std::string& file, const Line& line, const std::string& found, const std::string& expected) {
    sentences_.push_back(file + ": line " + std::to_string(line.number) + ": " + found + ", expected " + expected);
  }

  void check_room(const std::string& file, const Line& line) {
    const std::string own = room_of(file);
    const std::string room = room_of(line.include);
    if (!floors().contains(room)) {
      if (line.is_quoted && !is_generated(line.include) && !line.include.starts_with("hwy/")) {
        add(file, line, "includes \"" + line.include + "\"",
            "a path from the top of the repository, such as \"base/error.h\"");
      }
      return;
    }
    const Names& below = floors().at(own);
    if (room == own || std::ranges::find(below, room) != below.end()) return;
    std::string expected = "a file of " + own;
    for (const std::string& lower : below) expected += (lower == below.back() ? " or " : ", ") + lower;
    add(file, line, "includes \"" + line.include + "\"", expected);
  }

  void check_library(const std::string& file, const Line& line) {
    const std::string included = "includes <" + line.include + ">";
    const std::string own = room_of(file);
    if (is_systemc(line.include) && !file.starts_with("sim/systemc/") && file != "sim/simulate.cpp" &&
        !file.starts_with("app/")) {
      add(file, line, included, "SystemC in sim/systemc, sim/simulate.cpp and app alone");
    }
    if (is_torch(line.include) && own != "trainer" && file != "bench/ratios.cpp") {
      add(file, line, included, "libtorch in trainer and bench/ratios.cpp alone");
    }
    if (line.include.starts_with("pybind11/") && own != "python") {
      add(file, line, included, "pybind11 in python alone");
    }
    if (is_onnx(line.include) && !file.starts_with("workloads/onnx/")) {
      add(file, line, included, "protocol buffers in workloads/onnx alone");
    }
    if (line.include == "mpi.h" && file != "base/mpi_ranks.cpp") {
      add(file, line, included, "MPI in base/mpi_ranks.cpp alone");
    }
    if (own != "models") return;
    if (is_json(line.include)) add(file, line, included, "no JSON in models");
    std::set<std::string> seen;
    const std::string through = brings_json(line.include, seen);
    if (!through.empty()) {
      add(file, line, "includes \"" + line.include + "\", by which " + through + " brings JSON", "no JSON in models");
    }
  }

  void check_parallel(const std::string& file, const Line& line) {
    static const std::regex header(R"((oneapi/)?tbb/(parallel_\w+|task_group|flow_graph|tbb)\.h|(oneapi/)?tbb\.h)");
    static const std::regex algorithm(R"(\btbb::(\w+::)*(parallel_\w+|task_group\w*|flow)\b)");
    if (file == "base/parallel.h") return;
    if (std::regex_match(line.include, header)) {
      add(file, line, "includes <" + line.include + ">",
          "base/parallel.h, whose sections end with all their work done");
    }
    std::smatch call;
    if (line.text.find("tbb::") != std::string::npos && std::regex_search(line.text, call, algorithm)) {
      add(file, line, "has " + call.str(), "a section of base/parallel.h, which ends with all its work done");
    }
  }

  static bool is_systemc(const std::string& path) {
    return path == "systemc" || path == "systemc.h" || path.starts_with("sysc/") || path.starts_with("tlm");
  }
  static bool is_torch(const std::string& path) {
    return path.starts_with("torch/") || path.starts_with("ATen/") || path.starts_with("c10/");
  }
  static bool is_onnx(const std::string& path) { return path.starts_with("onnx/") || path.starts_with("google/"); }
  static bool is_json(const std::string& path) { return path.starts_with("nlohmann/"); }

  // The file that includes JSON, of one and what it includes, or nothing.
  std::string brings_json(const std::string& file, std::set<std::string>& seen) const {
    const auto found = sources_.find(file);
    if (found == sources_.end() || !seen.insert(file).second) return "";
    for (const Line& line : found->second) {
      if (is_json(line.include)) return file;
      std::string through = brings_json(line.include, seen);
      if (!through.empty()) return through;
    }
    return "";
  }

  const Sources& sources_;
  Names sentences_;
};

Names breaches(const std::map<std::string, std::string>& texts) {
  Sources sources;
  for (const auto& [file, content] : texts) {
    std::istringstream text(content);
    sources[file] = lines_of(text);
  }
  return Breaches(sources).sentences();
}

std::string one_a_line(const Names& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) text += sentence + "\n";
  return text;
}

TEST(Includes, KeepTheFloors) {
  const Sources sources = of_repository();
  ASSERT_GT(sources.size(), 100U);
  EXPECT_EQ(one_a_line(Breaches(sources).sentences()), "");
}

TEST(Includes, ComeFromTheOwnRoomAndLowerFloors) {
  EXPECT_THAT(breaches({{"base/a.h", "#include \"base/b.h\"\n#include <vector>\n"},
                        {"sim/a.h", "#include \"energy/a.h\"\n#include \"sim/systemc/b.h\"\n"},
                        {"app/cli/a.cpp", "#include \"app/report/a.h\"\n#include \"evaluation/a.h\"\n"},
                        {"energy/a.cpp", "#include \"shipped_cost_tables.inc\"\n"},
                        {"models/a.cpp", "#include \"hwy/highway.h\"\n"}}),
              IsEmpty());
  EXPECT_THAT(breaches({{"base/a.h", "\n  #  include \"models/a.h\"  // word\n"}}),
              ElementsAre("base/a.h: line 2: includes \"models/a.h\", expected a file of base"));
  EXPECT_THAT(
      breaches({{"energy/a.cpp", "#include \"workloads/a.h\"\n"}}),
      ElementsAre("energy/a.cpp: line 1: includes \"workloads/a.h\", expected a file of energy, base or models"));
  EXPECT_THAT(
      breaches({{"workloads/a.cpp", "#include <energy/a.h>\n"}}),
      ElementsAre("workloads/a.cpp: line 1: includes \"energy/a.h\", expected a file of workloads, base or models"));
  EXPECT_THAT(breaches({{"app/a.cpp", ""}}),
              ElementsAre("app/a.cpp: is in no room, expected a folder that stands in docs/architecture.md"));
  EXPECT_THAT(breaches({{"app/report/a.cpp", "#include \"app/cli/a.h\"\n"}}), testing::SizeIs(1));
  EXPECT_THAT(breaches({{"trainer/cuda/a.cu", "#include \"sim/a.h\"\n"}}), testing::SizeIs(1));
  EXPECT_THAT(
      breaches({{"sim/a.cpp", "#include \"b.h\"\n"}}),
      ElementsAre("sim/a.cpp: line 1: includes \"b.h\", expected a path from the top of the repository, such as "
                  "\"base/error.h\""));
}

TEST(Includes, KeepLibrariesInTheirRooms) {
  EXPECT_THAT(breaches({{"sim/systemc/a.h", "#include <systemc>\n"},
                        {"sim/simulate.cpp", "#include <systemc>\n"},
                        {"trainer/a.cpp", "#include <torch/types.h>\n#include <nlohmann/json.hpp>\n"},
                        {"bench/ratios.cpp", "#include <ATen/ATen.h>\n"}}),
              IsEmpty());
  EXPECT_THAT(
      breaches({{"sim/array.cpp", "#include <systemc>\n"}}),
      ElementsAre("sim/array.cpp: line 1: includes <systemc>, expected SystemC in sim/systemc, sim/simulate.cpp "
                  "and app alone"));
  EXPECT_THAT(breaches({{"bench/step.cpp", "#include <c10/util/Exception.h>\n"}}),
              ElementsAre("bench/step.cpp: line 1: includes <c10/util/Exception.h>, expected libtorch in trainer and "
                          "bench/ratios.cpp alone"));
  EXPECT_THAT(breaches({{"python/bindings/a.cpp", "#include <pybind11/pybind11.h>\n#include \"app/report/a.h\"\n"}}),
              IsEmpty());
  EXPECT_THAT(breaches({{"app/cli/a.cpp", "#include <pybind11/numpy.h>\n"}}),
              ElementsAre("app/cli/a.cpp: line 1: includes <pybind11/numpy.h>, expected pybind11 in python alone"));
  EXPECT_THAT(breaches({{"workloads/onnx/a.cpp", "#include <onnx/onnx_pb.h>\n"}}), IsEmpty());
  EXPECT_THAT(breaches({{"workloads/a.cpp", "#include <onnx/onnx_pb.h>\n"}}),
              ElementsAre("workloads/a.cpp: line 1: includes <onnx/onnx_pb.h>, expected protocol buffers in "
                          "workloads/onnx alone"));
  EXPECT_THAT(breaches({{"base/mpi_ranks.cpp", "#include <mpi.h>\n"}}), IsEmpty());
  EXPECT_THAT(breaches({{"evaluation/a.cpp", "#include <mpi.h>\n"}}),
              ElementsAre("evaluation/a.cpp: line 1: includes <mpi.h>, expected MPI in base/mpi_ranks.cpp alone"));
  EXPECT_THAT(breaches({{"models/a.h", "#include <nlohmann/json_fwd.hpp>\n"}}),
              ElementsAre("models/a.h: line 1: includes <nlohmann/json_fwd.hpp>, expected no JSON in models"));
  EXPECT_THAT(breaches({{"base/json.h", "#include <nlohmann/json.hpp>\n"},
                        {"base/b.h", "#include \"base/json.h\"\n#include \"base/b.h\"\n"},
                        {"models/a.cpp", "#include \"base/b.h\"\n"}}),
              ElementsAre("models/a.cpp: line 1: includes \"base/b.h\", by which base/json.h brings JSON, expected no "
                          "JSON in models"));
}

TEST(Includes, StartParallelSectionsInOnePlace) {
  const std::string text = "#include <oneapi/tbb/parallel_for.h>\nvoid f() { tbb::parallel_for(0, 1, g); }\n";
  EXPECT_THAT(breaches({{"base/parallel.h", text},
                        {"sim/a.cpp",
                         "#include <oneapi/tbb/task_arena.h>\nint n = tbb::this_task_arena::max_concurrency();"
                         "\n// As tbb::parallel_reduce.\n"}}),
              IsEmpty());
  EXPECT_THAT(breaches({{"sim/a.cpp", text}}),
              ElementsAre("sim/a.cpp: line 1: includes <oneapi/tbb/parallel_for.h>, expected base/parallel.h, whose "
                          "sections end with all their work done",
                          "sim/a.cpp: line 2: has tbb::parallel_for, expected a section of base/parallel.h, which ends "
                          "with all its work done"));
  EXPECT_THAT(breaches({{"trainer/a.cpp", "oneapi::tbb::v1::parallel_reduce(r);\n"}}), testing::SizeIs(1));
}

}  // namespace
}  // namespace mlsim
