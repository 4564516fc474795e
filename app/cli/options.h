// What the commands share in reading their command lines.
#pragma once

#include <oneapi/tbb/global_control.h>

#include <boost/program_options.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "energy/laws.h"

namespace mlsim::app {

struct Usage {
  std::string synopsis;     // mlsim quantize IN.npy --format F --out DIR [options]
  std::string description;  // sentences
};

// Reads `arguments` into `values`. Prints the help and returns false where --help is among them. Throws
// std::runtime_error for an unknown option, a missing or a repeated one.
bool parse_command_line(const Usage& usage, const boost::program_options::options_description& visible,
                        const boost::program_options::options_description& hidden,
                        const boost::program_options::positional_options_description& positional,
                        const std::vector<std::string>& arguments, boost::program_options::variables_map& values);

// A whole number from `low` to `high`; throws std::runtime_error that names the option.
std::uint64_t parse_whole_number(const std::string& option, const std::string& text, std::uint64_t low,
                                 std::uint64_t high);

// Whether a cost table is a shipped one; else the name is that of a file.
bool is_shipped(const std::string& table);

// The laws of a cost table: a shipped one by name, or a file, which is an input that nothing replaces.
energy::Laws find_laws(const std::string& table);

// Bounds the threads of the process to what --jobs says, for as long as the result lives; null where it was not given.
std::unique_ptr<tbb::global_control> limit_threads(const boost::program_options::variables_map& values);

}  // namespace mlsim::app
