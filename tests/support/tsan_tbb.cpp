// Tells ThreadSanitizer what oneTBB orders: it sees what this project's code and TBB's headers do, but not what the
// library does within, which is not built for it. The library's entry points are defined here once more; each goes on
// to the real one:
//   - what happens before a task is spawned, happens before it runs;
//   - what happens before a waiter's count is down, happens before the wait ends;
//   - what a filter of a pipeline does to an item, happens before what the next does to it; a serial filter's calls
//     follow each other; all of it happens after the pipeline's start and before its end;
//   - what happens to memory of the library's pool before it is given back, happens before it is given out again. All
//     other memory comes from malloc(), which the sanitizer knows, instead of the library's own allocator.
// Linked into everything that is built with MLSIM_SANITIZE=thread, but not built so itself: it is a part of the
// library.
#include <dlfcn.h>
#include <oneapi/tbb/detail/_small_object_pool.h>
#include <oneapi/tbb/detail/_task.h>
#include <oneapi/tbb/parallel_pipeline.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}

namespace tbb::detail {
namespace {

// Of the library behind this file.
template <typename Function>
Function* real(Function*, const char* mangled) {
  void* const function = dlsym(RTLD_NEXT, mangled);
  if (function == nullptr) std::abort();
  return reinterpret_cast<Function*>(function);
}

// Stands for a task that is spawned.
class Spawned final : public d1::task {
 public:
  explicit Spawned(d1::task& spawned) : spawned_(spawned) { __tsan_release(&spawned); }

  // After an exception the library cancels this task, too.
  d1::task* execute(d1::execution_data& data) override {
    __tsan_acquire(&spawned_);
    d1::task* const next = spawned_.execute(data);
    delete this;
    return next;
  }
  d1::task* cancel(d1::execution_data& data) override {
    __tsan_acquire(&spawned_);
    d1::task* const next = spawned_.cancel(data);
    delete this;
    return next;
  }

 private:
  d1::task& spawned_;
};

// The count is an atomic of the headers, behind a word of flags.
void acquire_count(d1::wait_context& waited) {
  __tsan_acquire(reinterpret_cast<char*>(&waited) + sizeof(std::uint64_t));
}

// A run of a pipeline: two addresses for the sanitizer.
struct Run {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
};

// What stands for an item, which may be no address.
void* place_of(void* item) {
  static std::array<std::uint64_t, 1 << 16> places;
  return &places[(reinterpret_cast<std::uintptr_t>(item) * 0x9E3779B97F4A7C15U) >> 48];
}

// Stands for a filter of a pipeline.
class Filter final : public d1::base_filter {
 public:
  Filter(d1::base_filter& filter, bool is_first, bool is_last, Run& run)
      : base_filter(mode_of(filter)), filter_(filter), is_first_(is_first), is_last_(is_last), run_(run) {}
  ~Filter() override {
    __tsan_acquire(&run_.end);
    filter_.~base_filter();
    r1::deallocate_memory(&filter_);
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  void* operator()(void* item) override {
    __tsan_acquire(&run_.start);
    if (is_serial()) __tsan_acquire(this);
    if (!is_first_) __tsan_acquire(place_of(item));
    Filter* const outer = current;
    current = this;
    void* const result = filter_(item);
    current = outer;
    if (!is_last_) __tsan_release(place_of(result));
    if (is_serial()) __tsan_release(this);
    __tsan_release(&run_.end);
    return result;
  }
  void finalize(void* item) override { filter_.finalize(item); }

  static thread_local Filter* current;  // the one that runs

 private:
  static unsigned mode_of(d1::base_filter& filter) {
    unsigned mode = filter.is_serial() ? filter_is_serial : 0;
    if (filter.is_serial() && !filter.is_ordered()) mode |= filter_is_out_of_order;
    if (filter.object_may_be_null()) mode |= filter_may_emit_null;
    return mode;
  }

  d1::base_filter& filter_;
  bool is_first_;
  bool is_last_;
  Run& run_;
};
thread_local Filter* Filter::current = nullptr;

// A filter to be, as the library makes it at the start.
class Leaf final : public d1::filter_node {
 public:
  Leaf(const d1::filter_node& leaf, bool is_first, bool is_last, Run& run)
      : leaf_(leaf), is_first_(is_first), is_last_(is_last), run_(run) {}
  d1::base_filter* create_filter() const override {
    return new (r1::allocate_memory(sizeof(Filter))) Filter(*leaf_.create_filter(), is_first_, is_last_, run_);
  }

