#include "tests/fuzz/reader.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <typeinfo>

#include "base/error.h"
#include "base/terminal.h"
#include "tests/support/temporary_folder.h"

namespace mlsim::fuzz {
namespace {

constexpr std::array kReaders{
    Reader{"array", read_array},
    Reader{"cost-table", read_cost_table},
    Reader{"ert", read_ert},
    Reader{"ert-map", read_ert_map},
    Reader{"formats", read_formats, false},
    Reader{"journal", read_journal},
    Reader{"network", read_network},
    Reader{"npy", read_npy},
    Reader{"onnx", read_onnx},
    Reader{"results", read_results},
    Reader{"shard", read_shard},
    Reader{"sweep", read_sweep},
    Reader{"topology", read_topology},
    Reader{"workload", read_workload},
#ifdef MLSIM_FUZZ_TRAINER
    Reader{"cifar10", read_cifar10},
    Reader{"cifar10-labels", read_cifar10_labels},
    Reader{"cifar10-rows", read_cifar10_rows},
    Reader{"jpeg", read_jpeg},
    Reader{"mnist", read_mnist},
    Reader{"png", read_png},
    Reader{"recipe", read_recipe},
#endif
};

[[noreturn]] void fail(const std::string& what) {
  std::cerr << "mlsim fuzz: " << what << std::endl;
  std::abort();
}

// Anything derived from std::runtime_error, such as what a library throws, has a message of somebody else's. Texts of
// the input in a message are escaped where it is printed.
void check_refusal(const Reader& reader, const std::runtime_error& error) {
  const std::string message = base::printable(error.what());
  if (typeid(error) != typeid(std::runtime_error) && typeid(error) != typeid(base::Error)) {
    fail(std::string("a ") + typeid(error).name() + " left the reader: " + message);
  }
  const bool is_named =
      message.find(kInput) != std::string::npos || message.find(scratch_folder().string()) != std::string::npos;
  if (reader.is_file && !is_named) fail("a refusal does not name the file: " + message);
  if (message.find_first_not_of(" :") == std::string::npos) fail("a refusal without words");
}

}  // namespace

std::span<const Reader> readers() {
  return kReaders;
}

const Reader& chosen_reader(std::span<char*> arguments) {
  constexpr std::string_view kOption = "--reader=";
  for (const std::string_view argument : arguments) {
    for (const Reader& reader : kReaders) {
      if (argument.starts_with(kOption) && argument.substr(kOption.size()) == reader.name) return reader;
    }
  }
  std::cerr << "expected --reader=NAME, with one of";
  for (const Reader& reader : kReaders) std::cerr << ' ' << reader.name;
  std::cerr << std::endl;
  std::exit(2);
}

void run(const Reader& reader, std::string_view bytes) {
  try {
    reader.read(bytes);
  } catch (const std::runtime_error& error) {
    check_refusal(reader, error);
  } catch (const std::exception& error) {
    fail(std::string("a ") + typeid(error).name() + " left the reader: " + error.what());
  }
}

void require(bool condition, std::string_view what) {
  if (!condition) fail(std::string(what));
}

const std::filesystem::path& scratch_folder() {
  static const test::TemporaryFolder folder;
  return folder.path();
}

std::filesystem::path file_of(const std::string& name, std::string_view bytes) {
  const std::filesystem::path path = scratch_folder() / name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace mlsim::fuzz
