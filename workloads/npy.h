// NumPy's .npy files: arrays in C order, little-endian. Reads format versions 1.0 and 2.0, writes 1.0.
// Format: NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays".
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <string>

#include "models/tensor.h"

namespace mlsim::workloads {

// Reads a float32 array. Throws std::runtime_error with one sentence that names the file, for one that is missing, is
// no .npy file, holds another type, another byte or index order or an extent of 0, or is longer or shorter than it
// says.
models::Tensor<float> read_npy(const std::filesystem::path& path);

// The same from a stream, which must end with the array; `name` stands for the file in errors.
models::Tensor<float> read_npy(std::istream& stream, const std::string& name);

// Writes an array, whole or not at all. Throws std::runtime_error that names a file that cannot be written.
void write_npy(const std::filesystem::path& path, const models::Tensor<float>& tensor);
void write_npy(const std::filesystem::path& path, const models::Tensor<double>& tensor);
void write_npy(const std::filesystem::path& path, const models::Tensor<std::uint8_t>& tensor);
void write_npy(const std::filesystem::path& path, const models::Tensor<std::uint16_t>& tensor);
void write_npy(const std::filesystem::path& path, const models::Tensor<std::uint32_t>& tensor);

}  // namespace mlsim::workloads
