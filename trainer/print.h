// What a program tells while it goes on, whether or not anyone can read it.
#pragma once

#include <cstdio>
#include <string_view>

namespace mlsim::trainer {

// Writes a text at once. A failure is left to std::ferror.
void print(std::FILE* stream, std::string_view text);

}  // namespace mlsim::trainer
