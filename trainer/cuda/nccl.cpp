#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/cuda/nccl.h>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "trainer/collectives.h"

namespace mlsim::trainer {
namespace {

namespace nccl = torch::cuda::nccl;

// Everything goes to the current stream, among the other work of a step: nothing waits for another stream, and a rank
// that is gone is for Ranks to see.
class Nccl : public Collectives {
 public:
  explicit Nccl(const Meeting& meeting) : size_(meeting.size) {
    constexpr const char* kKey = "nccl";
    nccl::ncclUniqueId id{};
    if (meeting.rank == 0) {
      nccl::get_unique_id(id);
      meeting.store->set(kKey, std::vector<std::uint8_t>(std::begin(id.internal), std::end(id.internal)));
    } else {
      const std::vector<std::uint8_t> bytes = meeting.store->get(kKey);
      if (bytes.size() != sizeof(id.internal)) throw std::runtime_error("NCCL's identity has another size");
      std::copy(bytes.begin(), bytes.end(), std::begin(id.internal));
    }
    communicators_.push_back(nccl::comm_init_rank(meeting.size, id, meeting.rank));
  }
  // Ends with the process: NCCL may wait for ranks that are gone.

  void maximum(torch::Tensor numbers) override {
    std::vector<torch::Tensor> tensors{std::move(numbers)};
    nccl::all_reduce(tensors, tensors, static_cast<std::int32_t>(nccl::ncclRedOp::Max), {}, communicators_);
  }

  void exchange(torch::Tensor input, torch::Tensor output) override {
    assert(input.numel() % size_ == 0);
    auto stream = c10::cuda::getCurrentCUDAStream(input.device().index());
    nccl::all2all_single_equal_split(input, output, size_, communicators_.front(), stream);
  }

 private:
  int size_;
  nccl::comm_list communicators_;
};

}  // namespace

std::unique_ptr<Collectives> make_nccl(const Meeting& meeting) {
  return std::make_unique<Nccl>(meeting);
}

}  // namespace mlsim::trainer
