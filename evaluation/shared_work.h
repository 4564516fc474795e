// What the points of a sweep have in common, computed once in a process and kept in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace mlsim::evaluation {

class SharedWork {
 public:
  enum class Use : std::uint8_t {
    kEveryPoint,  // of no format: never given up, and not kept where there is no room
    kNeighbours,  // of points that run one after another: the oldest is given up for the next
  };
  // 0 keeps nothing. Half of it is for each use.
  explicit SharedWork(std::size_t most_bytes);
  ~SharedWork();
  SharedWork(const SharedWork&) = delete;
  SharedWork& operator=(const SharedWork&) = delete;
  SharedWork(SharedWork&&) = delete;
  SharedWork& operator=(SharedWork&&) = delete;

  // What is kept under a key, always of the same type, or else what `make` returns, whose bytes() says how large it is.
  // From any thread; two that ask at once may both make it, since neither may wait for the other: threads that wait in
  // a parallel section take up what other points have begun.
  template <typename Value, typename Make>
  std::shared_ptr<const Value> get(Use use, const std::string& key, const Make& make) {
    if (const std::shared_ptr<const void> known = find(key)) return std::static_pointer_cast<const Value>(known);
    auto made = std::make_shared<const Value>(make());
    keep(use, key, made, made->bytes());
    return made;
  }

  // Remembers the hash of what has been read under a name; whether it is that of every time before.
  bool is_as_before(const std::string& name, std::uint64_t hash);

  struct Figures {
    std::size_t bytes = 0;  // that are kept
    std::uint64_t found = 0;
  };
  Figures figures() const;

 private:
  std::shared_ptr<const void> find(const std::string& key);
  void keep(Use use, const std::string& key, std::shared_ptr<const void> value, std::size_t bytes);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mlsim::evaluation
