#include "base/command_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "base/error.h"
#include "base/text.h"

namespace mlsim::base {
namespace {

// Boost parses the words; kinds of values, keys of recipes, pages of the manual and completion are in the table, of
// which its descriptions know nothing.
namespace po = boost::program_options;

std::string alternatives(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  }
  return text;
}

// What a kind of value complains of.
struct Complaint {
  const std::string& text;

  std::string expected(const std::string& what) const { return fmt::format("is '{}', expected {}", text, what); }
  std::string nothing_if_filled(const std::string& what) const {
    return text.empty() ? "is empty, expected " + what : "";
  }

  std::string operator()(const AnyText& /*kind*/) const { return nothing_if_filled("a text"); }
  std::string operator()(const File& /*kind*/) const { return nothing_if_filled("a name"); }
  std::string operator()(const Folder& /*kind*/) const {
    return text == "-" ? expected("the name of a folder") : nothing_if_filled("a name");
  }
  std::string operator()(const WholeNumber& range) const {
    const auto value = number_of<std::uint64_t>(text);
    if (value && *value >= range.low && *value <= range.high) return {};
    // The largest of all is said to those alone who are above it.
    const bool above = !value && !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    const bool bounded = above || range.high < std::numeric_limits<std::uint64_t>::max();
    return expected(
        fmt::format("a whole number from {} {}", range.low, bounded ? fmt::format("to {}", range.high) : "on"));
  }
  std::string operator()(const Number& range) const {
    const auto value = number_of<double>(text);
    if (value && *value >= range.low && *value <= range.high) return {};
    return expected(fmt::format("a number from {} to {}", range.low, range.high));
  }
  std::string operator()(const Choice& choice) const {
    if (std::find(choice.names.begin(), choice.names.end(), text) != choice.names.end()) return {};
    return expected(alternatives(choice.names));
  }
  std::string operator()(const Parsed& parsed) const {
    try {
      parsed.parse(text);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return {};
  }
};

// What Boost's parser needs to know of a table.
po::options_description boost_options(const Command& command) {
  po::options_description all;
  all.add_options()("help,h", "");
  for (const OptionGroup& group : command.groups) {
    for (const Option& option : group.options) {
      const std::string names = option.name + (option.letter.empty() ? "" : "," + option.letter);
      if (option.value_name.empty()) {
        all.add_options()(names.c_str(), "");
      } else {
        all.add_options()(names.c_str(), po::value<std::string>(), "");
      }
    }
  }
  return all;
}

}  // namespace

const Option* Command::find(std::string_view option) const {
  for (const OptionGroup& group : groups) {
    for (const Option& candidate : group.options) {
      if (candidate.name == option) return &candidate;
    }
  }
  return nullptr;
}

CommandLine::CommandLine(const Command& command) : command_(&command) {
  for (const OptionGroup& group : command.groups) {
    for (const Option& option : group.options) {
      if (!option.preset.empty()) values_[option.name] = {option.preset, false};
    }
  }
}

CommandLine::CommandLine(const Command& command, const std::vector<std::string>& arguments) : CommandLine(command) {
  const auto refuse_usage = [&](const std::string& reason) {
    throw std::runtime_error(fmt::format("{} (see {} --help)", reason, command.name));
  };
  const po::options_description known = boost_options(command);
  try {
    // No guessing of abbreviated names: a script's option must not change its meaning when an option is added.
    constexpr int kStyle = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    const po::parsed_options parsed = po::command_line_parser(arguments).options(known).style(kStyle).run();
    for (const po::option& option : parsed.options) {
      if (option.position_key >= 0) {
        operands_.insert(operands_.end(), option.value.begin(), option.value.end());
        continue;
      }
      const Option* const known_option = command.find(option.string_key);
      const bool is_many = known_option != nullptr && known_option->many;
      if (given(option.string_key) && !is_many) {
        refuse_usage(fmt::format("--{} is given twice", option.string_key));
      }
      std::vector<std::string> before =
          given(option.string_key) ? texts(option.string_key) : std::vector<std::string>{};
      set(option.string_key, option.value.empty() ? "" : option.value.front());
      values_[option.string_key].before = std::move(before);
    }
  } catch (const po::error& error) {
    refuse_usage(error.what());
  }
  if (flag("help")) return;
  const auto most = [&]() -> std::size_t {
    if (command.operands.empty()) return 0;
    const Operand& operand = command.operands.front();
    return operand.many && (operand.many_with.empty() || has(operand.many_with)) ? operands_.size() : 1;
  }();
  if (operands_.size() > most) refuse_usage(fmt::format("'{}' is one argument too many", operands_[most]));
  if (!command.operands.empty() && operands_.empty()) {
    const Operand& operand = command.operands.front();
    const bool of_others = !operand.many_with.empty() && has(operand.many_with);
    refuse_usage(fmt::format("{} is missing", of_others ? operand.many_name : operand.name));
  }
  for (const std::string& operand : operands_) {
    const std::string reason = complaint(command.operands.front().kind, operand);
    if (!reason.empty()) refuse("", command.operands.front().name, reason);
  }
  for (const OptionGroup& group : command.groups) {
    for (const Option& option : group.options) {
      if (option.required && !has(option.name)) refuse_usage(fmt::format("--{} is missing", option.name));
      if (!given(option.name)) continue;
      if (!option.needs_option.empty() && option.needs_value.empty() && !has(option.needs_option)) {
        refuse("", "--" + option.name, "expected only beside --" + option.needs_option);
      }
      if (option.value_name.empty()) continue;
      for (const std::string& value : texts(option.name)) {
        const std::string reason = complaint(option.kind, value);
        if (!reason.empty()) refuse("", "--" + option.name, reason);
      }
    }
  }
}

std::vector<std::string> CommandLine::texts(const std::string& option) const {
  const auto value = values_.find(option);
  if (value == values_.end()) return {};
  std::vector<std::string> all = value->second.before;
  all.push_back(value->second.text);
  return all;
}

bool CommandLine::given(const std::string& option) const {
  const auto value = values_.find(option);
  return value != values_.end() && value->second.given;
}

std::filesystem::path CommandLine::path(const std::string& option) const {
  if (!has(option)) return {};
  return text(option);
}

std::uint64_t CommandLine::parsed_whole_number(const std::string& option) const {
  return number_of<std::uint64_t>(text(option)).value();
}

double CommandLine::number(const std::string& option) const {
  return number_of<double>(text(option)).value();
}

void CommandLine::set(const std::string& option, const std::string& text) {
  values_[option] = {text, true};
}

std::string complaint(const ValueKind& kind, const std::string& text) {
  return std::visit(Complaint{text}, kind);
}

std::uint64_t parse_whole_number(const std::string& option, const std::string& text, const WholeNumber& range) {
  const std::string reason = complaint(range, text);
  if (!reason.empty()) refuse("", option, reason);
  return number_of<std::uint64_t>(text).value();
}

std::size_t help_columns() {
  constexpr std::size_t kElsewhere = 100;
  constexpr std::size_t kFewest = 50;
  winsize size{};
  if (isatty(STDOUT_FILENO) != 1 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    return kElsewhere;
  }
  return std::max<std::size_t>(size.ws_col, kFewest);
}

std::string wrapped(const std::string& text, std::size_t columns, std::size_t indentation) {
  std::string result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!result.empty()) result += "\n" + std::string(line.empty() ? 0 : indentation, ' ');
    std::size_t column = indentation;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      const bool is_first = column == indentation;
      if (!is_first && column + 1 + word.size() > columns) {
        result += "\n" + std::string(indentation, ' ') + word;
        column = indentation + word.size();
      } else {
        result += (is_first ? "" : " ") + word;
        column += (is_first ? 0 : 1) + word.size();
      }
    }
  }
  return result;
}

