// Options that several commands have.
#pragma once

#include <oneapi/tbb/global_control.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/command_line.h"
#include "energy/laws.h"
#include "workloads/source.h"

namespace mlsim::app {

base::Option activity_option();
base::Option table_option(const std::string& help = "cost table: a shipped one by name, or a file");
base::Option jobs_option();
base::Option quiet_option();

// A format for all operands, which fp8 and mxfp8 are, too.
base::Parsed operand_formats_kind();
// A list separated by commas, of parts that `parse` throws for where they are wrong.
base::Parsed list_of(std::function<void(const std::string&)> parse);
// The laws of a cost table: a shipped one by name, or a file.
energy::Laws find_laws(const std::string& table);

// Says warnings on standard error, a line for each, unless --quiet is given.
void print_warnings(const base::CommandLine& line, const std::vector<std::string>& warnings);

// What stands for a workload or a network, and the options that go with it.
base::Operand source_operand(const std::string& name);
base::Option batch_option();
base::Option step_batch_option();  // of --step
base::Option values_option();
base::Option strict_option();
// Of those that the command has.
workloads::SourceOptions source_options(const base::CommandLine& line);
// A paragraph of a command's page.
std::string sources_text(const std::string& name);

// Bounds the threads of the process to what --jobs says, for as long as the result lives; null where it was not given.
std::unique_ptr<tbb::global_control> limit_threads(const base::CommandLine& line);

}  // namespace mlsim::app
