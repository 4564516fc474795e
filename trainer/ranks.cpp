#include "trainer/ranks.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>
#include <vector>

#include "base/integers.h"
#include "trainer/collectives.h"

namespace mlsim::trainer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes kMostJoining{5};
constexpr std::chrono::milliseconds kBetweenSigns{1000};
// A rank that gives no sign for so long is gone: its machine may be, and no connection tells.
constexpr std::chrono::seconds kMostSilence{60};
// In which a process that notices a loss by itself ends by itself.
constexpr std::chrono::seconds kGrace{3};
// Added to the signs of a rank that has left: more than it gives in a life.
constexpr std::int64_t kLeft = std::int64_t{1} << 40;

// Numbers whose way takes longer than their sending.
constexpr std::int64_t kMostFew = 8192;

using Store = c10::intrusive_ptr<c10d::Store>;

Store open_store(const RankEnvironment& environment, bool as_server) {
  c10d::TCPStoreOptions options;
  options.port = environment.port;
  options.isServer = as_server;
  options.waitWorkers = false;
  options.timeout = kMostJoining;
  return c10::make_intrusive<c10d::PrefixStore>("mlsim-train/" + environment.attempt,
                                                c10::make_intrusive<c10d::TCPStore>(environment.address, options));
}

// The first line of what a library says, whose others tell where it was thrown.
std::string first_line(const std::exception& error) {
  const auto* const torch = dynamic_cast<const c10::Error*>(&error);
  const std::string text = torch != nullptr ? torch->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

}  // namespace

class Ranks::Members {
 public:
  Members(const RankEnvironment& environment, std::function<void(const std::string&)> on_loss)
      : environment_(environment), on_loss_(std::move(on_loss)) {
    const std::string place = fmt::format("{}:{}", environment.address, environment.port);
    try {
      store_ = open_store(environment, environment.rank == 0 && !environment.launcher_keeps_store);
      watching_store_ = open_store(environment, false);
    } catch (const std::exception& error) {
      throw std::runtime_error(
          fmt::format("{}: cannot meet the other ranks at {} ({}), expected MASTER_ADDR and "
                      "MASTER_PORT to be those of the machine of rank 0, and the port to be free",
                      name(), place, first_line(error)));
    }
    watcher_ = std::thread([this] { watch(); });
    try {
      join(place);
    } catch (...) {
      end(false);
      throw;
    }
  }

  ~Members() { end(false); }
  Members(const Members&) = delete;
  Members& operator=(const Members&) = delete;
  Members(Members&&) = delete;
  Members& operator=(Members&&) = delete;

  // Runs what needs the other ranks.
  template <typename Work>
  auto together(const Work& work) {
    try {
      return work();
    } catch (const std::exception& error) {
      throw std::runtime_error(lost(first_line(error)));
    }
  }

  void connect(bool gpus) {
    const Meeting meeting{store_, environment_.rank, environment_.size, environment_.address};
    collectives_ = gpus ? make_nccl(meeting) : make_gloo(meeting);
  }
  Collectives& collectives() { return *collectives_; }

  // What rank 0 has under a name.
  std::string of_leader(const std::string& key, const std::string& own) {
    return together([&] {
      if (environment_.rank == 0) store_->set(key, std::vector<std::uint8_t>(own.begin(), own.end()));
      const std::vector<std::uint8_t> bytes = store_->get(key);
      return std::string(bytes.begin(), bytes.end());
    });
  }

