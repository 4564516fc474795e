#include "workloads/embedded_files.h"

#include <gtest/gtest.h>

#include "base/input_file.h"

namespace mlsim::workloads {
namespace {

TEST(EmbeddedFiles, AreThoseOfTheRepository) {
  ASSERT_FALSE(embedded_files().empty());
  for (const EmbeddedFile& file : embedded_files()) {
    EXPECT_EQ(file.text, base::read_text(std::string(MLSIM_SOURCE_DIR) + "/workloads/" + std::string(file.name)));
  }
}

}  // namespace
}  // namespace mlsim::workloads
