// Whatever reads what users bring, each as one function of bytes: libFuzzer feeds it (fuzz.cpp), and every build
// replays the inputs of corpus/ (replay.cpp).
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace mlsim::fuzz {

struct Reader {
  std::string_view name;  // of its folder in corpus/, too
  void (*read)(std::string_view bytes);
  bool is_file = true;  // whose name a refusal has to tell
};

// Those that this build has.
std::span<const Reader> readers();

// The reader of --reader=NAME among the arguments. Ends the process with a list of names where there is none.
const Reader& chosen_reader(std::span<char*> arguments);

// Reads bytes and aborts where anything but base::Error or std::runtime_error itself leaves the reader, or one whose
// message does not name the file.
void run(const Reader& reader, std::string_view bytes);

// Aborts where what a reader has accepted is not what it should be.
void require(bool condition, std::string_view what);

// A file of these bytes, for readers that take files alone. It lasts as long as the process or until the next one of
// the same name.
std::filesystem::path file_of(const std::string& name, std::string_view bytes);
// Where such files are.
const std::filesystem::path& scratch_folder();

// What errors call an input that is no file.
inline constexpr const char* kInput = "input";

void read_array(std::string_view bytes);
void read_cifar10(std::string_view bytes);
void read_cifar10_labels(std::string_view bytes);
void read_cifar10_rows(std::string_view bytes);
void read_cost_table(std::string_view bytes);
void read_ert(std::string_view bytes);
void read_ert_map(std::string_view bytes);
void read_formats(std::string_view bytes);
void read_jpeg(std::string_view bytes);
void read_journal(std::string_view bytes);
void read_mnist(std::string_view bytes);
void read_network(std::string_view bytes);
void read_npy(std::string_view bytes);
void read_onnx(std::string_view bytes);
void read_png(std::string_view bytes);
void read_recipe(std::string_view bytes);
void read_results(std::string_view bytes);
void read_shard(std::string_view bytes);
void read_sweep(std::string_view bytes);
void read_topology(std::string_view bytes);
void read_workload(std::string_view bytes);

}  // namespace mlsim::fuzz