  void leave() {
    if (environment_.rank != 0) {
      end(true);
      together([&] { store_->add("left", 1); });
      return;
    }
    // The store ends with this process.
    while (together([&] { return store_->add("left", 0); }) + 1 < environment_.size) {
      throw_if_lost();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    end(true);
  }

 private:
  std::string name() const { return fmt::format("rank {} of {}", environment_.rank, environment_.size); }
  std::string lost(const std::string& reason) const {
    return fmt::format("{}: another rank has ended or cannot be reached, training cannot go on ({})", name(), reason);
  }
  std::string sign_of(int rank) const { return fmt::format("sign {}", rank); }

  void join(const std::string& place) {
    together([&] { store_->add("joined", 1); });
    const Clock::time_point end = Clock::now() + kMostJoining;
    while (true) {
      const std::int64_t joined = together([&] { return store_->add("joined", 0); });
      if (joined == environment_.size) return;
      if (joined > environment_.size) {
        throw std::runtime_error(
            fmt::format("{}: {} processes have met at {}, expected one for each rank", name(), joined, place));
      }
      throw_if_lost();
      if (Clock::now() > end) {
        throw std::runtime_error(fmt::format("{}: {} of {} ranks have met at {} within {} minutes, expected all",
                                             name(), joined, environment_.size, place, kMostJoining.count()));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  // A rank says of itself, or of one that it watches, that it is gone.
  void tell_loss(c10d::Store& store, int rank) {
    const std::string text = std::to_string(rank);
    store.set("lost rank", std::vector<std::uint8_t>(text.begin(), text.end()));
    store.add("losses", 1);
  }

  // Which one is gone, in words; empty for none.
  std::string loss(c10d::Store& store) const {
    if (store.add("losses", 0) == 0) return {};
    const std::vector<std::uint8_t> rank = store.get("lost rank");
    return "rank " + std::string(rank.begin(), rank.end());
  }
  void throw_if_lost() {
    const std::string gone = loss(*store_);
    if (!gone.empty()) throw std::runtime_error(lost(gone));
  }

  bool waits(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return !ended_.wait_for(lock, time, [&] { return ending_; });
  }

  // Gives signs of life, and looks for those of the rank before.
  void watch() {
    const int other = (environment_.rank + environment_.size - 1) % environment_.size;
    std::int64_t signs = 0;
    Clock::time_point seen = Clock::now();
    std::string gone;
    while (gone.empty()) {
      try {
        watching_store_->add(sign_of(environment_.rank), 1);
        gone = loss(*watching_store_);
        const std::int64_t now = watching_store_->add(sign_of(other), 0);
        if (now != signs || now == 0 || now >= kLeft) {
          signs = now;
          seen = Clock::now();
        } else if (gone.empty() && Clock::now() - seen > kMostSilence) {
          tell_loss(*watching_store_, other);
        }
      } catch (const std::exception& error) {
        gone = first_line(error);
      }
      if (gone.empty() && !waits(kBetweenSigns)) return;
    }
    if (waits(kGrace)) on_loss_(lost(gone));
  }

  // Stops watching. `orderly`: the others need this rank no more.
  void end(bool orderly) {
    if (!watcher_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    ended_.notify_all();
    watcher_.join();
    try {
      if (orderly) {
        watching_store_->add(sign_of(environment_.rank), kLeft);
      } else {
        tell_loss(*watching_store_, environment_.rank);
        watching_store_->add("ended", 1);
        if (environment_.rank == 0 && !environment_.launcher_keeps_store) wait_for_others();
      }
    } catch (const std::exception&) {
      // It cannot be told; the others see that the store or this rank is gone.
    }
  }

  // Where the store ends with this process, the others should have seen what has happened.
  void wait_for_others() {
    const Clock::time_point end = Clock::now() + 2 * kBetweenSigns;
    while (watching_store_->add("ended", 0) < environment_.size && Clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  const RankEnvironment& environment_;
  std::function<void(const std::string&)> on_loss_;
  Store store_;
  Store watching_store_;  // with a connection of its own, on which no other thread waits
  std::unique_ptr<Collectives> collectives_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool ending_ = false;
  std::thread watcher_;
};

Ranks::Ranks(const RankEnvironment& environment, std::function<void(const std::string&)> on_loss)
    : environment_(environment), members_(std::make_unique<Members>(environment_, std::move(on_loss))) {}

Ranks::~Ranks() = default;

void Ranks::connect(bool gpus) {
  members_->connect(gpus);
}

void Ranks::maximum(const at::Tensor& numbers) {
  members_->together([&] { members_->collectives().maximum(numbers); });
}

void Ranks::sum(const at::Tensor& numbers) {
  const torch::NoGradGuard no_gradients;
  const std::int64_t count = numbers.numel();
  // Few numbers go to all ranks, which each add all of them. Of many each rank adds a part and sends the sums to all.
  const bool few = count <= kMostFew;
  const std::int64_t part = few ? count : base::ceiling(count, size());
  torch::Tensor sent = at::zeros({part * size()}, numbers.options());
  if (few) {
    sent.view({size(), part}).copy_(numbers.expand({size(), part}));
  } else {
    sent.narrow(0, 0, count).copy_(numbers);
  }
  const torch::Tensor received = at::empty_like(sent);
  members_->together([&] { members_->collectives().exchange(sent, received); });
  const torch::Tensor parts = received.view({size(), part});
  const torch::Tensor total = parts[0].clone();
  for (std::int64_t rank = 1; rank < size(); ++rank) total.add_(parts[rank]);
  if (few) {
    numbers.copy_(total);
    return;
  }
  sent.view({size(), part}).copy_(total.expand({size(), part}));
  members_->together([&] { members_->collectives().exchange(sent, received); });
  numbers.copy_(received.narrow(0, 0, count));
}

std::string Ranks::of_leader(const std::string& name, const std::string& own) {
  return members_->of_leader(name, own);
}

void Ranks::leave() {
  members_->leave();
}

}  // namespace mlsim::trainer
