#include "app/report/accelergy.h"
#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {

void read_ert(std::string_view bytes) {
  // Foreign actions that many inputs have, so that maps are used, too.
  static const app::ActionMap map = app::parse_action_map("{read: sram_read, buffer.write: null}", "map");
  app::parse_accelergy_ert(bytes, kInput, bytes.size() % 2 == 0 ? map : app::ActionMap{});
}

void read_ert_map(std::string_view bytes) {
  app::parse_action_map(bytes, kInput);
}

}  // namespace mlsim::fuzz
