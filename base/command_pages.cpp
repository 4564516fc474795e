#include "base/command_pages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

namespace mlsim::base {
namespace {

// A text as roff shows it unchanged.
std::string roff(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else if ((c == '.' || c == '\'') && (result.empty() || result.back() == '\n')) {
      result += std::string("\\&") + c;
    } else {
      result += c;
    }
  }
  return result;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

std::string roff_paragraphs(const std::string& text) {
  std::string result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    result += end == begin ? "" : roff(text.substr(begin, end - begin)) + "\n" + (end == text.size() ? "" : ".PP\n");
    begin = end + 1;
  }
  return result;
}

std::string roff_options(const Command& command) {
  std::string text;
  for (const OptionGroup& group : command.groups) {
    if (command.groups.size() > 1) text += ".PP\n" + roff(group.title) + ":\n";
    for (const Option& option : group.options) {
      text += ".TP\n";
      if (!option.letter.empty()) text += "\\fB" + roff("-" + option.letter) + "\\fR, ";
      text += "\\fB" + roff("--" + option.name) + "\\fR";
      if (!option.value_name.empty()) text += " \\fI" + roff(option.value_name) + "\\fR";
      text += "\n" + roff(option.help);
      if (!option.preset.empty()) text += roff(fmt::format(" (default: {})", option.preset));
      text += "\n";
    }
  }
  return text;
}

std::string usage(const Command& command) {
  return "\\fB" + roff(command.name) + "\\fR " + roff(command.synopsis) + "\n";
}

std::string last_word(const std::string& text) {
  return text.substr(text.rfind(' ') + 1);
}

std::vector<std::string> option_names(const Command& command) {
  std::vector<std::string> names;
  for (const OptionGroup& group : command.groups) {
    for (const Option& option : group.options) {
      if (!option.letter.empty()) names.push_back("-" + option.letter);
      names.push_back("--" + option.name);
    }
  }
  names.emplace_back("--help");
  return names;
}

// The shell's command that completes what is typed to one of these words or files.
std::string completion(const std::vector<std::string>& words, const std::string& files = "") {
  const std::string list = words.empty() ? "" : fmt::format(" -W '{}'", fmt::join(words, " "));
  return fmt::format("mapfile -t COMPREPLY < <(compgen{}{} -- \"$current\")", files, list);
}

// The same of a value; empty where nothing is known of it.
std::string completion(const ValueKind& kind) {
  if (const auto* choice = std::get_if<Choice>(&kind)) return completion(choice->names);
  if (const auto* file = std::get_if<File>(&kind)) return completion(file->names, " -f");
  if (std::holds_alternative<Folder>(kind)) return completion({}, " -d");
  if (const auto* parsed = std::get_if<Parsed>(&kind); parsed != nullptr && !parsed->names.empty()) {
    return completion(parsed->names);
  }
  return {};
}

std::string complete_command(const Command& command, const std::string& indentation) {
  std::string text = indentation + "case \"$previous\" in\n";
  for (const OptionGroup& group : command.groups) {
    for (const Option& option : group.options) {
      if (option.value_name.empty()) continue;
      const std::string values = completion(option.kind);
      const std::string letter = option.letter.empty() ? "" : "-" + option.letter + " | ";
      text += fmt::format("{}  {}--{}) {}return ;;\n", indentation, letter, option.name,
                          values.empty() ? "" : values + "; ");
    }
  }
  text += indentation + "esac\n";
  text += fmt::format("{}if [[ $current == -* ]]; then\n{}  {}\n", indentation, indentation,
                      completion(option_names(command)));
  if (!command.operands.empty()) {
    text += fmt::format("{}else\n{}  {}\n", indentation, indentation, completion(command.operands.front().kind));
  }
  return text + indentation + "fi\n";
}

}  // namespace

std::string help_text(const Program& program, std::size_t columns) {
  const Command& itself = program.itself;
  std::size_t width = 0;
  for (const Command& command : program.commands) width = std::max(width, last_word(command.name).size() + 5);
  std::string text = fmt::format("usage: {} {}\n\n{}\n\ncommands:\n", itself.name, itself.synopsis,
                                 wrapped(itself.description, columns));
  for (const Command& command : program.commands) {
    text += fmt::format("{:<{}}{}\n", "  " + last_word(command.name), width, wrapped(command.summary, columns, width));
  }
  return text + "\n" +
         wrapped(fmt::format("{} help COMMAND or {} COMMAND --help says more about one; {} --version (-V) prints the "
                             "version.",
                             itself.name, itself.name, itself.name),
                 columns) +
         "\n";
}

std::string man_page(const Program& program) {
  const Command& itself = program.itself;
  std::string text = fmt::format(".TH {} 1 \"\" \"{} {}\" \"User commands\"\n", roff(upper(itself.name)),
                                 roff(itself.name), roff(program.version));
  text += ".SH NAME\n" + roff(itself.name) + " \\- " + roff(itself.summary) + "\n.SH SYNOPSIS\n";
  if (program.commands.empty()) text += usage(itself);
  for (const Command& command : program.commands) text += usage(command) + ".br\n";
  text += ".SH DESCRIPTION\n" + roff_paragraphs(itself.description);
  if (!itself.groups.empty()) text += ".SH OPTIONS\n" + roff_options(itself);
  if (!program.commands.empty()) text += ".SH COMMANDS\n";
  for (const Command& command : program.commands) {
    text += ".SS " + roff(last_word(command.name)) + "\n" + usage(command) + ".PP\n" +
            roff_paragraphs(command.description) + roff_options(command);
  }
  return text + ".SH EXIT STATUS\n0, or 2 for input that cannot be used, or 1 for a failure of the program itself.\n";
}

std::string bash_completion(const Program& program) {
  std::string function = "_" + program.itself.name;
  std::replace(function.begin(), function.end(), '-', '_');
  std::string text = fmt::format(
      "# bash completion for {}\n{}() {{\n  local current=\"${{COMP_WORDS[COMP_CWORD]}}\"\n"
      "  local previous=\"${{COMP_WORDS[COMP_CWORD-1]}}\"\n  COMPREPLY=()\n",
      program.itself.name, function);
  if (program.commands.empty()) {
    text += complete_command(program.itself, "  ");
  } else {
    std::vector<std::string> commands;
    for (const Command& command : program.commands) commands.push_back(last_word(command.name));
    std::vector<std::string> first = commands;
    first.insert(first.end(), {"help", "--help", "--version"});
    text += fmt::format("  if ((COMP_CWORD == 1)); then\n    {}\n    return\n  fi\n  case \"${{COMP_WORDS[1]}}\" in\n",
                        completion(first));
    text += fmt::format("    help) {} ;;\n", completion(commands));
    for (const Command& command : program.commands) {
      text += fmt::format("    {})\n{}      ;;\n", last_word(command.name), complete_command(command, "      "));
    }
    text += "  esac\n";
  }
  return text + fmt::format("}}\ncomplete -F {} -o filenames {}\n", function, program.itself.name);
}

}  // namespace mlsim::base
