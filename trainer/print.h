// What a program tells while it goes on, whether or not anyone can read it.
// Tested in tests/trainer/train_test.cpp.
#pragma once

#include <cstdio>
#include <string_view>

namespace mlsim::trainer {

// Writes a text at once. A failure is left to std::ferror.
void print(std::FILE* stream, std::string_view text);

}  // namespace mlsim::trainer
