// libFuzzer over one reader: fuzz --reader=NAME [libFuzzer's options] FOLDER...
#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/fuzz/reader.h"

namespace {

const mlsim::fuzz::Reader* reader = nullptr;

}  // namespace

// NOLINTBEGIN(readability-identifier-naming): libFuzzer's names
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  reader = &mlsim::fuzz::chosen_reader(std::span(*argv, static_cast<std::size_t>(*argc)));
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mlsim::fuzz::run(*reader, {reinterpret_cast<const char*>(data), size});
  return 0;
}
// NOLINTEND(readability-identifier-naming)
