// Ranks as threads of one process: the ranks, the parts of a batch that they quantize, and the batch norm that they
// share.
#include "trainer/ranks.h"

#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <array>
#include <bit>
#include <exception>
#include <functional>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "models/baseline/baseline.h"
#include "models/quantizer/quantizer.h"
#include "tests/support/random_tensors.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/free_port.h"
#include "trainer/batch_part.h"
#include "trainer/networks/batch_norm.h"
#include "trainer/quantized_convolution.h"
#include "trainer/step_sum.h"

namespace mlsim::trainer {
namespace {

using models::Operand;
using models::Rounding;
using testing::HasSubstr;

enum class Store { kOfRank0, kOfLauncher };

// Runs `work` for each rank at the same time; the first exception is thrown here.
void for_ranks(int size, const std::function<void(Ranks&)>& work, Store keeper = Store::kOfRank0) {
  const std::uint16_t port = test::free_port();
  c10::intrusive_ptr<c10d::TCPStore> of_launcher;
  if (keeper == Store::kOfLauncher) {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = true;
    options.waitWorkers = false;
    of_launcher = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  }
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        RankEnvironment environment;
        environment.rank = rank;
        environment.size = size;
        environment.address = "127.0.0.1";
        environment.port = port;
        environment.attempt = "0";
        environment.launcher_keeps_store = of_launcher != nullptr;
        Ranks ranks(environment, [](const std::string& sentence) { ADD_FAILURE() << sentence; });
        ranks.connect(false);
        work(ranks);
        ranks.leave();
      } catch (...) {
        errors[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error != nullptr) std::rethrow_exception(error);
  }
}

std::vector<std::uint32_t> bits_of(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().contiguous();
  std::vector<std::uint32_t> bits;
  for (std::int64_t i = 0; i < dense.numel(); ++i)
    bits.push_back(std::bit_cast<std::uint32_t>(dense.data_ptr<float>()[i]));
  return bits;
}

torch::Tensor random_tensor(tests::Random& random, at::IntArrayRef shape) {
  torch::Tensor tensor = torch::empty(shape);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.data_ptr<float>()[i] = normal(random);
  return tensor;
}

TEST(Ranks, AddInTheirOrder) {
  tests::Random random(3);
  for (const std::int64_t count : {1, 2, 7, 1000, 8192, 8194, 100000}) {
    const torch::Tensor values = random_tensor(random, {3, count});
    std::array<torch::Tensor, 3> sums;
    for_ranks(3, [&](Ranks& ranks) {
      torch::Tensor own = values[ranks.rank()].clone();
      ranks.sum(own);
      sums[static_cast<std::size_t>(ranks.rank())] = own;
    });
    const torch::Tensor expected = values[0] + values[1] + values[2];
    for (const torch::Tensor& sum : sums) EXPECT_EQ(bits_of(sum), bits_of(expected)) << count;
  }
}

TEST(Ranks, FindTheLargestAndHearTheLeader) {
  for_ranks(3, [](Ranks& ranks) {
    torch::Tensor numbers = torch::tensor({ranks.rank(), 7 - ranks.rank(), 0x7F800000}, torch::kInt);
    ranks.maximum(numbers);
    EXPECT_EQ(numbers[0].item<int>(), 2);
    EXPECT_EQ(numbers[1].item<int>(), 7);
    EXPECT_EQ(numbers[2].item<int>(), 0x7F800000);
    EXPECT_EQ(ranks.of_leader("name", "text of " + std::to_string(ranks.rank())), "text of 0");
  });
}

TEST(Ranks, MeetInTheStoreOfALauncher) {
  const auto work = [](Ranks& ranks) {
    torch::Tensor number = torch::full({1}, ranks.rank() + 1.0F);
    ranks.sum(number);
    EXPECT_EQ(number.item<float>(), 3.0F);
  };
  for_ranks(2, work, Store::kOfLauncher);
}

TEST(Ranks, EndWithASentenceWhereOneIsGone) {
  std::string sentence;
  const std::string error = test::error_of([&] {
    for_ranks(2, [&](Ranks& ranks) {
      if (ranks.rank() == 1) throw std::runtime_error("an image cannot be read");
      torch::Tensor numbers = torch::zeros({4});
      sentence = test::error_of([&] {
        while (true) ranks.sum(numbers);
      });
    });
  });
  EXPECT_THAT(sentence, HasSubstr("rank 0 of 2: another rank has ended or cannot be reached, training cannot go on ("));
  // Rank 0 does not leave as if all were well.
  EXPECT_THAT(error, HasSubstr("rank 0 of 2: another rank has ended"));
}

TEST(StepSum, AddsGradientsAndAveragesStatistics) {
  tests::Random random(5);
  const torch::Tensor gradients = random_tensor(random, {2, 3, 4, 2, 2});
  const torch::Tensor statistics = random_tensor(random, {2, 5});
  for_ranks(2, [&](Ranks& ranks) {
    // In another order of elements.
    torch::Tensor parameter = torch::zeros({3, 4, 2, 2}).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
    torch::Tensor other = torch::zeros({3}).requires_grad_();
    parameter.mutable_grad() = gradients[ranks.rank()];
    other.mutable_grad() = torch::full({3}, ranks.rank() + 1.0F);
    torch::Tensor own = statistics[ranks.rank()].clone();
    StepSum sum(ranks, {parameter, other}, {own});
    sum.add();
    EXPECT_EQ(bits_of(parameter.grad()), bits_of(gradients[0] + gradients[1]));
    EXPECT_EQ(bits_of(other.grad()), bits_of(torch::full({3}, 3.0F)));
    EXPECT_EQ(bits_of(own), bits_of((statistics[0] + statistics[1]) / 2));
  });
}

constexpr std::array kFormats{"e2m4",     "e2m1/n",   "e1m3/g4m2/c", "e0m4/none", "mxfp8-e4m3/k2",  "mxint8/k4",
                              "mxfp4/k8", "nvfp4",    "e2m4/k16",    "nvfp4/c",   "mxfp4/t4x2x1x*", "e2m3/fit",
                              "int8",     "fp8-e5m2", "bf16",        "fp16"};

models::Shape shape_of(const torch::Tensor& tensor) {
  return {tensor.sizes().begin(), tensor.sizes().end()};
}
std::span<const float> values_of(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

// Of each rank's part of 8 images of 3 channels whose planes are no multiple of 4: codes, and scales with what they are
// of in the batch.
TEST(BatchPart, HasTheCodesAndScalesOfTheBatch) {
  tests::Random random(7);
  for (const int size : {2, 4}) {
    for (const char* const name : kFormats) {
      SCOPED_TRACE(std::string(name) + ", ranks " + std::to_string(size));
      const torch::Tensor batch = random_tensor(random, {8, 3, 3, 5}) * torch::arange(1, 9).view({8, 1, 1, 1});
      const models::Format format =
          models::format_of(models::parse_operand_formats(name)[2], Operand::kError, models::Pass::kBackwardWeight);
      models::QuantizerOptions options{.rounding = Rounding::kStochastic, .seed = 5, .stream = 9};
      const auto* const scaled = std::get_if<models::ScaledFormat>(&format);
      std::vector<float> whole(static_cast<std::size_t>(batch.numel()));
      models::QuantizedTensor quantized;
      float scale = 0;
      if (scaled != nullptr) {
        quantized = models::quantize(values_of(batch), shape_of(batch), *scaled, options, "batch");
        scale = models::quantize_scaled(values_of(batch), shape_of(batch), *scaled, options, "batch", whole);
      } else {
        scale = models::quantize_baseline_scaled(values_of(batch), shape_of(batch),
                                                 std::get<models::BaselineFormat>(format), options, "batch", whole);
      }
      for_ranks(size, [&](Ranks& ranks) {
        const std::int64_t images = 8 / size;
        const torch::Tensor own = batch.narrow(0, ranks.rank() * images, images).contiguous();
        const auto first = static_cast<std::size_t>(ranks.rank() * own.numel());
        const BatchPart batch_part(ranks, images, false);
        const models::TensorPart part = batch_part.of(own, format);
        models::QuantizerOptions of_part = options;
        of_part.part = &part;
        std::vector<float> values(static_cast<std::size_t>(own.numel()));
        if (scaled == nullptr) {
          EXPECT_EQ(scale, models::quantize_baseline_scaled(values_of(own), shape_of(own),
                                                            std::get<models::BaselineFormat>(format), of_part, "part",
                                                            values));
        } else {
          EXPECT_EQ(scale, models::quantize_scaled(values_of(own), shape_of(own), *scaled, of_part, "part", values));
          const models::QuantizedTensor found =
              models::quantize(values_of(own), shape_of(own), *scaled, of_part, "part");
          EXPECT_EQ(found.tensor.tensor_scale, quantized.tensor.tensor_scale);
          const models::TileGrid tiles = found.tensor.grid();
          const models::TileGrid all_tiles = quantized.tensor.grid();
          for (std::size_t i = 0; i < found.tensor.codes.size(); ++i) {
            ASSERT_EQ(found.tensor.codes[i], quantized.tensor.codes[first + i]) << i;
            const auto tile_of = [](const models::TileGrid& grid, std::size_t element) {
              const auto e = static_cast<std::int64_t>(element);
              return static_cast<std::size_t>(grid.index(e / 45, e / 15 % 3, e / 5 % 3, e % 5));
            };
            ASSERT_EQ(found.tensor.scales[tile_of(tiles, i)], quantized.tensor.scales[tile_of(all_tiles, first + i)])
                << i;
          }
        }
        EXPECT_EQ(values, std::vector<float>(whole.begin() + static_cast<std::ptrdiff_t>(first),
                                             whole.begin() + static_cast<std::ptrdiff_t>(first + values.size())));
      });
      if (HasFailure()) return;
    }
  }
}

TEST(BatchPart, RefusesTilesThatItCannotShare) {
  for_ranks(2, [](Ranks& ranks) {
    Quantization quantization;
    const auto error = [&](const char* format, bool own_scales = false) {
      quantization[Operand::kError].format = models::parse_scaled_format(format);
      return test::error_of([&] { BatchPart(ranks, 6, own_scales).check(quantization); });
    };
    for (const char* const format : {"e2m4", "e2m4/none", "mxfp4/k3", "mxfp4/k6", "mxfp4/k12", "mxfp4/k32"}) {
      EXPECT_EQ(error(format), "nothing was thrown") << format;
    }
    EXPECT_EQ(error("mxfp4/k4"),
              "--batch 12: 2 ranks cut the 4 images that share a scale of mxfp4/k4 (error) into parts of 6, "
              "expected parts that are a multiple of them, or --scale-per-rank");
    EXPECT_EQ(error("mxfp4/k4", true), "nothing was thrown");
  });
}

// What a convolution makes of a batch or a part of it.
struct Results {
  torch::Tensor forward;
  torch::Tensor data;
  torch::Tensor weight;
};

Results convolve(const torch::Tensor& activation, const torch::Tensor& weight, const torch::Tensor& error,
                 const PassState& state) {
  const torch::Tensor a = activation.clone().requires_grad_();
  const torch::Tensor w = weight.clone().requires_grad_();
  const torch::Tensor result = quantized_convolution(a, w, {.name = "layer", .index = 2}, state);
  result.backward(error);
  return {result.detach(), a.grad(), w.grad()};
}

TEST(QuantizedConvolution, OfPartsIsThatOfTheBatch) {
  tests::Random random(11);
  for (const char* const name : {"e2m4", "e2m1/c", "mxfp8/k4", "nvfp4", "e2m3/none"}) {
    SCOPED_TRACE(name);
    const torch::Tensor activation = random_tensor(random, {6, 4, 5, 5});
    const torch::Tensor weight = random_tensor(random, {3, 4, 3, 3});
    const torch::Tensor error = random_tensor(random, {6, 3, 5, 5}) / 64;
    PassState state;
    state.step = 4;
    state.quantization.arithmetic = Arithmetic::kExact;
    const auto formats = models::parse_operand_formats(name);
    for (const Operand operand : models::kOperands) {
      state.quantization[operand] = {formats[static_cast<std::size_t>(operand)], Rounding::kStochastic};
    }
    const Results whole = convolve(activation, weight, error, state);
    std::array<torch::Tensor, 2> gradients;
    // Parts of 3 images, of which tiles of 4 would be cut.
    const bool own_scales = std::string(name).ends_with("k4");
    for_ranks(2, [&](Ranks& ranks) {
      const BatchPart part(ranks, 3, own_scales);
      PassState own = state;
      own.part = &part;
      const auto cut = [&](const torch::Tensor& tensor) { return tensor.narrow(0, 3 * ranks.rank(), 3).contiguous(); };
      const Results found = convolve(cut(activation), weight, cut(error), own);
      // MX has no scale of the whole tensor, so that images do not see each other in these passes.
      EXPECT_EQ(bits_of(found.forward), bits_of(cut(whole.forward)));
      EXPECT_EQ(bits_of(found.data), bits_of(cut(whole.data)));
      gradients[static_cast<std::size_t>(ranks.rank())] = found.weight;
    });
    const torch::Tensor sum = gradients[0] + gradients[1];
    const float largest = whole.weight.abs().max().item<float>();
    if (own_scales) continue;
    EXPECT_LT((sum - whole.weight).abs().max().item<float>(), largest * 0x1p-20F);
  }
}

TEST(BatchNormModule, SharesStatistics) {
  tests::Random random(13);
  const torch::Tensor images = random_tensor(random, {6, 3, 4, 4}) * 3 + 7;
  const torch::Tensor error = random_tensor(random, {6, 3, 4, 4});
  const torch::Tensor weight = random_tensor(random, {3});
  const auto train = [&](const torch::Tensor& input, const torch::Tensor& gradient, Ranks* ranks) {
    PassState state;
    state.norm_ranks = ranks;
    BatchNormModule module(3, state);
    torch::OrderedDict<std::string, torch::Tensor> parameters = module.named_parameters();
    torch::OrderedDict<std::string, torch::Tensor> buffers = module.named_buffers();
    parameters["weight"].data().copy_(weight);
    const torch::Tensor leaf = input.clone().requires_grad_();
    const torch::Tensor result = module.forward(leaf);
    result.backward(gradient);
    return std::vector<torch::Tensor>{
        result.detach(),         leaf.grad(),           parameters["weight"].grad(), parameters["bias"].grad(),
        buffers["running_mean"], buffers["running_var"]};
  };
  const std::vector<torch::Tensor> whole = train(images, error, nullptr);
  std::array<std::vector<torch::Tensor>, 2> parts;
  for_ranks(2, [&](Ranks& ranks) {
    const auto cut = [&](const torch::Tensor& tensor) { return tensor.narrow(0, 3 * ranks.rank(), 3).contiguous(); };
    parts[static_cast<std::size_t>(ranks.rank())] = train(cut(images), cut(error), &ranks);
  });
  const auto expect_near = [](const torch::Tensor& found, const torch::Tensor& expected) {
    EXPECT_LT((found - expected).abs().max().item<float>(), 1e-5F * expected.abs().max().item<float>());
  };
  for (const std::size_t images_of : {0, 1}) {
    expect_near(at::cat({parts[0][images_of], parts[1][images_of]}), whole[images_of]);
  }
  for (const std::size_t sum_of : {2, 3}) expect_near(parts[0][sum_of] + parts[1][sum_of], whole[sum_of]);
  for (const std::size_t same : {4, 5}) {
    expect_near(parts[0][same], whole[same]);
    EXPECT_EQ(bits_of(parts[0][same]), bits_of(parts[1][same]));
  }
}

}  // namespace
}  // namespace mlsim::trainer
