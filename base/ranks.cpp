#include "base/ranks.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "base/text.h"

namespace mlsim::base {
namespace {

struct Variables {
  const char* launcher;
  const char* rank;
  const char* size;
};
// In this order: mpirun's own processes may run within a step of srun.
constexpr std::array kLaunchers{Variables{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                Variables{"srun", "PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
                                Variables{"the launcher", "PMI_RANK", "PMI_SIZE"}};

std::optional<int> number(const char* text) {
  const std::optional<int> value = number_of<int>(text == nullptr ? "" : text);
  return value && *value >= 0 ? value : std::nullopt;
}

// The library of mpi_ranks.cpp; the program says where it is (RUNPATH).
constexpr const char* kLibrary = "mlsim_mpi.so";

}  // namespace

std::optional<Launch> launch_of(const std::function<const char*(const char* name)>& variable) {
  const char* const mode = variable("MLSIM_MPI");
  if (mode != nullptr && std::strcmp(mode, "off") == 0) return std::nullopt;
  for (const Variables& of : kLaunchers) {
    const std::optional<int> rank = number(variable(of.rank));
    if (!rank) continue;
    const int size = number(variable(of.size)).value_or(0);
    if (size == 1) return std::nullopt;
    return Launch{of.launcher, *rank, size};
  }
  return std::nullopt;
}

std::optional<Launch> launch() {
  return launch_of([](const char* name) { return std::getenv(name); });
}

bool launcher_is_on_terminal() {
  const int file =
      open(fmt::format("/proc/{}/fd/{}", getppid(), STDERR_FILENO).c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (file < 0) return false;
  const bool is_terminal = isatty(file) != 0;
  close(file);
  return is_terminal;
}

std::unique_ptr<Ranks> start_ranks(const Launch& launch) {
  const std::string started = launch.size > 0 ? fmt::format("{} has started {} processes", launch.launcher, launch.size)
                                              : fmt::format("{} has started several processes", launch.launcher);
  // Plugins of MPI look for symbols of its libraries.
  void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    throw std::runtime_error(
        fmt::format("{}, but this mlsim cannot use MPI ({}); expected one built where libopenmpi-dev "
                    "is, --shard, or MLSIM_MPI=off for processes of their own",
                    started, reason == nullptr ? "no reason" : reason));
  }
  using Start = Ranks* (*)();
  const auto start = reinterpret_cast<Start>(dlsym(library, "mlsim_start_ranks"));
  if (start == nullptr) throw std::runtime_error(fmt::format("{} is no library of this mlsim", kLibrary));
  std::unique_ptr<Ranks> ranks(start());
  if (ranks->size() == launch.size || (launch.size == 0 && ranks->size() > 1)) return ranks;
  const int seen = ranks->size();
  throw std::runtime_error(
      fmt::format("{}, but MPI sees {}; expected a launcher of the same MPI, such as srun --mpi=pmix", started, seen));
}

}  // namespace mlsim::base
