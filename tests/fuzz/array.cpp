#include "base/json.h"
#include "evaluation/results.h"
#include "sim/array_config.h"
#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {

void read_array(std::string_view bytes) {
  const sim::ArrayConfig array = sim::read_array_config(base::parse_json(bytes, kInput), kInput);
  array.check(kInput);
  const nlohmann::json written = evaluation::array_to_json(array);
  require(sim::read_array_config(written, kInput) == array, "an array that is written is another one");
}

}  // namespace mlsim::fuzz
