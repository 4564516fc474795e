// mlsim.forward, mlsim.backward_data, mlsim.backward_weight and what they return.
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <stdexcept>

#include "base/error.h"
#include "evaluation/counted_operations.h"
#include "models/baseline/baseline.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "python/bindings/arguments.h"
#include "python/bindings/module.h"
#include "python/bindings/quantized.h"
#include "workloads/convolution_check.h"

namespace mlsim::python {
namespace {

using models::ConvolutionShape;
using models::Operand;
using models::Pass;
using models::Shape;

struct PassResult {
  Pass pass = Pass::kForward;
  py::array_t<float> values;
  models::OperationCounts counts;
  bool adds_several = false;  // products at once
};

// What is said beside the operands, as Python gives it.
struct Geometry {
  py::object stride;
  py::object padding;
  py::object dilation;
  py::object groups;
};

struct Sums {
  py::object accumulator_bits;
  std::string overflow;
  py::object taps_per_cycle;
  py::object threads;
};

const Quantized& operand_of(const char* name, const py::object& value) {
  if (py::isinstance<Quantized>(value)) return value.cast<const Quantized&>();
  base::refuse("", name, fmt::format("is a {}, expected what mlsim.quantize returns", Py_TYPE(value.ptr())->tp_name));
}

const Shape& shape_of(const Quantized& tensor) {
  return std::visit([](const auto& one) -> const Shape& { return one.shape; }, tensor.tensor);
}

// A tensor is refused as an operand that it was not quantized for.
void check_role(const Quantized& tensor, Operand operand, Pass pass) {
  const std::string name = models::to_string(operand);
  if (tensor.operand && *tensor.operand != operand) {
    base::refuse("", name, fmt::format("was quantized as {}, expected {}", models::to_string(*tensor.operand), name));
  }
  const auto* blocks = tensor.scaled();
  if (blocks == nullptr) return;
  const models::ScaledFormat taken = blocks->format.of(operand, pass);
  if (taken == blocks->format) return;
  base::refuse("", name,
               fmt::format("was quantized in tiles of {}, expected {} for {}: quantize it with operand=\"{}\", "
                           "pass_name=\"{}\"",
                           models::to_string(blocks->format.layout), models::to_string(taken.layout),
                           models::to_string(pass), name, models::to_string(pass)));
}

void check_formats(Pass pass, const Quantized& left, const Quantized& right) {
  const models::Format left_format = left.format();
  const models::Format right_format = right.format();
  if (models::family_of(left_format) == models::family_of(right_format)) return;
  throw std::runtime_error(
      fmt::format("{} would multiply {} by {}, expected block-scaled, floating-point or int8 for both",
                  models::to_string(pass), models::to_string(left_format), models::to_string(right_format)));
}

// Dimensions of both; that of images of 1×1 is 2, of one row 3.
std::size_t dimensions_of(const Quantized& left, const Quantized& right, Pass pass) {
  if (left.shape.size() == right.shape.size()) return left.shape.size();
  base::refuse("", models::to_string(models::right_operand(pass)),
               fmt::format("has {} dimensions, expected the {} of the {}", right.shape.size(), left.shape.size(),
                           models::to_string(models::left_operand(pass))));
}

void set_geometry(ConvolutionShape& shape, const Geometry& geometry, std::size_t dimensions) {
  shape.stride = pair_of("stride", geometry.stride, dimensions, 1, 1);
  shape.padding = padding_of(geometry.padding, dimensions);
  shape.dilation = pair_of("dilation", geometry.dilation, dimensions, 1, 1);
  shape.groups = whole_number("groups", geometry.groups, 1, std::int64_t{1} << 40);
  if (dimensions > 2) return;
  const ConvolutionShape plain;
  const auto require = [](const char* name, bool is_plain, const py::object& value) {
    if (!is_plain) base::refuse("", name, fmt::format("is {}, expected its default of a linear layer", shown(value)));
  };
  require("stride", shape.stride == plain.stride, geometry.stride);
  require("padding", shape.padding == plain.padding, geometry.padding);
  require("dilation", shape.dilation == plain.dilation, geometry.dilation);
}

void set_images(ConvolutionShape& shape, const Quantized& activation) {
  const Shape& images = shape_of(activation);
  shape.batch = images[0];
  shape.in_channels = images[1];
  shape.in_size = {images[2], images[3]};
}

void set_kernels(ConvolutionShape& shape, const Quantized& weight) {
  const Shape& kernels = shape_of(weight);
  shape.out_channels = kernels[0];
  shape.kernel = {kernels[2], kernels[3]};
}

// A size that belongs to the shape of tensors of more than two dimensions, 1×1 of two.
std::array<std::int64_t, 2> size_of(const char* name, const py::object& value, std::size_t dimensions) {
  if (value.is_none()) {
    if (dimensions == 2) return {1, 1};
    base::refuse("", name, "is missing, expected the height and width");
  }
  const auto size = pair_of(name, value, dimensions, 1, 1);
  if (dimensions == 2 && size != std::array<std::int64_t, 2>{1, 1}) {
    base::refuse("", name, fmt::format("is {}, expected (1, 1) of a linear layer", shown(value)));
  }
  return size;
}

// The tensor's shape, in as many dimensions as the user's arrays have.
Shape visible(Shape shape, std::size_t dimensions) {
  shape.resize(dimensions);
  return shape;
}

void check_shape(const Quantized& tensor, Operand operand, Pass pass, const ConvolutionShape& shape) {
  const Shape expected = shape.shape_of(operand);
  if (shape_of(tensor) == expected) return;
  base::refuse("", models::to_string(operand),
               fmt::format("has the shape {}, expected {} for {}", models::to_string(tensor.shape),
                           models::to_string(visible(expected, tensor.shape.size())), models::to_string(pass)));
}

models::Accumulator accumulator_of(const Sums& sums, const Quantized& left) {
  models::Accumulator accumulator;
  if (sums.overflow == "wrap") {
    accumulator.overflow = models::Overflow::kWrap;
  } else if (sums.overflow != "saturate") {
    base::refuse("", "overflow", fmt::format("is '{}', expected saturate or wrap", sums.overflow));
  }
  if (!sums.accumulator_bits.is_none()) {
    accumulator.bits = static_cast<int>(whole_number("accumulator_bits", sums.accumulator_bits, 2, 64));
    if (left.scaled() == nullptr) {
      base::refuse("", "accumulator_bits",
                   fmt::format("is {}, expected none: {} adds in its own numbers", accumulator.bits,
                               models::to_string(left.format())));
    }
  }
  accumulator.taps_per_cycle = static_cast<int>(whole_number("taps_per_cycle", sums.taps_per_cycle, 1, 1 << 10));
  return accumulator;
}

PassResult run(Pass pass, const ConvolutionShape& shape, const Quantized& left, const Quantized& right,
               const Sums& sums) {
  workloads::check_convolution(shape, models::to_string(pass), "");
  check_shape(left, models::left_operand(pass), pass, shape);
  check_shape(right, models::right_operand(pass), pass, shape);
  const models::Accumulator accumulator = accumulator_of(sums, left);
  const std::optional<int> threads = threads_of(sums.threads);
  PassResult result;
  result.pass = pass;
  result.adds_several = accumulator.taps_per_cycle > 1;
  const Shape result_shape = visible(shape.result_shape(pass), left.shape.size());
  if (const auto* left_blocks = left.scaled()) {
    result.values = py::array_t<float>(result_shape);
    const std::span<float> values(result.values.mutable_data(), static_cast<std::size_t>(result.values.size()));
    result.counts = compute(threads, [&] {
      return models::functional_convolution_into(pass, shape, *left_blocks, *right.scaled(), accumulator, values);
    });
    return result;
  }
  models::ConvolutionResult computed =
      compute(threads, [&] { return models::baseline_convolution(pass, shape, *left.baseline(), *right.baseline()); });
  result.counts = computed.counts;
  result.values = to_array(std::move(computed.values.values), result_shape);
  return result;
}

// What both operands have to be whatever their shapes.
std::size_t check_operands(Pass pass, const Quantized& left, const Quantized& right) {
  check_role(left, models::left_operand(pass), pass);
  check_role(right, models::right_operand(pass), pass);
  check_formats(pass, left, right);
  return dimensions_of(left, right, pass);
}

PassResult forward(const py::object& activation_object, const py::object& weight_object, const py::object& stride,
                   const py::object& padding, const py::object& dilation, const py::object& groups,
                   const py::object& accumulator_bits, const std::string& overflow, const py::object& taps_per_cycle,
                   const py::object& threads) {
  const Quantized& activation = operand_of("activation", activation_object);
  const Quantized& weight = operand_of("weight", weight_object);
  const std::size_t dimensions = check_operands(Pass::kForward, activation, weight);
  ConvolutionShape shape;
  set_geometry(shape, {stride, padding, dilation, groups}, dimensions);
  set_images(shape, activation);
  set_kernels(shape, weight);
  return run(Pass::kForward, shape, activation, weight, {accumulator_bits, overflow, taps_per_cycle, threads});
}

PassResult backward_data(const py::object& error_object, const py::object& weight_object, const py::object& in_size,
                         const py::object& stride, const py::object& padding, const py::object& dilation,
                         const py::object& groups, const py::object& accumulator_bits, const std::string& overflow,
                         const py::object& taps_per_cycle, const py::object& threads) {
  const Quantized& error = operand_of("error", error_object);
  const Quantized& weight = operand_of("weight", weight_object);
  const std::size_t dimensions = check_operands(Pass::kBackwardData, error, weight);
  ConvolutionShape shape;
  set_geometry(shape, {stride, padding, dilation, groups}, dimensions);
  set_kernels(shape, weight);
  shape.batch = shape_of(error)[0];
  const std::int64_t channels = shape_of(weight)[1];
  if (channels > std::numeric_limits<std::int64_t>::max() / shape.groups) {
    base::refuse("", "groups", fmt::format("is {}, expected a divisor of the channels", shape.groups));
  }
  shape.in_channels = channels * shape.groups;
  shape.in_size = size_of("in_size", in_size, dimensions);
  return run(Pass::kBackwardData, shape, error, weight, {accumulator_bits, overflow, taps_per_cycle, threads});
}

PassResult backward_weight(const py::object& error_object, const py::object& activation_object,
                           const py::object& kernel, const py::object& stride, const py::object& padding,
                           const py::object& dilation, const py::object& groups, const py::object& accumulator_bits,
                           const std::string& overflow, const py::object& taps_per_cycle, const py::object& threads) {
  const Quantized& error = operand_of("error", error_object);
  const Quantized& activation = operand_of("activation", activation_object);
  const std::size_t dimensions = check_operands(Pass::kBackwardWeight, error, activation);
  ConvolutionShape shape;
  set_geometry(shape, {stride, padding, dilation, groups}, dimensions);
  set_images(shape, activation);
  shape.out_channels = shape_of(error)[1];
  shape.kernel = size_of("kernel", kernel, dimensions);
  return run(Pass::kBackwardWeight, shape, error, activation, {accumulator_bits, overflow, taps_per_cycle, threads});
}

py::dict counts_of(const PassResult& self) {
  py::dict result;
  evaluation::visit_operations(self.counts, [&](energy::Operation operation, std::uint64_t count) {
    result[py::str(std::string(energy::name(operation)))] = count;
  });
  if (self.adds_several) {
    evaluation::visit_tree_operations(self.counts, [&](energy::Operation operation, std::uint64_t count) {
      result[py::str(std::string(energy::name(operation)))] = count;
    });
  }
  result["overflows"] = self.counts.overflows;
  result["non_finite"] = self.counts.non_finite;
  return result;
}

py::object as_array(const PassResult& self, const py::object& dtype, const py::object& /*copy*/) {
  return as_dtype(self.values, dtype);
}

std::string represent(const PassResult& self) {
  const Shape shape(self.values.shape(), self.values.shape() + self.values.ndim());
  return fmt::format("<mlsim.PassResult {} {}, overflows {}>", models::to_string(self.pass), models::to_string(shape),
                     self.counts.overflows);
}

constexpr const char* kCommonText = R"(
stride, dilation: a number of 1 or more or a pair, down and across. padding: zeros, a number or a pair, down and across,
of numbers for both sides or of pairs of sides. groups: convolution groups. accumulator_bits: width of the register of
block-scaled sums, 2 to 64; None is the width that no sum can overflow. overflow: "saturate" or "wrap". taps_per_cycle:
products whose exact sum is one addition. threads: the most that compute, 1 to 1024; None: all cores.

Arrays of two dimensions make a linear layer, which has groups alone, of three a convolution along one axis (its sizes are single numbers).

Raises mlsim.Error with a sentence for shapes that do not go together, formats that do not multiply, a tensor that was
quantized for another operand or another pass, and scales whose product leaves binary32.)";

}  // namespace