 private:
  const d1::filter_node& leaf_;
  bool is_first_;
  bool is_last_;
  Run& run_;
};

d1::filter_node_ptr wrap(const d1::filter_node& node, bool is_first, bool is_last, Run& run) {
  if (node.left && node.right) {
    const d1::filter_node_ptr left = wrap(*node.left, is_first, false, run);
    const d1::filter_node_ptr right = wrap(*node.right, false, is_last, run);
    return {new (r1::allocate_memory(sizeof(d1::filter_node))) d1::filter_node(left, right)};
  }
  return {new (r1::allocate_memory(sizeof(Leaf))) Leaf(node, is_first, is_last, run)};
}

}  // namespace

namespace r1 {

void parallel_pipeline(d1::task_group_context& context, std::size_t items, const d1::filter_node& filters) {
  using Function = void(d1::task_group_context&, std::size_t, const d1::filter_node&);
  static Function* const function = real<Function>(
      nullptr, "_ZN3tbb6detail2r117parallel_pipelineERNS0_2d118task_group_contextEmRKNS2_11filter_nodeE");
  Run run;
  __tsan_release(&run.start);
  const d1::filter_node_ptr wrapped = wrap(filters, true, true, run);
  try {
    function(context, items, *wrapped);
  } catch (...) {
    __tsan_acquire(&run.end);
    throw;
  }
  __tsan_acquire(&run.end);
}

void set_end_of_input(d1::base_filter& filter) {
  using Function = void(d1::base_filter&);
  static Function* const function =
      real<Function>(nullptr, "_ZN3tbb6detail2r116set_end_of_inputERNS0_2d111base_filterE");
  function(Filter::current == nullptr ? filter : *Filter::current);
}

void spawn(d1::task& task, d1::task_group_context& context) {
  using Function = void(d1::task&, d1::task_group_context&);
  static Function* const function =
      real<Function>(nullptr, "_ZN3tbb6detail2r15spawnERNS0_2d14taskERNS2_18task_group_contextE");
  function(*new Spawned(task), context);
}

void spawn(d1::task& task, d1::task_group_context& context, d1::slot_id slot) {
  using Function = void(d1::task&, d1::task_group_context&, d1::slot_id);
  static Function* const function =
      real<Function>(nullptr, "_ZN3tbb6detail2r15spawnERNS0_2d14taskERNS2_18task_group_contextEt");
  function(*new Spawned(task), context, slot);
}

void execute_and_wait(d1::task& task, d1::task_group_context& context, d1::wait_context& waited,
                      d1::task_group_context& waiting) {
  using Function = void(d1::task&, d1::task_group_context&, d1::wait_context&, d1::task_group_context&);
  static Function* const function = real<Function>(
      nullptr, "_ZN3tbb6detail2r116execute_and_waitERNS0_2d14taskERNS2_18task_group_contextERNS2_12wait_contextES6_");
  try {
    function(task, context, waited, waiting);
  } catch (...) {
    acquire_count(waited);
    throw;
  }
  acquire_count(waited);
}

void wait(d1::wait_context& waited, d1::task_group_context& context) {
  using Function = void(d1::wait_context&, d1::task_group_context&);
  static Function* const function =
      real<Function>(nullptr, "_ZN3tbb6detail2r14waitERNS0_2d112wait_contextERNS2_18task_group_contextE");
  try {
    function(waited, context);
  } catch (...) {
    acquire_count(waited);
    throw;
  }
  acquire_count(waited);
}

void* allocate(d1::small_object_pool*& pool, std::size_t size, const d1::execution_data& data) {
  using Function = void*(d1::small_object_pool*&, std::size_t, const d1::execution_data&);
  static Function* const function =
      real<Function>(nullptr, "_ZN3tbb6detail2r18allocateERPNS0_2d117small_object_poolEmRKNS2_14execution_dataE");
  void* const memory = function(pool, size, data);
  __tsan_acquire(memory);
  return memory;
}

void* allocate(d1::small_object_pool*& pool, std::size_t size) {
  using Function = void*(d1::small_object_pool*&, std::size_t);
  static Function* const function =
      real<Function>(nullptr, "_ZN3tbb6detail2r18allocateERPNS0_2d117small_object_poolEm");
  void* const memory = function(pool, size);
  __tsan_acquire(memory);
  return memory;
}

void deallocate(d1::small_object_pool& pool, void* memory, std::size_t size, const d1::execution_data& data) {
  using Function = void(d1::small_object_pool&, void*, std::size_t, const d1::execution_data&);
  static Function* const function =
      real<Function>(nullptr, "_ZN3tbb6detail2r110deallocateERNS0_2d117small_object_poolEPvmRKNS2_14execution_dataE");
  __tsan_release(memory);
  function(pool, memory, size, data);
}

void deallocate(d1::small_object_pool& pool, void* memory, std::size_t size) {
  using Function = void(d1::small_object_pool&, void*, std::size_t);
  static Function* const function =
      real<Function>(nullptr, "_ZN3tbb6detail2r110deallocateERNS0_2d117small_object_poolEPvm");
  __tsan_release(memory);
  function(pool, memory, size);
}

void* cache_aligned_allocate(std::size_t size) {
  constexpr std::size_t kLine = 128;
  void* memory = nullptr;
  if (posix_memalign(&memory, kLine, std::max(size, kLine)) != 0) throw std::bad_alloc();
  return memory;
}

// What is freed may be of the pool, given back by another thread.
void cache_aligned_deallocate(void* memory) {
  if (memory != nullptr) __tsan_acquire(memory);
  std::free(memory);
}

void* allocate_memory(std::size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void deallocate_memory(void* memory) {
  std::free(memory);
}

}  // namespace r1
}  // namespace tbb::detail
