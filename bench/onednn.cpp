#include "bench/onednn.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <stdexcept>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/timing.h"

// libgomp's, whose header only GCC finds.
extern "C" void omp_set_num_threads(int count);

namespace mlsim::bench {
namespace {

using dnnl::memory;
using models::ConvolutionShape;
using models::Pass;

dnnl::engine& cpu() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& stream() {
  static dnnl::stream stream(cpu());
  return stream;
}

memory::dims plain_strides(const memory::dims& dims) {
  memory::dims strides(dims.size(), 1);
  for (std::size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

template <typename T>
void fill(const memory& target, int low, int high) {
  std::mt19937 random(1);
  std::uniform_int_distribution<int> distribution(low, high);
  auto* values = static_cast<T*>(target.get_data_handle());
  const std::size_t count = target.get_desc().get_size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>(distribution(random));
}

// Memory in an implementation's layout, with whole numbers in it.
memory filled(const memory::desc& layout) {
  const memory::dims dims = layout.dims();
  const memory::data_type type = layout.data_type();
  memory plain(memory::desc(dims, type, plain_strides(dims)), cpu());
  if (type == memory::data_type::f32) fill<float>(plain, -60, 60);
  if (type == memory::data_type::u8) fill<std::uint8_t>(plain, 0, 255);
  if (type == memory::data_type::s8) fill<std::int8_t>(plain, -127, 127);
  if (type == memory::data_type::s32) fill<std::int32_t>(plain, 0, 0);
  memory laid_out(layout, cpu());
  dnnl::reorder(plain, laid_out).execute(stream(), plain, laid_out);
  stream().wait();
  return laid_out;
}

// Layouts that an implementation may choose.
struct Layouts {
  memory::desc source;
  memory::desc weights;
  memory::desc results;
  memory::desc flat_results;  // of 1×1 images

  Layouts(const ConvolutionShape& shape, Arithmetic arithmetic) {
    const bool bytes = arithmetic == Arithmetic::kBytes;
    memory::dims weight = shape.weight_shape();
    if (shape.groups > 1) {
      weight.insert(weight.begin(), shape.groups);
      weight[1] /= shape.groups;
    }
    const auto any = memory::format_tag::any;
    using Type = memory::data_type;
    source = {shape.activation_shape(), bytes ? Type::u8 : Type::f32, any};
    weights = {weight, bytes ? Type::s8 : Type::f32, any};
    results = {shape.error_shape(), bytes ? Type::s32 : Type::f32, any};
    flat_results = {{shape.batch, shape.out_channels}, bytes ? Type::s32 : Type::f32, any};
  }
};

dnnl::primitive_attr own_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

}  // namespace

struct OneDnnPass::Candidate {
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;
  std::string name;

  void run() const {
    primitive.execute(stream(), arguments);
    stream().wait();
  }
};

namespace {

// use(description, primitive of its kind).
template <typename Use>
void with_convolution(Pass pass, const ConvolutionShape& shape, const Layouts& any, const Use& use) {
  const dnnl::algorithm direct = dnnl::algorithm::convolution_direct;
  const dnnl::primitive_attr attributes = own_scratchpad();
  const memory::dims strides{shape.stride[0], shape.stride[1]};
  const memory::dims before{shape.padding[0].begin, shape.padding[1].begin};
  const memory::dims behind{shape.padding[0].end, shape.padding[1].end};
  using Forward = dnnl::convolution_forward;
  const Forward::primitive_desc forward(Forward::desc(dnnl::prop_kind::forward_training, direct, any.source,
                                                      any.weights, any.results, strides, before, behind),
                                        attributes, cpu());
  if (pass == Pass::kForward) {
    use(forward, Forward{});
  } else if (pass == Pass::kBackwardData) {
    using Data = dnnl::convolution_backward_data;
    use(Data::primitive_desc(Data::desc(direct, any.source, any.weights, any.results, strides, before, behind),
                             attributes, cpu(), forward),
        Data{});
  } else {
    using Weights = dnnl::convolution_backward_weights;
    use(Weights::primitive_desc(Weights::desc(direct, any.source, any.weights, any.results, strides, before, behind),
                                attributes, cpu(), forward),
        Weights{});
  }
}

// Of 1×1 images.
template <typename Use>
void with_inner_product(Pass pass, const Layouts& any, const Use& use) {
  const dnnl::primitive_attr attributes = own_scratchpad();
  using Forward = dnnl::inner_product_forward;
  const Forward::primitive_desc forward(
      Forward::desc(dnnl::prop_kind::forward_training, any.source, any.weights, any.flat_results), attributes, cpu());
  if (pass == Pass::kForward) {
    use(forward, Forward{});
  } else if (pass == Pass::kBackwardData) {
    using Data = dnnl::inner_product_backward_data;
    use(Data::primitive_desc(Data::desc(any.source, any.weights, any.flat_results), attributes, cpu(), forward),
        Data{});
  } else {
    using Weights = dnnl::inner_product_backward_weights;
    use(Weights::primitive_desc(Weights::desc(any.source, any.weights, any.flat_results), attributes, cpu(), forward),
        Weights{});
  }
}

bool is_linear(const ConvolutionShape& shape) {
  return shape.in_size == std::array<std::int64_t, 2>{1, 1} && shape.kernel == std::array<std::int64_t, 2>{1, 1} &&
         shape.padding == std::array<models::Padding, 2>{} && shape.groups == 1;
}

template <typename Description>
std::unordered_map<int, memory> arguments_of(Pass pass, const Description& d) {
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SCRATCHPAD, memory(d.scratchpad_desc(), cpu())}};
  const auto add = [&](int argument, const memory::desc& layout) { arguments.emplace(argument, filled(layout)); };
  switch (pass) {
    case Pass::kForward:
      add(DNNL_ARG_SRC, d.query_md(dnnl::query::src_md));
      add(DNNL_ARG_WEIGHTS, d.query_md(dnnl::query::weights_md));
      add(DNNL_ARG_DST, d.query_md(dnnl::query::dst_md));
      break;
    case Pass::kBackwardData:
      add(DNNL_ARG_DIFF_DST, d.query_md(dnnl::query::diff_dst_md));
      add(DNNL_ARG_WEIGHTS, d.query_md(dnnl::query::weights_md));
      add(DNNL_ARG_DIFF_SRC, d.query_md(dnnl::query::diff_src_md));
      break;
    case Pass::kBackwardWeight:
      add(DNNL_ARG_DIFF_DST, d.query_md(dnnl::query::diff_dst_md));
      add(DNNL_ARG_SRC, d.query_md(dnnl::query::src_md));
      add(DNNL_ARG_DIFF_WEIGHTS, d.query_md(dnnl::query::diff_weights_md));
      break;
  }
  return arguments;
}

}  // namespace

OneDnnPass::OneDnnPass(Pass pass, const ConvolutionShape& shape, Arithmetic arithmetic) {
  double least = std::numeric_limits<double>::infinity();
  // The first ones are those of the widest instruction sets.
  constexpr int kTried = 4;
  const auto try_all = [&](auto description, auto primitive) {
    using Primitive = decltype(primitive);
    for (int i = 0; i < kTried; ++i) {
      const std::string name = description.impl_info_str();
      if (name.find("ref") != std::string::npos) break;
      auto candidate =
          std::make_unique<Candidate>(Candidate{Primitive(description), arguments_of(pass, description), name});
      candidate->run();
      const double time = std::min(seconds_of([&] { candidate->run(); }), seconds_of([&] { candidate->run(); }));
      if (time < least) {
        least = time;
        chosen_ = std::move(candidate);
      }
      if (!description.next_impl()) break;
    }
  };
  const Layouts any(shape, arithmetic);
  try {
    with_convolution(pass, shape, any, try_all);
    if (is_linear(shape)) with_inner_product(pass, any, try_all);
  } catch (const dnnl::error& error) {
    throw std::runtime_error(std::string("oneDNN: ") + error.what());
  }
  if (!chosen_) throw std::runtime_error("oneDNN has no fast implementation of this pass");
}

OneDnnPass::~OneDnnPass() = default;
OneDnnPass::OneDnnPass(OneDnnPass&&) noexcept = default;
OneDnnPass& OneDnnPass::operator=(OneDnnPass&&) noexcept = default;

void OneDnnPass::run() {
  chosen_->run();
}

const std::string& OneDnnPass::implementation() const {
  return chosen_->name;
}

void set_onednn_threads(int count) {
  omp_set_num_threads(count);
}

void limit_onednn(const std::string& instructions) {
  if (instructions == "SSE2") dnnl::set_max_cpu_isa(dnnl::cpu_isa::sse41);
  if (instructions == "AVX2") dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  if (instructions == "AVX3") dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core);
}

std::string onednn_version() {
  const dnnl_version_t* version = dnnl_version();
  const bool openmp = version->cpu_runtime == DNNL_RUNTIME_OMP;
  return "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch) + (openmp ? ", OpenMP" : "");
}

}  // namespace mlsim::bench
