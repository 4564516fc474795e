#include "trainer/print.h"

namespace mlsim::trainer {

void print(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

}  // namespace mlsim::trainer
