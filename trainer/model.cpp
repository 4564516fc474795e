#include "trainer/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cassert>
#include <stdexcept>
#include <vector>

namespace mlsim::trainer {

std::string to_string(Model model) {
  switch (model) {
    case Model::kResNet8:
      return "resnet8";
    case Model::kResNet20:
      return "resnet20";
    case Model::kResNet18:
      return "resnet18";
    case Model::kResNet18ImageNet:
      return "resnet18-imagenet";
    case Model::kVgg16Bn:
      return "vgg16-bn";
  }
  assert(false);
  return {};
}

Model parse_model(const std::string& name) {
  std::vector<std::string> names;
  for (const Model model : kModels) {
    if (to_string(model) == name) return model;
    names.push_back(to_string(model));
  }
  throw std::runtime_error(fmt::format("model '{}' is unknown, expected one of {}", name, fmt::join(names, ", ")));
}

}  // namespace mlsim::trainer
