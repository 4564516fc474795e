#include "base/error.h"

#include <system_error>
#include <utility>

namespace mlsim::base {
namespace {

std::string sentence(const std::string& file, const std::string& place, const std::string& reason) {
  std::string text;
  for (const std::string& part : {file, place}) text += part.empty() ? "" : part + ": ";
  return text + reason;
}

}  // namespace

Error::Error(std::string file, std::string place, std::string reason)
    : std::runtime_error(sentence(file, place, reason)),
      file_(std::move(file)),
      place_(std::move(place)),
      reason_(std::move(reason)) {}

std::string reason_of(int error) {
  return std::error_code(error, std::generic_category()).message();
}

void refuse(const std::string& file, const std::string& place, const std::string& reason) {
  throw Error(file, place, reason);
}

}  // namespace mlsim::base
