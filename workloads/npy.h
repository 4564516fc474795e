// NumPy's .npy files, little-endian. Reads format versions 1.0, 2.0 and 3.0 in C and Fortran order, writes 1.0 in C
// order. Format: NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays".
#pragma once

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>

#include "base/input_file.h"
#include "base/output_file.h"
#include "models/formats/tensor.h"

namespace mlsim::workloads {

// Reads a float32 array; its values come in C order. Throws base::Error, which names the file, for one that is missing,
// is no .npy file, holds another type, another byte order or an extent of 0, or is longer or shorter than it says.
models::Tensor<float> read_npy(const std::filesystem::path& path);

// The same from an input, which must end with the array.
models::Tensor<float> read_npy(base::Input& input);

// Writes an array.
template <typename T>
void write_npy(std::ostream& stream, const models::Tensor<T>& tensor);
extern template void write_npy(std::ostream&, const models::Tensor<float>&);
extern template void write_npy(std::ostream&, const models::Tensor<double>&);
extern template void write_npy(std::ostream&, const models::Tensor<std::uint8_t>&);
extern template void write_npy(std::ostream&, const models::Tensor<std::uint16_t>&);
extern template void write_npy(std::ostream&, const models::Tensor<std::uint32_t>&);

// The same to a file, whole or not at all. Throws base::Error for a file that cannot be written.
template <typename T>
void write_npy(const std::filesystem::path& path, const models::Tensor<T>& tensor) {
  base::AtomicFile file(path);
  write_npy(file.stream(), tensor);
  file.commit();
}

}  // namespace mlsim::workloads
