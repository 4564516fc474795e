#include "trainer/batch_part.h"

#include <fmt/format.h>

#include <span>
#include <stdexcept>
#include <variant>

#include "base/integers.h"

namespace mlsim::trainer {
namespace {

constexpr std::int64_t kWhole = models::ScaleLayout::kWhole;

}  // namespace

models::TensorPart BatchPart::of(const torch::Tensor& tensor, const models::Format& format) const {
  models::TensorPart part;
  part.first_element = static_cast<std::uint64_t>(tensor.numel()) * static_cast<std::uint64_t>(ranks_->rank());
  if (own_scales_) return part;
  part.raise = [this, device = tensor.device(),
                tile = models::scale_layout_of(format).tile[0]](std::span<std::uint32_t> maxima) {
    // Magnitudes are below 2^31: signed numbers have their order.
    const auto count = static_cast<std::int64_t>(maxima.size());
    raise(torch::from_blob(maxima.data(), {count}, torch::dtype(torch::kInt).device(device)), tile);
  };
  return part;
}

void BatchPart::raise(const torch::Tensor& maxima, std::int64_t images_of_tile) const {
  const torch::NoGradGuard no_gradients;
  const std::int64_t batch = images_ * ranks_->size();
  if (images_of_tile == kWhole || images_of_tile >= batch) return ranks_->maximum(maxima);
  if (images_ % images_of_tile == 0) return ranks_->maximum(maxima.narrow(0, 0, 1));
  // Every tile is some whole parts: all tiles of the batch, of which this rank knows one along dimension 0.
  const std::int64_t parts = images_of_tile / images_;
  const std::int64_t tiles = maxima.numel() - 1;
  const torch::Tensor all = at::zeros({1 + base::ceiling(ranks_->size(), parts) * tiles}, maxima.options());
  const torch::Tensor own = all.narrow(0, 1 + ranks_->rank() / parts * tiles, tiles);
  all.narrow(0, 0, 1).copy_(maxima.narrow(0, 0, 1));
  own.copy_(maxima.narrow(0, 1, tiles));
  ranks_->maximum(all);
  maxima.narrow(0, 0, 1).copy_(all.narrow(0, 0, 1));
  maxima.narrow(0, 1, tiles).copy_(own);
}

void BatchPart::check(const Quantization& quantization) const {
  if (own_scales_) return;
  const std::int64_t batch = images_ * ranks_->size();
  for (const models::Operand operand : {models::Operand::kActivation, models::Operand::kError}) {
    for (const models::Pass pass : models::kPasses) {
      const models::Format format = models::format_of(quantization[operand].format, operand, pass);
      const std::int64_t tile = models::scale_layout_of(format).tile[0];
      if (tile == kWhole || tile >= batch || images_ % tile == 0) continue;
      if (tile % images_ == 0) continue;
      throw std::runtime_error(fmt::format(
          "--batch {}: {} ranks cut the {} images that share a scale of {} ({}) into parts of {}, expected parts "
          "that are a multiple of them, or --scale-per-rank",
          batch, ranks_->size(), tile, to_string(format), to_string(operand), images_));
    }
  }
}

}  // namespace mlsim::trainer
