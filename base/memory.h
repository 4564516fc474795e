// What becomes of memory that is freed.
#pragma once

#include <cstddef>
#include <limits>

namespace mlsim::base {

// Lets the C library keep freed blocks of up to `largest_block` bytes for the next allocations. Layers and training
// steps allocate the same tensors again and again: kept in the heap they cost nothing; mapped anew, as the C library
// does with large blocks, each page is faulted in again. The larger ones, which leave the largest holes in a heap, go
// back to the system. It holds for the whole process: programs call it first in main, a library leaves it to its host.
// Nothing happens where the C library is not glibc.
void keep_freed_memory(std::size_t largest_block = std::numeric_limits<std::size_t>::max());

}  // namespace mlsim::base
