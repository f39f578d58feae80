/* What the C text of a PTX module is made of (ptx_executor.py): PTX's operations on registers and memory. */
#include <math.h>
#include <stdint.h>
#include <string.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
typedef int8_t i8; typedef int16_t i16; typedef int32_t i32; typedef int64_t i64;
typedef unsigned __int128 u128; typedef __int128 i128;
static _Thread_local u32 tid_x, ctaid_x, ctaid_y, ntid_x, nctaid_x, nctaid_y;
static inline float f32(u32 w) { float x; memcpy(&x, &w, 4); return x; }
static inline double f64(u64 w) { double x; memcpy(&x, &w, 8); return x; }
static inline u32 w32(float x) { u32 w; memcpy(&w, &x, 4); return w; }
static inline u64 w64(double x) { u64 w; memcpy(&w, &x, 8); return w; }
/* Results of arithmetic: a NaN is the GPU's NaN. */
static inline u32 r32(float x) { return x == x ? w32(x) : 0x7fffffffu; }
static inline u64 r64(double x) { return x == x ? w64(x) : 0x7fffffffffffffffull; }
#define MEMORY(T) \
  static inline T ld_##T(u64 a) { T x; memcpy(&x, (void const*)(uintptr_t)a, sizeof x); return x; } \
  static inline void st_##T(u64 a, T x) { memcpy((void*)(uintptr_t)a, &x, sizeof x); }
MEMORY(u8) MEMORY(u16) MEMORY(u32) MEMORY(u64) MEMORY(i8) MEMORY(i16) MEMORY(i32) MEMORY(i64)
#define LEAST_AND_MOST(T, NAME) \
  static inline T min_##NAME(T a, T b) { \
    return a != a ? b : b != b ? a : a == b ? (signbit(a) ? a : b) : a < b ? a : b; } \
  static inline T max_##NAME(T a, T b) { \
    return a != a ? b : b != b ? a : a == b ? (signbit(a) ? b : a) : a > b ? a : b; }
LEAST_AND_MOST(float, f32) LEAST_AND_MOST(double, f64)
#define TO_INT(T, LOW, HIGH, BELOW, ABOVE, NAN_VALUE) \
  static inline T to_##T(double x, T nan) { return x != x ? nan : x <= (BELOW) ? (LOW) : x >= (ABOVE) ? (HIGH) : (T)x; }
TO_INT(i16, INT16_MIN, INT16_MAX, -0x1p15, 0x1p15, 0) TO_INT(u16, 0, UINT16_MAX, 0.0, 0x1p16, 0)
TO_INT(i32, INT32_MIN, INT32_MAX, -0x1p31, 0x1p31, 0) TO_INT(u32, 0, UINT32_MAX, 0.0, 0x1p32, 0)
TO_INT(i64, INT64_MIN, INT64_MAX, -0x1p63, 0x1p63, 0) TO_INT(u64, 0, UINT64_MAX, 0.0, 0x1p64, 0)
#define SHIFTS(U, S, N) \
  static inline U shl_##U(U a, u32 n) { return n >= N ? 0 : (U)(a << n); } \
  static inline U shr_##U(U a, u32 n) { return n >= N ? 0 : (U)(a >> n); } \
  static inline S shr_##S(S a, u32 n) { return n >= N ? (S)(a < 0 ? -1 : 0) : (S)(a >> n); }
SHIFTS(u16, i16, 16) SHIFTS(u32, i32, 32) SHIFTS(u64, i64, 64)
static inline u32 funnel_l(u32 low, u32 high, u32 n) { return (u32)((((u64)high << 32 | low) << n) >> 32); }
static inline u32 funnel_r(u32 low, u32 high, u32 n) { return (u32)(((u64)high << 32 | low) >> n); }
static inline u64 bfe_u(u64 a, u32 pos, u32 len, u32 width, int is_signed) {
  pos &= 0xff; len &= 0xff;
  u64 all = width == 64 ? ~0ull : 0xffffffffull, field = pos >= width ? 0 : a >> pos;
  u32 top = pos + len - 1 < width - 1 ? pos + len - 1 : width - 1;
  u64 sign = is_signed && len ? (a >> top) & 1 : 0;
  u64 mask = len >= 64 ? ~0ull : (1ull << len) - 1;
  u32 have = pos >= width ? 0 : width - pos;
  u64 valid = have >= 64 ? ~0ull : (1ull << have) - 1;
  field &= mask & valid;
  return (sign ? field | ~(mask & valid) : field) & all;
}
static inline u64 bfi_u(u64 a, u64 b, u32 pos, u32 len, u32 width) {
  pos &= 0xff; len &= 0xff;
  if (pos >= width || !len) return b;
  u64 mask = (len >= 64 ? ~0ull : (1ull << len) - 1) << pos;
  return (b & ~mask) | ((a << pos) & mask);
}
static inline u32 prmt(u32 a, u32 b, u32 c) {
  u64 both = (u64)b << 32 | a; u32 d = 0;
  for (int i = 0; i < 4; ++i) {
    u32 s = c >> (4 * i) & 0xf, byte = both >> (8 * (s & 7)) & 0xff;
    if (s & 8) byte = byte & 0x80 ? 0xff : 0;
    d |= byte << (8 * i);
  }
  return d;
}
static inline u32 lop3(u32 a, u32 b, u32 c, u32 t) {
  u32 d = 0;
  for (int i = 0; i < 8; ++i)
    if (t >> i & 1) d |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  return d;
}
static inline u32 brev(u32 a) { u32 d = 0; for (int i = 0; i < 32; ++i) d |= (a >> i & 1) << (31 - i); return d; }
