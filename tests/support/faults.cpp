// A library for LD_PRELOAD that counts what a program asks of the system, and makes one call of them fail.
//
//   MLSIM_FAULT_FOLDER  files below this folder are looked at, whatever way they were opened, and no others
//   MLSIM_FAULT_COUNTS  a file of faults::Counts, which is counted up in place (tests/support/faults.h)
//   MLSIM_FAULT         KIND:NUMBER:WHAT, none for counting alone. KIND is read, write, call (every other call on a
//                       file or a path) or allocation; the call of that number, from 1, fails, and with NUMBER+ every
//                       later one too. WHAT is an errno, "short" (half of what was asked for is read or written) or
//                       "signal" (SIGTERM comes before the call).
//
// Calls are counted from main() on: what libraries allocate before is not the program's.
//
// The C library's streams call the system from within, where nothing can come between. Where an operation on one is to
// fail, its descriptor is exchanged for one that fails (/dev/full, or a folder, which cannot be read) while the real
// function runs, so that the stream ends in the state in which an error leaves it.
#include "tests/support/faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio_ext.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>

namespace {

using mlsim::test::FaultCounts;
using mlsim::test::FaultKind;

constexpr const char* kKinds[] = {"read", "write", "call", "allocation"};
constexpr int kShort = -1;
constexpr int kSignal = -2;

// None of it is allocated: an allocation may be what is counted.
char folder[PATH_MAX];
std::size_t folder_length = 0;
FaultCounts* counts = nullptr;
int fault_kind = -1;
std::uint64_t fault_number = 0;
bool fault_lasts = false;
int fault_error = 0;
std::atomic<bool> is_counting = false;
thread_local bool is_inside = false;  // of this library, whose own calls do not count

void start() {
  const char* const path = getenv("MLSIM_FAULT_COUNTS");
  const char* const where = getenv("MLSIM_FAULT_FOLDER");
  if (path == nullptr || where == nullptr || strlen(where) >= sizeof folder) return;
  folder_length = strlen(where);
  memcpy(folder, where, folder_length + 1);
  const long file = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
  if (file < 0) return;
  void* const memory =
      mmap(nullptr, sizeof(FaultCounts), PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(file), 0);
  syscall(SYS_close, file);
  if (memory == MAP_FAILED) return;
  counts = static_cast<FaultCounts*>(memory);
  if (const char* fault = getenv("MLSIM_FAULT"); fault != nullptr) {
    const char* const number = strchr(fault, ':');
    if (number == nullptr) return;
    for (int kind = 0; kind < mlsim::test::kFaultKinds; ++kind) {
      if (strncmp(fault, kKinds[kind], static_cast<std::size_t>(number - fault)) == 0) fault_kind = kind;
    }
    char* end = nullptr;
    fault_number = strtoull(number + 1, &end, 10);
    fault_lasts = *end == '+';
    if (fault_lasts) ++end;
    fault_error = strcmp(end, ":short") == 0 ? kShort : strcmp(end, ":signal") == 0 ? kSignal : atoi(end + 1);
  }
  is_counting = true;
}

// Counts a call. 0 where it is to be let through; otherwise what is to happen.
int count(FaultKind kind, const char* function) {
  if (!is_counting || is_inside) return 0;
  const std::uint64_t number = ++counts->calls[static_cast<std::size_t>(kind)];
  if (static_cast<int>(kind) != fault_kind) return 0;
  if (number != fault_number && !(fault_lasts && number > fault_number)) return 0;
  strncpy(counts->function, function, sizeof counts->function - 1);
  if (fault_error == kSignal) {
    raise(SIGTERM);
    return 0;
  }
  return fault_error;
}

bool is_below_folder(const char* path) {
  return strncmp(path, folder, folder_length) == 0 && (path[folder_length] == '/' || path[folder_length] == '\0');
}

bool is_watched(int descriptor) {
  if (!is_counting || is_inside) return false;
  char link[32] = "/proc/self/fd/";
  char digits[12];
  int length = 0;
  if (descriptor < 0) return false;
  for (int rest = descriptor; length == 0 || rest > 0; rest /= 10)
    digits[length++] = static_cast<char>('0' + rest % 10);
  char* end = link + strlen(link);
  while (length > 0) *end++ = digits[--length];
  *end = '\0';
  char path[PATH_MAX];
  const long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
  if (size < 0) return false;
  path[size] = '\0';
  return is_below_folder(path);
}

bool is_watched(int at, const char* path) {
  if (!is_counting || is_inside || path == nullptr) return false;
  if (path[0] == '/') return is_below_folder(path);
  if (at != AT_FDCWD) return is_watched(at);
  char current[PATH_MAX];
  return syscall(SYS_getcwd, current, sizeof current) > 0 && is_below_folder(current);
}

bool is_watched(const char* path) {
  return is_watched(AT_FDCWD, path);
}

// Whether a call on a path or descriptor is to fail; then errno says why.
template <typename... Where>
bool fails(const char* function, Where... where) {
  if (!is_watched(where...)) return false;
  const int error = count(FaultKind::kCall, function);
  if (error <= 0) return false;
  errno = error;
  return true;
}

// The function of the libraries behind this one.
void* next(std::atomic<void*>& found, const char* name) {
  void* function = found;
  if (function == nullptr) {
    const bool was_inside = is_inside;
    is_inside = true;  // dlsym may allocate
    function = dlsym(RTLD_NEXT, name);
    is_inside = was_inside;
    found = function;
  }
  return function;
}
#define NEXT(name)                                                  \
  ([] {                                                             \
    static std::atomic<void*> found;                                \
    return reinterpret_cast<decltype(&(name))>(next(found, #name)); \
  }())

// What a stream's function returns while the descriptor below fails.
template <typename Operation>
auto with_failing(std::FILE* stream, FaultKind kind, const Operation& operation) {
  is_inside = true;
  const int descriptor = fileno(stream);
  const int kept = fcntl(descriptor, F_DUPFD_CLOEXEC, 100);
  const char* const instead = kind == FaultKind::kRead ? folder : "/dev/full";
  const long failing = syscall(SYS_openat, AT_FDCWD, instead, kind == FaultKind::kRead ? O_RDONLY : O_WRONLY, 0);
  dup2(static_cast<int>(failing), descriptor);
  syscall(SYS_close, failing);
  const auto result = operation();
  const int error = errno;
  dup2(kept, descriptor);
  syscall(SYS_close, kept);
  is_inside = false;
  errno = error;
  return result;
}

// The stream that was last found to be watched or not: a trace is written in hundreds of thousands of calls.
thread_local std::FILE* last_stream = nullptr;
thread_local bool last_is_watched = false;

bool stream_fails(const char* function, std::FILE* stream, FaultKind kind) {
  if (!is_counting || is_inside) return false;
  if (stream != last_stream) {
    last_is_watched = is_watched(fileno(stream));
    last_stream = stream;
  }
  if (!last_is_watched) return false;
  const int error = count(kind, function);
  return error > 0 && error != EINTR;  // no signal handler here lets a call on a file be interrupted
}

// The stream's real function; whatever it leaves in the buffer is written with it where that is to fail.
template <typename Operation>
auto write_stream(const char* function, std::FILE* stream, const Operation& operation) {
  if (!stream_fails(function, stream, FaultKind::kWrite)) return operation();
  using Result = decltype(operation());
  return with_failing(stream, FaultKind::kWrite, [&] {
    const Result result = operation();
    // Where what it left in the buffer is lost, it had better have failed; fwrite() with no item written.
    return std::fflush(stream) == 0 ? result : std::is_signed_v<Result> ? static_cast<Result>(EOF) : Result{0};
  });
}

template <typename Operation>
auto read_stream(const char* function, std::FILE* stream, const Operation& operation) {
  const bool asks_system = stream->_IO_read_ptr >= stream->_IO_read_end;
  if (!asks_system || !stream_fails(function, stream, FaultKind::kRead)) return operation();
  return with_failing(stream, FaultKind::kRead, operation);
}

// What a system call for `size` bytes is to do: -1 with errno, or for how many bytes it is to ask.
ssize_t bytes_to_move(const char* function, int descriptor, FaultKind kind, std::size_t size) {
  if (!is_watched(descriptor)) return static_cast<ssize_t>(size);
  const int error = count(kind, function);
  if (error == kShort) return static_cast<ssize_t>(size > 1 ? size / 2 : size);
  if (error > 0) {
    errno = error;
    return -1;
  }
  return static_cast<ssize_t>(size);
}

ssize_t move_vector(long number, int descriptor, FaultKind kind, const iovec* vector, int size) {
  const ssize_t first = bytes_to_move(__func__, descriptor, kind, vector[0].iov_len);
  if (first < 0) return -1;
  if (static_cast<std::size_t>(first) == vector[0].iov_len) return syscall(number, descriptor, vector, size);
  const iovec part{vector[0].iov_base, static_cast<std::size_t>(first)};
  return syscall(number, descriptor, &part, 1);
}

bool allocation_fails() {
  if (!is_counting || is_inside || count(FaultKind::kAllocation, __func__) <= 0) return false;
  errno = ENOMEM;
  return true;
}

int (*program_main)(int, char**, char**) = nullptr;

int counted_main(int argc, char** argv, char** environment) {
  start();
  return program_main(argc, argv, environment);
}

}  // namespace

// Not counted: valijson, which checks JSON against the schemas that are built in, asks for all its memory in this way
// and does not look at what it gets (std::stable_sort does, and can do without).
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  const bool was_inside = is_inside;
  is_inside = true;
  void* const memory = malloc(size == 0 ? 1 : size);
  is_inside = was_inside;
  return memory;
}

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): names of the C library
extern "C" {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

// The C library's own parameters.
int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*rtld_fini)(), void* stack_end) {
  program_main = main;
  return NEXT(__libc_start_main)(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

void* malloc(std::size_t size) {
  return allocation_fails() ? nullptr : __libc_malloc(size);
}
void* calloc(std::size_t number, std::size_t size) {
  return allocation_fails() ? nullptr : __libc_calloc(number, size);
}
void* realloc(void* old, std::size_t size) {
  return allocation_fails() ? nullptr : __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  return allocation_fails() ? nullptr : __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return allocation_fails() ? nullptr : __libc_memalign(alignment, size);
}
int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  if (allocation_fails()) return ENOMEM;
  void* const memory = __libc_memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *result = memory;
  return 0;
}

// The C library's dlopen() does not survive a shortage (glibc 2.36: _dlerror_run() reads through the null pointer of
// its failed malloc()). oneTBB calls it once, where it looks for its allocator.
void* dlopen(const char* path, int flags) {
  const auto real = NEXT(dlopen);
  const bool was_inside = is_inside;
  is_inside = true;
  void* const library = real(path, flags);
  is_inside = was_inside;
  return library;
}

ssize_t read(int descriptor, void* buffer, std::size_t size) {
  const ssize_t bytes = bytes_to_move(__func__, descriptor, FaultKind::kRead, size);
  return bytes < 0 ? -1 : syscall(SYS_read, descriptor, buffer, bytes);
}
ssize_t pread64(int descriptor, void* buffer, std::size_t size, off64_t offset) {
  const ssize_t bytes = bytes_to_move(__func__, descriptor, FaultKind::kRead, size);
  return bytes < 0 ? -1 : syscall(SYS_pread64, descriptor, buffer, bytes, offset);
}
ssize_t pread(int descriptor, void* buffer, std::size_t size, off_t offset) {
  return pread64(descriptor, buffer, size, offset);
}
ssize_t readv(int descriptor, const iovec* vector, int size) {
  return move_vector(SYS_readv, descriptor, FaultKind::kRead, vector, size);
}
ssize_t write(int descriptor, const void* buffer, std::size_t size) {
  const ssize_t bytes = bytes_to_move(__func__, descriptor, FaultKind::kWrite, size);
  return bytes < 0 ? -1 : syscall(SYS_write, descriptor, buffer, bytes);
}
ssize_t pwrite64(int descriptor, const void* buffer, std::size_t size, off64_t offset) {
  const ssize_t bytes = bytes_to_move(__func__, descriptor, FaultKind::kWrite, size);
  return bytes < 0 ? -1 : syscall(SYS_pwrite64, descriptor, buffer, bytes, offset);
}
ssize_t pwrite(int descriptor, const void* buffer, std::size_t size, off_t offset) {
  return pwrite64(descriptor, buffer, size, offset);
}
ssize_t writev(int descriptor, const iovec* vector, int size) {
  return move_vector(SYS_writev, descriptor, FaultKind::kWrite, vector, size);
}

std::size_t fread(void* buffer, std::size_t size, std::size_t number, std::FILE* stream) {
  const auto real = NEXT(fread);
  return read_stream(__func__, stream, [&] { return real(buffer, size, number, stream); });
}
int getc(std::FILE* stream) {
  const auto real = NEXT(getc);
  return read_stream(__func__, stream, [&] { return real(stream); });
}
int fgetc(std::FILE* stream) {
  const auto real = NEXT(fgetc);
  return read_stream(__func__, stream, [&] { return real(stream); });
}
std::size_t fwrite(const void* buffer, std::size_t size, std::size_t number, std::FILE* stream) {
  const auto real = NEXT(fwrite);
  return write_stream(__func__, stream, [&] { return real(buffer, size, number, stream); });
}
int fputs(const char* text, std::FILE* stream) {
  const auto real = NEXT(fputs);
  return write_stream(__func__, stream, [&] { return real(text, stream); });
}
int putc(int character, std::FILE* stream) {
  const auto real = NEXT(putc);
  return write_stream(__func__, stream, [&] { return real(character, stream); });
}
int fputc(int character, std::FILE* stream) {
  const auto real = NEXT(fputc);
  return write_stream(__func__, stream, [&] { return real(character, stream); });
}
int vfprintf(std::FILE* stream, const char* format, va_list arguments) {
  const auto real = NEXT(vfprintf);
  return write_stream(__func__, stream, [&] { return real(stream, format, arguments); });
}
int fprintf(std::FILE* stream, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int result = vfprintf(stream, format, arguments);
  va_end(arguments);
  return result;
}
int __vfprintf_chk(std::FILE* stream, int, const char* format, va_list arguments) {
  return vfprintf(stream, format, arguments);
}
int __fprintf_chk(std::FILE* stream, int, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int result = vfprintf(stream, format, arguments);
  va_end(arguments);
  return result;
}
int fflush(std::FILE* stream) {
  const auto real = NEXT(fflush);
  if (stream == nullptr || is_inside || __fpending(stream) == 0) return real(stream);
  return write_stream(__func__, stream, [&] { return real(stream); });
}
int fclose(std::FILE* stream) {
  const auto real = NEXT(fclose);
  // What is left in the buffer is written, and that may fail; so may the close itself.
  if (is_counting && !is_inside && __fpending(stream) > 0 && stream_fails(__func__, stream, FaultKind::kWrite)) {
    with_failing(stream, FaultKind::kWrite, [&] { return std::fflush(stream); });
    const int error = errno;
    real(stream);
    errno = error;
    return EOF;
  }
  last_stream = nullptr;
  const bool failed = fails(__func__, fileno(stream));
  const int error = errno;
  const int result = real(stream);
  if (!failed) return result;
  errno = error;
  return EOF;
}
std::FILE* fopen64(const char* path, const char* mode) {
  return fails(__func__, path) ? nullptr : NEXT(fopen64)(path, mode);
}
std::FILE* fopen(const char* path, const char* mode) {
  return fails(__func__, path) ? nullptr : NEXT(fopen)(path, mode);
}

int openat64(int at, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);  // garbage that nobody reads where there is none
  va_end(arguments);
  return fails(__func__, at, path) ? -1 : static_cast<int>(syscall(SYS_openat, at, path, flags, mode));
}
int openat(int at, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return openat64(at, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return openat64(AT_FDCWD, path, flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return openat64(AT_FDCWD, path, flags, mode);
}
int close(int descriptor) {
  const bool failed = fails(__func__, descriptor);
  const int error = errno;
  const int result = static_cast<int>(syscall(SYS_close, descriptor));
  if (!failed) return result;
  errno = error;
  return -1;
}
int fsync(int descriptor) {
  return fails(__func__, descriptor) ? -1 : static_cast<int>(syscall(SYS_fsync, descriptor));
}
int fdatasync(int descriptor) {
  return fails(__func__, descriptor) ? -1 : static_cast<int>(syscall(SYS_fdatasync, descriptor));
}
int ftruncate64(int descriptor, off64_t size) noexcept {
  return fails(__func__, descriptor) ? -1 : static_cast<int>(syscall(SYS_ftruncate, descriptor, size));
}
int ftruncate(int descriptor, off_t size) noexcept {
  return ftruncate64(descriptor, size);
}
int flock(int descriptor, int operation) noexcept {
  return fails(__func__, descriptor) ? -1 : static_cast<int>(syscall(SYS_flock, descriptor, operation));
}
int rename(const char* from, const char* to) noexcept {
  return fails(__func__, to) ? -1 : static_cast<int>(syscall(SYS_rename, from, to));
}
int renameat(int at, const char* from, int to_at, const char* to) noexcept {
  return fails(__func__, to_at, to) ? -1 : static_cast<int>(syscall(SYS_renameat, at, from, to_at, to));
}
int link(const char* from, const char* to) noexcept {
  return fails(__func__, to) ? -1 : static_cast<int>(syscall(SYS_link, from, to));
}
int linkat(int at, const char* from, int to_at, const char* to, int flags) noexcept {
  return fails(__func__, to_at, to) ? -1 : static_cast<int>(syscall(SYS_linkat, at, from, to_at, to, flags));
}
int unlink(const char* path) noexcept {
  return fails(__func__, path) ? -1 : static_cast<int>(syscall(SYS_unlink, path));
}
int unlinkat(int at, const char* path, int flags) noexcept {
  return fails(__func__, at, path) ? -1 : static_cast<int>(syscall(SYS_unlinkat, at, path, flags));
}
int remove(const char* path) noexcept {
  return fails(__func__, path) ? -1 : NEXT(remove)(path);
}
int mkdir(const char* path, mode_t mode) noexcept {
  return fails(__func__, path) ? -1 : static_cast<int>(syscall(SYS_mkdir, path, mode));
}
int mkdirat(int at, const char* path, mode_t mode) noexcept {
  return fails(__func__, at, path) ? -1 : static_cast<int>(syscall(SYS_mkdirat, at, path, mode));
}
int stat(const char* path, struct stat* status) noexcept {
  return fails(__func__, path) ? -1 : NEXT(stat)(path, status);
}
int stat64(const char* path, struct stat64* status) noexcept {
  return fails(__func__, path) ? -1 : NEXT(stat64)(path, status);
}
int lstat(const char* path, struct stat* status) noexcept {
  return fails(__func__, path) ? -1 : NEXT(lstat)(path, status);
}
int lstat64(const char* path, struct stat64* status) noexcept {
  return fails(__func__, path) ? -1 : NEXT(lstat64)(path, status);
}
int fstat(int descriptor, struct stat* status) noexcept {
  return fails(__func__, descriptor) ? -1 : NEXT(fstat)(descriptor, status);
}
int fstat64(int descriptor, struct stat64* status) noexcept {
  return fails(__func__, descriptor) ? -1 : NEXT(fstat64)(descriptor, status);
}
#pragma GCC diagnostic pop

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