void bind_convolutions(py::module_& module) {
  using py::arg;
  py::class_<PassResult>(module, "PassResult",
                         R"(What a pass computed. It converts to an array of its values by itself.)")
      .def_readonly("values", &PassResult::values, "The results, float32.")
      .def_property_readonly(
          "overflows", [](const PassResult& self) { return self.counts.overflows; },
          "Additions that left the accumulator's range.")
      .def_property_readonly("counts", counts_of, "Operations by kind, as in results of mlsim.simulate.")
      .def_property_readonly(
          "pass_name", [](const PassResult& self) { return models::to_string(self.pass); },
          "forward, backward_data or backward_weight.")
      .def_property_readonly(
          "shape", [](const PassResult& self) { return self.values.attr("shape"); }, "Shape of the values.")
      .def("__array__", as_array, arg("dtype") = py::none(), arg("copy") = py::none())
      .def("__repr__", represent);

  const auto define = [&](const char* name, auto pass, const char* text, const auto&... own) {
    module.def(name, pass, own..., arg("stride") = 1, arg("padding") = 0, arg("dilation") = 1, arg("groups") = 1,
               arg("accumulator_bits") = py::none(), arg("overflow") = "saturate", arg("taps_per_cycle") = 1,
               arg("threads") = py::none(), (std::string(text) + kCommonText).c_str());
  };
  define("forward", forward, R"(The forward pass: activation * weight, bit by bit as the numeric contract has it.

activation: Quantized, (batch, in channels, height, width). weight: Quantized, (out channels, in channels / groups,
height, width). Returns a PassResult of the shape (batch, out channels, height, width), float32.
)",
         arg("activation"), arg("weight"));
  define("backward_data", backward_data,
         R"(The backward-data pass: error * weight, bit by bit as the numeric contract has it.

error: Quantized, (batch, out channels, height, width) of the outputs. weight: as in forward. in_size: height and width
of the inputs. Returns a PassResult of the shape (batch, in channels, *in_size), float32.
)",
         arg("error"), arg("weight"), arg("in_size") = py::none());
  define("backward_weight", backward_weight,
         R"(The backward-weight pass: error * activation, bit by bit as the numeric contract has it.

error: as in backward_data. activation: as in forward. kernel: its height and width. Returns a PassResult of the shape
(out channels, in channels / groups, *kernel), float32.
)",
         arg("error"), arg("activation"), arg("kernel") = py::none());
}

}  // namespace mlsim::python
