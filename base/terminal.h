// What reaches a person's terminal: inputs' names and texts without the power to move its cursor, and messages that
// may fail to be written.
#pragma once

#include <string>
#include <string_view>

namespace mlsim::base {

// A text with its control characters (C0, DEL, C1), its marks of writing direction, its separators of lines and what is
// no UTF-8 written as escapes such as \x1b and \u202e.
std::string printable(std::string_view text);
// The same, but for ends of lines, which stay.
std::string printable_lines(std::string_view text);

// The same for well-formed JSON text, whose meaning stays.
std::string json_escaped(std::string_view text);

// Whether a text is well-formed UTF-8.
bool is_utf8(std::string_view text);

// Writes to standard error; that it cannot be written changes nothing.
void print_error(std::string_view text) noexcept;

// Gives the standard streams that a program was started without a place, so that no file that it opens takes theirs:
// reads and writes of such a stream fail.
void keep_standard_streams();

// One line on a terminal, overwritten; nothing elsewhere.
class StatusLine {
 public:
  // Nothing is shown on a terminal either where it is quiet. Standard error may go to one by way of another process.
  explicit StatusLine(std::string name, bool quiet = false, bool is_forwarded = false);
  ~StatusLine() { clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;
  StatusLine(StatusLine&&) = delete;
  StatusLine& operator=(StatusLine&&) = delete;

  void show(const std::string& what) const;
  void clear() const;
  bool is_on_terminal() const { return on_terminal_; }

 private:
  std::string name_;
  bool on_terminal_;
};

}  // namespace mlsim::base
