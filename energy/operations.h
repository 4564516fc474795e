// What a machine does and pays for: the types of operation, and arrays indexed by them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "energy/wide_count.h"

namespace mlsim::energy {

enum class Operation : std::uint8_t {
  // One of each for a multiply-add of block-scaled formats. `description` says what each is.
  kMantissaMultiply,
  kExponentAdd,
  kShift,
  kIntegerAccumulate,
  // Of elements that multiply several pairs at once, which add their products in a tree: together with the additions to
  // an accumulator one for a multiply-add; and one for such an addition.
  kTreeAdd,
  kAccumulatorRegister,
  // One for a multiply-add of any machine: its registers, and what else the operations beside it do not cover.
  kRegister,
  // One of each for a use of the group-scale unit.
  kGroupExponentAdd,
  kShiftAndAdd,
  kConvertToFloat,
  kFloatAdd,
  // One for a result.
  kTensorScale,
  // Dynamic quantization.
  kQuantize,
  kGroupQuantize,
  kRandomBits,
  // One of each for a multiply-add of a baseline.
  kFloatMultiply,
  kFloatAccumulate,
  kIntegerMultiply,
  // Memory, counted in bits.
  kBufferRead,
  kBufferWrite,
  kSramRead,
  kSramWrite,
  kDramRead,
  kDramWrite,
  // What time costs, where a table says so: a cycle of an idle element's registers, and of the machine.
  kIdleClocking,
  kLeakage,
  kMemoryLeakage,
};

inline constexpr std::size_t kOperationCount = static_cast<std::size_t>(Operation::kMemoryLeakage) + 1;

// Every operation, in the order of the enumeration.
inline constexpr std::array<Operation, kOperationCount> kOperations = [] {
  std::array<Operation, kOperationCount> all{};
  for (std::size_t i = 0; i < kOperationCount; ++i) all[i] = static_cast<Operation>(i);
  return all;
}();

// The sums of a breakdown. A published comparison quotes the first; all of computing is the first and the second.
enum class Line : std::uint8_t {
  kOperation,  // multiplications and additions alone
  kOverhead,   // registers, group scaling, conversion, quantization; idle clocking, leakage
  kMemory,     // buffers, SRAM, DRAM; their leakage
};

// A block of the machine: a unit and, in most, a part of it.
struct Block {
  std::string_view unit;
  std::string_view part;
  bool operator==(const Block&) const = default;
};

// snake_case: `mantissa_multiply`, …
std::string_view name(Operation operation);
// The operation of that name, if there is one.
std::optional<Operation> find_operation(std::string_view name);
Line line_of(Operation operation);
// What of it is counted, where that is not the operation itself: bits of memory traffic, cycles.
std::string_view unit(Operation operation);
// Where it is done; nowhere what time costs.
Block block_of(Operation operation);
// What one of it is, in words.
std::string_view description(Operation operation);
// Whether it is paid for by time, not by what is done.
constexpr bool is_standing(Operation operation) {
  return operation >= Operation::kIdleClocking;
}
// Whether there is one of it for a multiply-add.
bool is_of_multiply_add(Operation operation);

// A value for every operation.
template <typename T>
class PerOperation {
 public:
  PerOperation() = default;
  // The same values as a type that holds them.
  template <typename Narrow>
  PerOperation(const PerOperation<Narrow>& other) {  // NOLINT(google-explicit-constructor)
    for (const Operation operation : kOperations) (*this)[operation] = other[operation];
  }

  T& operator[](Operation operation) { return values_[static_cast<std::size_t>(operation)]; }
  const T& operator[](Operation operation) const { return values_[static_cast<std::size_t>(operation)]; }

  PerOperation& operator+=(const PerOperation& other) {
    for (std::size_t i = 0; i < kOperationCount; ++i) values_[i] += other.values_[i];
    return *this;
  }
  friend PerOperation operator+(PerOperation left, const PerOperation& right) { return left += right; }
  bool operator==(const PerOperation&) const = default;

 private:
  std::array<T, kOperationCount> values_{};
};

using Counts = PerOperation<std::uint64_t>;  // of a pass
using WideCounts = PerOperation<WideCount>;  // of any number of passes

}  // namespace mlsim::energy
