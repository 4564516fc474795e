#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <utility>
#include <vector>

#include "trainer/collectives.h"

namespace mlsim::trainer {
namespace {

class Gloo : public Collectives {
 public:
  explicit Gloo(const Meeting& meeting) {
    auto options = c10d::ProcessGroupGloo::Options::create(kMostWaiting);
    // As PyTorch has it: that of the variable, or that of this machine's name.
    const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
    const bool local = meeting.address == "localhost" || meeting.address.starts_with("127.");
    if (interface != nullptr && *interface != '\0') {
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(interface));
    } else if (local) {
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(meeting.address));
    } else {
      options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
    }
    options->threads = 1;
    group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(meeting.store, meeting.rank, meeting.size, options);
  }

  void maximum(torch::Tensor numbers) override {
    std::vector<torch::Tensor> tensors{std::move(numbers)};
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::MAX;
    group_->allreduce(tensors, options)->wait();
  }

  void exchange(torch::Tensor input, torch::Tensor output) override {
    std::vector<std::int64_t> equal;
    std::vector<std::int64_t> parts;
    group_->alltoall_base(output, input, equal, parts)->wait();
  }

 private:
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

std::unique_ptr<Collectives> make_gloo(const Meeting& meeting) {
  return std::make_unique<Gloo>(meeting);
}

}  // namespace mlsim::trainer
