#include "app/cli/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <stdexcept>
#include <string_view>

#include "base/output_file.h"
#include "energy/cost_table.h"

namespace mlsim::app {

namespace po = boost::program_options;

bool parse_command_line(const Usage& usage, const po::options_description& visible,
                        const po::options_description& hidden, const po::positional_options_description& positional,
                        const std::vector<std::string>& arguments, po::variables_map& values) {
  const auto refuse = [&](const std::string& reason) {
    throw std::runtime_error(reason + " (see " +
                             usage.synopsis.substr(0, usage.synopsis.find(' ', usage.synopsis.find(' ') + 1)) +
                             " --help)");
  };
  po::options_description all;
  all.add(visible).add(hidden).add_options()("help,h", "");
  try {
    // No guessing of abbreviated names: a script's option must not change its meaning when an option is added.
    constexpr int kStyle = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(arguments).options(all).positional(positional).style(kStyle).run(), values);
    if (values.count("help") != 0) {
      std::cout << "usage: " << usage.synopsis << "\n\n" << usage.description << "\n\n" << visible;
      return false;
    }
    po::notify(values);
    for (const auto& [name, value] : values) {
      const auto* const text = boost::any_cast<std::string>(&value.value());
      const auto* const texts = boost::any_cast<std::vector<std::string>>(&value.value());
      if ((text != nullptr && text->empty()) ||
          (texts != nullptr && std::find(texts->begin(), texts->end(), "") != texts->end())) {
        const bool listed = visible.find_nothrow(name, false) != nullptr;
        refuse((listed ? "--" + name : std::string("a file or network")) + " is empty");
      }
    }
  } catch (const po::required_option& error) {
    // One that the help does not list is a positional argument, which the synopsis shows.
    const bool listed = visible.find_nothrow(error.get_option_name().substr(2), false) != nullptr;
    refuse((listed ? error.get_option_name() : std::string("a file or network")) + " is missing: " + usage.synopsis);
  } catch (const po::error& error) {
    refuse(error.what());
  }
  return true;
}

std::uint64_t parse_whole_number(const std::string& option, const std::string& text, std::uint64_t low,
                                 std::uint64_t high) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    throw std::runtime_error(fmt::format("{} is '{}', expected a whole number from {} to {}", option, text, low, high));
  }
  return value;
}

bool is_shipped(const std::string& table) {
  const std::vector<std::string_view> shipped = energy::shipped_cost_tables();
  return std::find(shipped.begin(), shipped.end(), table) != shipped.end();
}

energy::Laws find_laws(const std::string& table) {
  return energy::Laws(energy::find_cost_table(table));
}

std::unique_ptr<tbb::global_control> limit_threads(const po::variables_map& values) {
  if (values.count("jobs") == 0) return nullptr;
  return std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                               parse_whole_number("--jobs", values["jobs"].as<std::string>(), 1, 1024));
}

}  // namespace mlsim::app
