// The mlsim command: chooses a command and turns what it throws into one line and an exit status.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "app/cli/counts_command.h"
#include "app/cli/quantize_command.h"
#include "app/cli/report_command.h"
#include "app/cli/simulate_command.h"
#include "app/cli/sweep_command.h"
#include "base/command_pages.h"
#include "base/memory.h"
#include "base/output_file.h"
#include "base/terminal.h"
#include "sim/simulate.h"

namespace {

constexpr const char* kNoMemory = "mlsim: error: more memory is needed than there is\n";

struct Task {
  const mlsim::base::Command& (*command)();
  void (*run)(const mlsim::base::CommandLine& line);
  // Of a command that several processes run together; false where this one is on its own.
  bool (*run_on_ranks)(const std::vector<std::string>& arguments) = nullptr;
};
constexpr std::array kTasks{Task{mlsim::app::quantize_command, mlsim::app::run_quantize},
                            Task{mlsim::app::simulate_command, mlsim::app::run_simulate},
                            Task{mlsim::app::report_command, mlsim::app::run_report},
                            Task{mlsim::app::sweep_command, mlsim::app::run_sweep, mlsim::app::run_sweep_on_ranks},
                            Task{mlsim::app::counts_command, mlsim::app::run_counts}};

const Task& find_task(const std::string& name) {
  for (const Task& task : kTasks) {
    if (task.command().name == "mlsim " + name) return task;
  }
  constexpr std::size_t kPrefix = std::string_view("mlsim ").size();
  std::vector<std::string> names;
  names.reserve(kTasks.size());
  for (const Task& task : kTasks) names.push_back(task.command().name.substr(kPrefix));
  throw std::runtime_error(
      fmt::format("'{}' is no command, expected one of {} (see mlsim --help)", name, fmt::join(names, ", ")));
}

mlsim::base::Program program() {
  mlsim::base::Program result{
      .itself = {.name = "mlsim",
                 .synopsis = "COMMAND [options]",
                 .summary = "a bit-accurate hardware simulator and energy model for low-bit training",
                 .description = "A bit-accurate hardware simulator and energy model for low-bit training of "
                                "convolutional networks."},
      .commands = {},
      .version = MLSIM_VERSION};
  for (const Task& task : kTasks) result.commands.push_back(task.command());
  return result;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    mlsim::base::print_error(mlsim::base::help_text(program()));
    return 2;
  }
  const std::string& command = arguments[0];
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  const auto expect_at_most = [&](std::size_t most) {
    if (rest.size() <= most) return;
    throw std::runtime_error("'" + rest[most] + "' is one argument too many (see mlsim --help)");
  };
  if (command == "help" && !rest.empty()) {
    expect_at_most(1);
    std::cout << mlsim::base::help_text(find_task(rest[0]).command());
  } else if (command == "--help" || command == "-h" || command == "help") {
    expect_at_most(0);
    std::cout << mlsim::base::help_text(program());
  } else if (command == "--version" || command == "-V") {
    expect_at_most(0);
    std::cout << "mlsim " << MLSIM_VERSION << "\n";
  } else if (command == "--man-page") {
    expect_at_most(0);
    std::cout << mlsim::base::man_page(program());
  } else if (command == "--bash-completion") {
    expect_at_most(0);
    std::cout << mlsim::base::bash_completion(program());
  } else {
    const Task& task = find_task(command);
    if (task.run_on_ranks != nullptr && task.run_on_ranks(rest)) return 0;
    const mlsim::base::CommandLine line(task.command(), rest);
    if (line.flag("help")) {
      std::cout << mlsim::base::help_text(task.command());
    } else {
      task.run(line);
    }
  }
  return 0;
}

// Where nothing is left the program ends at once: to unwind takes memory, too. Where only what was asked for was too
// much, those who asked learn of it; a moment's lack is waited out.
void on_lack_of_memory() {
  constexpr std::size_t kEnoughToUnwind = std::size_t{1} << 20;
  thread_local bool tried_again = false;
  if (void* const probe = std::malloc(kEnoughToUnwind)) {
    std::free(probe);
    if (!std::exchange(tried_again, !tried_again)) return;
    throw std::bad_alloc();
  }
  mlsim::base::remove_unfinished_files();
  mlsim::base::print_error(kNoMemory);
  _exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  std::set_new_handler(on_lack_of_memory);
  mlsim::base::keep_freed_memory(std::size_t{32} << 20);
  mlsim::sim::keep_systemc_quiet();
  mlsim::base::keep_standard_streams();
  mlsim::base::remove_unfinished_files_on_signals();
  // Names and texts of inputs are in what is said here.
  const auto say = [](const char* kind, const char* what) {
    mlsim::base::print_error(fmt::format("mlsim: {}: {}\n", kind, mlsim::base::printable(what)));
  };
  try {
    const int status = run({argv + 1, argv + argc});
    errno = 0;
    if (!std::cout.flush()) {
      mlsim::base::print_error(fmt::format("mlsim: error: standard output: cannot be written{}{}\n",
                                           errno == 0 ? "" : ": ", errno == 0 ? "" : std::strerror(errno)));
      return 2;
    }
    return status;
  } catch (const std::runtime_error& error) {
    say("error", error.what());
    return 2;
  } catch (const std::bad_alloc&) {
    mlsim::base::print_error(kNoMemory);
    return 2;
  } catch (const std::exception& error) {
    say("failure", error.what());
    return 1;
  }
}
