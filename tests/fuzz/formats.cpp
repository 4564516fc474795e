#include "evaluation/sweep_axes.h"
#include "models/formats/format.h"
#include "tests/fuzz/reader.h"

namespace mlsim::fuzz {

void read_formats(std::string_view bytes) {
  const models::OperandFormats formats = models::parse_operand_formats(bytes);
  for (const models::Format& format : formats) {
    const std::string name = models::to_string(format);
    require(models::parse_format(name) == format, "the name of a format is that of another one");
    require(models::to_string(models::parse_format(name)) == name, "a format has two full names");
  }
  const evaluation::PerOperand<models::Format> swept = evaluation::parse_sweep_formats(std::string(bytes));
  require(swept.values == formats, "a sweep takes a name for other formats");
}

}  // namespace mlsim::fuzz
