// Ranks that are threads of one process.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/ranks.h"

namespace mlsim::test {

class ThreadRanks : public base::Ranks {
 public:
  struct Mailboxes {
    std::mutex mutex;
    std::vector<std::deque<Message>> of;
  };

  ThreadRanks(int rank, std::shared_ptr<Mailboxes> mailboxes) : rank_(rank), mailboxes_(std::move(mailboxes)) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(mailboxes_->of.size()); }
  void send(int rank, int tag, const std::string& text) override {
    const std::lock_guard lock(mailboxes_->mutex);
    mailboxes_->of[static_cast<std::size_t>(rank)].push_back({rank_, tag, text});
  }
  std::optional<Message> receive() override {
    const std::lock_guard lock(mailboxes_->mutex);
    std::deque<Message>& mine = mailboxes_->of[static_cast<std::size_t>(rank_)];
    if (mine.empty()) return std::nullopt;
    Message message = std::move(mine.front());
    mine.pop_front();
    return message;
  }

 private:
  int rank_;
  std::shared_ptr<Mailboxes> mailboxes_;
};

// Runs `lead` as rank 0 and `follow` as each of the others; returns once all have returned. Afterwards nobody has
// messages that were not received.
inline bool run_ranks(int size, const std::function<void(base::Ranks&)>& lead,
                      const std::function<void(base::Ranks&)>& follow) {
  const auto mailboxes = std::make_shared<ThreadRanks::Mailboxes>();
  mailboxes->of.resize(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 1; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadRanks ranks(rank, mailboxes);
      follow(ranks);
    });
  }
  ThreadRanks ranks(0, mailboxes);
  lead(ranks);
  for (std::thread& thread : threads) thread.join();
  for (const auto& mailbox : mailboxes->of) {
    if (!mailbox.empty()) return false;
  }
  return true;
}

}  // namespace mlsim::test
