#include <nlohmann/json.hpp>

#include "evaluation/sweep_shard.h"
#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {

// A shard that is all of its sweep gives every row; any other is refused.
void read_shard(std::string_view bytes) {
  const evaluation::ShardSet shards({file_of("shard.jsonl", bytes)});
  require(shards.points() > 0, "a sweep without points");
  evaluation::ParetoFront front(shards.head().front);
  for (std::size_t point = 0; point < shards.points(); ++point) front.add(point, shards.row(point));
}

}  // namespace mlsim::fuzz