std::string help_text(const Command& command, std::size_t columns) {
  constexpr std::size_t kWidestNames = 32;
  std::size_t width = std::string_view("  -h, --help").size();
  std::vector<std::vector<std::string>> names;
  for (const OptionGroup& group : command.groups) {
    names.emplace_back();
    for (const Option& option : group.options) {
      std::string& text =
          names.back().emplace_back((option.letter.empty() ? "  --" : "  -" + option.letter + ", --") + option.name);
      if (!option.value_name.empty()) text += " " + option.value_name;
      if (!option.preset.empty()) text += fmt::format(" (={})", option.preset);
      if (text.size() <= kWidestNames) width = std::max(width, text.size());
    }
  }
  width += 2;
  std::string text = "usage: " + wrapped(command.name + " " + command.synopsis, columns, 7) + "\n\n" +
                     wrapped(command.description, columns) + "\n";
  for (std::size_t g = 0; g < names.size(); ++g) {
    text += "\n" + command.groups[g].title + ":\n";
    for (std::size_t o = 0; o < names[g].size(); ++o) {
      std::string& line = names[g][o];
      line += line.size() + 2 > width ? "\n" + std::string(width, ' ') : std::string(width - line.size(), ' ');
      text += line + wrapped(command.groups[g].options[o].help, columns, width) + "\n";
    }
  }
  const std::string help = "  -h, --help";
  return text + help + std::string(width - help.size(), ' ') + "print this text\n";
}

}  // namespace mlsim::base
