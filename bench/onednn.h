// A pass of a layer computed by oneDNN: the yardstick of bench/ratios and bench/step.
#pragma once

#include <memory>
#include <string>

#include "models/convolution/convolution.h"

namespace mlsim::bench {

// What oneDNN multiplies: binary32, or bytes without sign times bytes with sign into 32 bits, which it has for forward
// passes alone.
enum class Arithmetic { kBinary32, kBytes };

// Operands lie in memory as the implementation wants them, weights packed, scratchpad at hand: run() is the product
// alone. Of the implementations that oneDNN offers for a direct convolution (of 1×1 images also for an inner product)
// the fastest of a short trial is taken.
class OneDnnPass {
 public:
  // Throws std::runtime_error where oneDNN has no such pass.
  OneDnnPass(models::Pass pass, const models::ConvolutionShape& shape, Arithmetic arithmetic);
  ~OneDnnPass();
  OneDnnPass(OneDnnPass&&) noexcept;
  OneDnnPass& operator=(OneDnnPass&&) noexcept;

  void run();
  const std::string& implementation() const;  // as oneDNN names it

 private:
  struct Candidate;
  std::unique_ptr<Candidate> chosen_;
};

// Of oneDNN's own OpenMP runtime, and the calling thread among them.
void set_onednn_threads(int count);
// Limits oneDNN to an instruction set, as Highway names those: SSE2 (SSE4.1 is the least that oneDNN has), AVX2, AVX3,
// AVX3_DL. To be called before all else.
void limit_onednn(const std::string& instructions);
// "oneDNN 2.6.3, OpenMP"
std::string onednn_version();

}  // namespace mlsim::bench
