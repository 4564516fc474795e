// Commands as processes that tests look into and kill.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace mlsim::test {

// Whether a condition comes true within a minute.
inline bool comes_true(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// A command of the shell in a folder, in a group of processes of its own, which it is killed with at the end.
class Process {
 public:
  Process(const std::filesystem::path& folder, const std::string& command) {
    const std::string line = "cd '" + folder.string() + "' && exec " + command + " >out.txt 2>err.txt";
    process_ = fork();
    if (process_ != 0) return;
    setpgid(0, 0);
    execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    _exit(127);
  }
  ~Process() {
    if (!has_ended_) {
      kill(-process_, SIGKILL);
      kill(process_, SIGKILL);
      wait();
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  Process(Process&&) = delete;
  Process& operator=(Process&&) = delete;

  pid_t id() const { return process_; }
  void signal(int number) const { kill(process_, number); }
  bool runs() {
    if (!has_ended_ && waitpid(process_, &status_, WNOHANG) == process_) has_ended_ = true;
    return !has_ended_;
  }
  // Exit status, or 128 and the number of the signal.
  int wait() {
    if (!has_ended_) waitpid(process_, &status_, 0);
    has_ended_ = true;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }

 private:
  pid_t process_ = -1;
  int status_ = 0;
  bool has_ended_ = false;
};

// Processes with a variable and value in their environment, NAME=VALUE.
inline std::vector<pid_t> processes_with(const std::string& variable) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ostringstream environment;
    environment << std::ifstream(entry.path() / "environ", std::ios::binary).rdbuf();
    const std::string text = '\0' + environment.str();
    if (text.find('\0' + variable + '\0') != std::string::npos) found.push_back(std::stoi(name));
  }
  return found;
}

}  // namespace mlsim::test
