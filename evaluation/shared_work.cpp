#include "evaluation/shared_work.h"

#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace mlsim::evaluation {
namespace {

// What a key and its place in the maps take, about.
constexpr std::size_t kBytesOfAKey = 256;

}  // namespace

struct SharedWork::State {
  struct Kept {
    std::shared_ptr<const void> value;
    std::size_t bytes = 0;
  };

  mutable std::mutex mutex;
  std::size_t most_of_each = 0;
  std::unordered_map<std::string, Kept> kept;
  std::size_t of_every_point = 0;  // bytes
  std::size_t of_neighbours = 0;
  std::deque<std::string> neighbours;  // the oldest first
  std::map<std::string, std::uint64_t> hashes;
  std::uint64_t found = 0;
};

SharedWork::SharedWork(std::size_t most_bytes) : state_(std::make_unique<State>()) {
  state_->most_of_each = most_bytes / 2;
}

SharedWork::~SharedWork() = default;

std::shared_ptr<const void> SharedWork::find(const std::string& key) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const auto known = state.kept.find(key);
  if (known == state.kept.end()) return nullptr;
  ++state.found;
  return known->second.value;
}

void SharedWork::keep(Use use, const std::string& key, std::shared_ptr<const void> value, std::size_t bytes) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  bytes += kBytesOfAKey;
  if (bytes > state.most_of_each || state.kept.contains(key)) return;
  if (use == Use::kEveryPoint) {
    if (state.of_every_point + bytes > state.most_of_each) return;
    state.of_every_point += bytes;
  } else {
    while (state.of_neighbours + bytes > state.most_of_each) {
      const auto oldest = state.kept.find(state.neighbours.front());
      state.of_neighbours -= oldest->second.bytes;
      state.kept.erase(oldest);
      state.neighbours.pop_front();
    }
    state.of_neighbours += bytes;
    state.neighbours.push_back(key);
  }
  state.kept.emplace(key, State::Kept{std::move(value), bytes});
}

bool SharedWork::is_as_before(const std::string& name, std::uint64_t hash) {
  const std::lock_guard lock(state_->mutex);
  return state_->hashes.emplace(name, hash).first->second == hash;
}

SharedWork::Figures SharedWork::figures() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->of_every_point + state_->of_neighbours, state_->found};
}

}  // namespace mlsim::evaluation
