// What mlsim.torch needs of operands: the formats of a layer, and an operand's values with the scale beside them.

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/memory.h"
#include "models/formats/format.h"
#include "python/bindings/arguments.h"
#include "python/bindings/module.h"
#include "python/bindings/quantized.h"

namespace mlsim::python {
namespace {

using models::Format;
using models::Operand;

// By operand, each in its full form.
py::dict operand_formats(const std::string& text) {
  const models::OperandFormats formats = models::parse_operand_formats(text);
  py::dict result;
  for (const Operand operand : models::kOperands) {
    result[py::str(models::to_string(operand))] = models::to_string(formats[static_cast<std::size_t>(operand)]);
  }
  return result;
}

bool same_tiles(const std::string& format, const std::string& operand, const std::string& one,
                const std::string& other) {
  const Format parsed = models::parse_format(format);
  const Operand taken = models::parse_operand(operand);
  return models::format_of(parsed, taken, models::parse_pass(one)) ==
         models::format_of(parsed, taken, models::parse_pass(other));
}

std::string family(const std::string& format) {
  return models::family_of(models::parse_format(format));
}

py::tuple scaled_values(const py::array_t<float, py::array::c_style>& array, const std::string& format,
                        const std::string& operand, const std::string& pass, const std::string& rounding,
                        const py::object& random_bits, const py::object& seed, const py::object& stream,
                        const py::object& threads, const std::string& name) {
  const Format taken =
      models::format_of(models::parse_format(format), models::parse_operand(operand), models::parse_pass(pass));
  const models::QuantizerOptions options = rounding_of(rounding, random_bits, seed, stream);
  const models::Shape shape(array.shape(), array.shape() + array.ndim());
  if (shape.size() < 2 || shape.size() > 4 || array.size() == 0) {
    throw std::runtime_error(name + ": has the shape " + models::to_string(shape) +
                             ", expected 2 to 4 extents of 1 or more");
  }
  const std::span<const float> input(array.data(), static_cast<std::size_t>(array.size()));
  py::array_t<float> values(shape);
  const std::span<float> output(values.mutable_data(), input.size());
  const float scale =
      compute(threads_of(threads), [&] { return quantize_values(input, shape, taken, options, name, output); });
  return py::make_tuple(std::move(values), scale);
}

}  // namespace

void bind_training(py::module_& module) {
  using py::arg;
  module.def("operand_formats", operand_formats, arg("text"), R"(The formats of activation, weight and error in full.

text: a format for all operands, fp8 and mxfp8 among them.)");
  module.def("same_tiles", same_tiles, arg("format"), arg("operand"), arg("one"), arg("other"),
             "Whether two passes take an operand in the same tiles.");
  module.def("format_family", family, arg("format"),
             "What a format multiplies with: block-scaled, floating-point or int8.");
  module.def(
      "keep_freed_memory", [] { base::keep_freed_memory(); },
      R"(Lets this process keep the memory that it frees for its next allocations.

A step of training allocates the tensors of the step before; kept, they cost no page faults, which take a fifth of the
time of exact convolutions. It is of the whole process and its C library, cannot be undone, and holds the most memory
that was ever in use; settings of the environment (MALLOC_..., GLIBC_TUNABLES) give way to it.)");
  module.def(
      "scaled_values", scaled_values, arg("array"), arg("format"), arg("operand"), arg("pass_name"), arg("rounding"),
      arg("random_bits"), arg("seed"), arg("stream"), arg("threads"), arg("name"),
      R"(The values of a quantized operand without the scale of the tensor, float32 and exact, and that scale.)");
}

}  // namespace mlsim::python
