// Command lines whose options are each described once: their help, their checks, their pages of the manual and their
// completion are made from one table.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mlsim::base {

// What the value of an option may be.
struct AnyText {};  // but an empty one
struct File {
  std::vector<std::string> names;  // that stand for files, such as those of what is shipped
};
struct Folder {};
struct WholeNumber {
  std::uint64_t low = 0;
  std::uint64_t high = std::numeric_limits<std::uint64_t>::max();
};
struct Number {
  double low = 0;
  double high = 1;
};
struct Choice {
  std::vector<std::string> names;
};
struct Parsed {
  std::function<void(const std::string&)> parse;  // throws std::runtime_error with what is wrong
  std::vector<std::string> names{};               // some of the values, for completion
};
using ValueKind = std::variant<AnyText, File, Folder, WholeNumber, Number, Choice, Parsed>;

struct Option {
  std::string name{};        // without dashes; also its key in a recipe
  std::string value_name{};  // empty: a flag, which has no value
  std::string help{};
  ValueKind kind = AnyText{};
  std::string preset{};  // the value where none is given; empty: none
  bool required = false;
  bool many = false;  // may be given several times
  // An option, and its value, without which this one means nothing. CommandLine refuses it where the option is missing
  // and no value is asked for; a value may come from elsewhere, as from a recipe, and is for the program to check.
  std::string needs_option{};
  std::string needs_value{};
  std::string letter{};  // another name, behind one dash; empty: none
};

struct OptionGroup {
  std::string title{};
  std::vector<Option> options{};
  bool in_recipe = false;
};

// What stands on the command line without an option before it; it is always required.
struct Operand {
  std::string name{};  // WORKLOAD.json
  ValueKind kind = File{};
  bool many = false;        // one or more
  std::string many_with{};  // an option without which it is one all the same
  std::string many_name{};  // of one of them
};

struct Command {
  std::string name{};               // mlsim simulate
  std::string synopsis{};           // what follows it: WORKLOAD.json [options]
  std::string summary{};            // a line of a list of commands
  std::string description{};        // paragraphs, an empty line between two
  std::vector<Operand> operands{};  // none or one
  std::vector<OptionGroup> groups{};

  const Option* find(std::string_view option) const;
};

// The values of a command line. Each is what its option's table says.
class CommandLine {
 public:
  // Throws Error "--jobs: is '0', expected a whole number from 1 to 1024" for a value that its option does not take, an
  // unknown option, one that is missing and one that is given twice. Values are not looked at where help is asked for.
  CommandLine(const Command& command, const std::vector<std::string>& arguments);
  // No option is given.
  explicit CommandLine(const Command& command);

  bool has(const std::string& option) const { return values_.contains(option); }
  // Whether it was given, be it with its preset value.
  bool given(const std::string& option) const;
  bool flag(const std::string& option) const { return has(option); }
  const std::string& text(const std::string& option) const { return values_.at(option).text; }
  // Of an option that may be given several times, in their order.
  std::vector<std::string> texts(const std::string& option) const;
  // Empty where it was not given.
  std::filesystem::path path(const std::string& option) const;
  template <typename Integer = std::uint64_t>
  Integer whole_number(const std::string& option) const {
    return static_cast<Integer>(parsed_whole_number(option));
  }
  double number(const std::string& option) const;
  const std::vector<std::string>& operands() const { return operands_; }

  // Gives an option a value from elsewhere, checked already.
  void set(const std::string& option, const std::string& text);
  const Command& command() const { return *command_; }

 private:
  struct Value {
    std::string text;
    bool given = false;
    std::vector<std::string> before{};  // where it was given several times
  };
  std::uint64_t parsed_whole_number(const std::string& option) const;

  const Command* command_;
  std::map<std::string, Value> values_;
  std::vector<std::string> operands_;
};

// What is wrong with a value, as "is 'x', expected cosine or step"; empty where nothing is.
std::string complaint(const ValueKind& kind, const std::string& text);

// A whole number from `low` to `high`; throws Error with the option as its place.
std::uint64_t parse_whole_number(const std::string& option, const std::string& text, const WholeNumber& range);

// Columns of the terminal that standard output is, 100 elsewhere.
std::size_t help_columns();
// A text of paragraphs in lines of so many columns, of which no word is broken.
std::string wrapped(const std::string& text, std::size_t columns, std::size_t indentation = 0);
std::string help_text(const Command& command, std::size_t columns = help_columns());

}  // namespace mlsim::base
