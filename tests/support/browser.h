// Chromium without a window, driven through its debugging pipe.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace mlsim::test {

// Where Chromium is, if it is on the PATH.
inline std::optional<std::string> find_chromium() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string file = folder + "/chromium";
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return std::nullopt;
}

// One page. Everything that takes longer than a minute throws std::runtime_error.
class Browser {
 public:
  using Json = nlohmann::json;

  explicit Browser(const std::string& chromium) {
    int to_child[2];
    int from_child[2];
    if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    const std::string profile = "--user-data-dir=" + (folder_.path() / "profile").string();
    child_ = fork();
    if (child_ == 0) {
      setpgid(0, 0);
      // The browser reads commands from 3 and answers on 4. Moved out of the way first: they may be 3 and 4 already.
      const int in = fcntl(to_child[0], F_DUPFD, 10);
      const int out = fcntl(from_child[1], F_DUPFD, 10);
      const int null = open("/dev/null", O_RDWR);
      dup2(null, 0);
      dup2(null, 1);
      dup2(null, 2);
      dup2(in, 3);
      dup2(out, 4);
      execl(chromium.c_str(), "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--remote-debugging-pipe", profile.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    close(to_child[0]);
    close(from_child[1]);
    in_ = from_child[0];
    out_ = to_child[1];
    const std::string target = call("Target.createTarget", {{"url", "about:blank"}})["targetId"];
    session_ = call("Target.attachToTarget", {{"targetId", target}, {"flatten", true}})["sessionId"];
    for (const char* domain : {"Page", "Runtime", "Log", "Network"}) call(std::string(domain) + ".enable");
  }
  ~Browser() {
    kill(-child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    close(in_);
    close(out_);
  }
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;
  Browser(Browser&&) = delete;
  Browser& operator=(Browser&&) = delete;

  Json call(const std::string& method, Json parameters = Json::object()) {
    const int id = ++last_id_;
    Json message{{"id", id}, {"method", method}, {"params", std::move(parameters)}};
    if (!session_.empty()) message["sessionId"] = session_;
    const std::string text = message.dump() + '\0';
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t count = write(out_, text.data() + done, text.size() - done);
      if (count <= 0) throw std::runtime_error("the browser is gone");
      done += static_cast<std::size_t>(count);
    }
    while (true) {
      Json answer = receive();
      if (answer.value("id", 0) != id) {
        events_.push_back(std::move(answer));
        continue;
      }
      if (answer.contains("error")) throw std::runtime_error(method + ": " + answer["error"].dump());
      return answer["result"];
    }
  }

  // The value of a JavaScript expression.
  Json evaluate(const std::string& expression) {
    const Json answer = call("Runtime.evaluate", {{"expression", expression}, {"returnByValue", true}});
    if (answer.contains("exceptionDetails")) throw std::runtime_error(expression + ": " + answer.dump());
    return answer["result"].value("value", Json());
  }

  void wait_for(const std::string& condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (evaluate("Boolean(" + condition + ")") != true) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("never true: " + condition);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  void open_file(const std::filesystem::path& file) {
    call("Page.navigate", {{"url", "file://" + file.string()}});
    wait_for("location.protocol === 'file:' && document.readyState === 'complete'");
  }

  // Presses and releases the mouse in the middle of the first element that a selector finds.
  void click(const std::string& selector) {
    const std::string element = "document.querySelector(" + Json(selector).dump() + ")";
    const Json box = evaluate("(() => { const e = " + element +
                              "; e.scrollIntoView({ block: 'center', behavior: 'instant' });"
                              " const b = e.getBoundingClientRect();"
                              " return [b.x + b.width / 2, b.y + b.height / 2]; })()");
    for (const char* type : {"mouseMoved", "mousePressed", "mouseReleased"}) {
      call("Input.dispatchMouseEvent",
           {{"type", type}, {"x", box[0]}, {"y", box[1]}, {"button", "left"}, {"clickCount", 1}});
    }
  }

  // What the browser told so far, such as Network.requestWillBeSent.
  const std::vector<Json>& events() const { return events_; }

 private:
  static constexpr std::chrono::seconds kPatience{60};

  Json receive() {
    while (true) {
      const std::size_t end = buffer_.find('\0');
      if (end != std::string::npos) {
        Json message = Json::parse(buffer_.substr(0, end));
        buffer_.erase(0, end + 1);
        return message;
      }
      pollfd ready{in_, POLLIN, 0};
      const int count = poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count()));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw std::runtime_error("the browser does not answer");
      char bytes[1 << 16];
      const ssize_t size = read(in_, bytes, sizeof bytes);
      if (size <= 0) throw std::runtime_error("the browser is gone");
      buffer_.append(bytes, static_cast<std::size_t>(size));
    }
  }

  TemporaryFolder folder_;
  pid_t child_ = -1;
  int in_ = -1;
  int out_ = -1;
  int last_id_ = 0;
  std::string session_;
  std::string buffer_;
  std::vector<Json> events_;
};

}  // namespace mlsim::test
