// Ranks by MPI: a library that is loaded at run time, so that nothing else needs MPI to be there.
#include <mpi.h>

#include "base/ranks.h"

namespace mlsim::base {
namespace {

// MPI ends all ranks where a call fails.
class MpiRanks : public Ranks {
 public:
  MpiRanks() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MpiRanks() override { MPI_Finalize(); }
  MpiRanks(const MpiRanks&) = delete;
  MpiRanks& operator=(const MpiRanks&) = delete;
  MpiRanks(MpiRanks&&) = delete;
  MpiRanks& operator=(MpiRanks&&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void send(int rank, int tag, const std::string& text) override {
    MPI_Send(text.data(), static_cast<int>(text.size()), MPI_BYTE, rank, tag, MPI_COMM_WORLD);
  }

  std::optional<Message> receive() override {
    int is_there = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &is_there, &message, &status);
    if (is_there == 0) return std::nullopt;
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    Message result{status.MPI_SOURCE, status.MPI_TAG, std::string(static_cast<std::size_t>(size), '\0')};
    MPI_Mrecv(result.text.data(), size, MPI_BYTE, &message, MPI_STATUS_IGNORE);
    return result;
  }

 private:
  int rank_ = 0;
  int size_ = 0;
};

}  // namespace
}  // namespace mlsim::base

extern "C" __attribute__((visibility("default"))) mlsim::base::Ranks* mlsim_start_ranks() {
  return new mlsim::base::MpiRanks();  // a unique_ptr of start_ranks() has it
}
