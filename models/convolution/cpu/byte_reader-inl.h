// Codes as bytes, for each instruction set that a file of kernels is compiled for; of use to AVX-512 VBMI alone.
// Tested in tests/models/functional_convolution_test.cpp.

// Included once for each of them.
#if defined(MLSIM_MODELS_CONVOLUTION_CPU_BYTE_READER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLSIM_MODELS_CONVOLUTION_CPU_BYTE_READER_INL_H_
#undef MLSIM_MODELS_CONVOLUTION_CPU_BYTE_READER_INL_H_
#else
#define MLSIM_MODELS_CONVOLUTION_CPU_BYTE_READER_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mlsim::models::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3_DL

// The bytes in a table of 256 of up to 64 codes of at most 8 bits; those that are not there are code 0's.
class ByteReader {
 public:
  ByteReader(const std::uint8_t* table, int code_bits) : is_short_(code_bits <= 7) {
    for (std::size_t i = 0; i < 4; ++i) table_[i] = _mm512_loadu_si512(table + 64 * i);
    const hwy::HWY_NAMESPACE::ScalableTag<std::uint8_t> d;
    const auto iota = hwy::HWY_NAMESPACE::Iota(d, 0);
    even_ = hwy::HWY_NAMESPACE::Add(iota, iota).raw;
  }

  HWY_INLINE __m512i operator()(const std::uint16_t* codes, std::int64_t count) const {
    const std::uint64_t used = count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    const __m512i low_codes = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used), codes);
    const __m512i high_codes = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used >> 32), codes + 32);
    return read(low_codes, high_codes);
  }

  // All 64 are there.
  HWY_INLINE __m512i whole(const std::uint16_t* codes) const {
    return read(_mm512_loadu_si512(codes), _mm512_loadu_si512(codes + 32));
  }

 private:
  HWY_INLINE __m512i read(__m512i low_codes, __m512i high_codes) const {
    const __m512i code = _mm512_permutex2var_epi8(low_codes, even_, high_codes);
    const __m512i low = _mm512_permutex2var_epi8(table_[0], code, table_[1]);
    if (is_short_) return low;
    const __m512i high = _mm512_permutex2var_epi8(table_[2], code, table_[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), low, high);
  }

  __m512i table_[4];
  __m512i even_;
  bool is_short_;
};

#endif

}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
