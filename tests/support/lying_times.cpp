// A library for LD_PRELOAD: files have the times that a shared folder might make up. MLSIM_LYING_TIMES is `wild` for
// others at each call, many of them in the future, or `frozen` for the same of every file at every moment.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<unsigned> calls = 0;

timespec made_up() {
  const char* const mode = std::getenv("MLSIM_LYING_TIMES");
  if (mode == nullptr || std::strcmp(mode, "frozen") == 0) return {1'000'000'000, 0};
  const unsigned call = ++calls;
  return {static_cast<time_t>(call * 2654435761U), static_cast<long>(call % 1'000'000'000)};
}

int lied(int result, struct stat* status) {
  if (result == 0) status->st_mtim = status->st_ctim = status->st_atim = made_up();
  return result;
}

template <typename Function>
Function next(Function /*own*/, const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int stat(const char* path, struct stat* status) {
  static const auto real = next(&stat, "stat");
  return lied(real(path, status), status);
}
int lstat(const char* path, struct stat* status) {
  static const auto real = next(&lstat, "lstat");
  return lied(real(path, status), status);
}
int fstat(int file, struct stat* status) {
  static const auto real = next(&fstat, "fstat");
  return lied(real(file, status), status);
}
int fstatat(int folder, const char* path, struct stat* status, int flags) {
  static const auto real = next(&fstatat, "fstatat");
  return lied(real(folder, path, status, flags), status);
}

}  // extern "C"
