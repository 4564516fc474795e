// The schemas and the shipped networks, built into the library so that the command needs no files of its own.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>

namespace mlsim::workloads {

struct EmbeddedFile {
  std::string_view name;  // workload.schema.json, networks/resnet20.json, ...
  std::string_view text;
};

std::span<const EmbeddedFile> embedded_files();

// One of them that is JSON, such as "workload.schema.json".
nlohmann::json embedded_json(std::string_view name);

}  // namespace mlsim::workloads
