// Processes that a launcher of parallel programs, such as mpirun or srun, has started together. What is sent between
// them goes by MPI, in a library of its own (mpi_ranks.cpp) that is loaded where there is something to send: a program
// that is started by itself neither loads nor initializes MPI. Its tests are those of cluster.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace mlsim::base {

// What a launcher says of a process that it has started.
struct Launch {
  std::string launcher;
  int rank = 0;
  int size = 0;  // 0 where it does not say
};

// By the variables of the environment: those of Open MPI (OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE), of PMI
// (PMI_RANK, PMI_SIZE), or of PMIx (PMIX_RANK), whose size srun says (SLURM_STEP_NUM_TASKS). Nothing without these,
// where there is one process, and where MLSIM_MPI is "off". A batch script of Slurm has none of them.
std::optional<Launch> launch_of(const std::function<const char*(const char* name)>& variable);
// Of this process.
std::optional<Launch> launch();

// Whether the standard error of the launcher, to which it hands on that of its processes, is a terminal. False where
// that cannot be seen, as on another machine.
bool launcher_is_on_terminal();

class Ranks {
 public:
  struct Message {
    int rank = 0;  // it comes from
    int tag = 0;
    std::string text;
  };

  virtual ~Ranks() = default;
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  Ranks(Ranks&&) = delete;
  Ranks& operator=(Ranks&&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  // The text may be any bytes. Messages from one rank to another arrive in their order.
  virtual void send(int rank, int tag, const std::string& text) = 0;
  // A message that has arrived; does not wait for one.
  virtual std::optional<Message> receive() = 0;

 protected:
  Ranks() = default;
};

// All ranks of a launch. One thread alone uses the result and destroys it, which all ranks do. Throws
// std::runtime_error with a sentence where this build or this machine has no MPI, and where MPI sees other ranks than
// the launcher says.
std::unique_ptr<Ranks> start_ranks(const Launch& launch);

}  // namespace mlsim::base
