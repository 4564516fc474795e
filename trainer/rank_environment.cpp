#include "trainer/rank_environment.h"

#include <fmt/format.h>

#include <limits>
#include <stdexcept>
#include <string_view>

#include "base/text.h"

namespace mlsim::trainer {
namespace {

constexpr int kMostRanks = 4096;

using Variable = std::function<const char*(const char*)>;

int whole_number(const Variable& variable, const char* name, int least, int most) {
  const std::string_view text = variable(name);
  const std::optional<int> number = base::number_of<int>(text);
  if (!number || *number < least || *number > most) {
    throw std::runtime_error(
        fmt::format("environment: {} is '{}', expected a whole number from {} to {}", name, text, least, most));
  }
  return *number;
}

void require(const Variable& variable, const char* name, const std::string& beside) {
  const char* const text = variable(name);
  if (text != nullptr && *text != '\0') return;
  throw std::runtime_error(fmt::format("environment: {} is not set, expected it beside {}", name, beside));
}

}  // namespace

RankEnvironment read_rank_environment(const Variable& variable) {
  RankEnvironment result;
  if (variable("WORLD_SIZE") == nullptr && variable("RANK") == nullptr) return result;
  require(variable, "WORLD_SIZE", "RANK");
  require(variable, "RANK", "WORLD_SIZE");
  result.size = whole_number(variable, "WORLD_SIZE", 1, kMostRanks);
  result.rank = whole_number(variable, "RANK", 0, result.size - 1);
  if (result.size == 1) return result;
  const std::string beside = fmt::format("a WORLD_SIZE of {}", result.size);
  require(variable, "MASTER_ADDR", beside);
  require(variable, "MASTER_PORT", beside);
  result.address = variable("MASTER_ADDR");
  result.port =
      static_cast<std::uint16_t>(whole_number(variable, "MASTER_PORT", 1, std::numeric_limits<std::uint16_t>::max()));
  result.local_rank = result.rank;
  if (variable("LOCAL_RANK") != nullptr) {
    result.local_rank = whole_number(variable, "LOCAL_RANK", 0, result.size - 1);
  }
  if (variable("LOCAL_WORLD_SIZE") != nullptr) {
    result.local_size = whole_number(variable, "LOCAL_WORLD_SIZE", 1, result.size);
  }
  const char* const keeps = variable("TORCHELASTIC_USE_AGENT_STORE");
  result.launcher_keeps_store = keeps != nullptr && std::string_view(keeps) == "True";
  const char* const attempt = variable("TORCHELASTIC_RESTART_COUNT");
  result.attempt = attempt == nullptr ? "0" : attempt;
  return result;
}

}  // namespace mlsim::trainer
