// Vectors of this processor and what the C++ forms make of them: products, exponentials, transposes. No library.
// Everything stands in an unnamed namespace: each source that includes it is compiled alone.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int BYTES = 64, ROWS = 8;
#elif defined(__AVX2__)
constexpr int BYTES = 32, ROWS = 4;
#else
constexpr int BYTES = 16, ROWS = 4;
#endif

template <typename T>
struct Vector {
  typedef T type __attribute__((vector_size(BYTES)));
  static constexpr int lanes = BYTES / sizeof(T);
  static type load(const T* p) {
    type x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static void store(T* p, type x) { std::memcpy(p, &x, sizeof x); }
};

// out (rows, columns) = factor * start + a (rows, inner) w (inner, columns). `a` has any two strides, the others one
// between rows. No start: zero. `out` may be `start`.
template <typename T>
struct Product {
  const T *a;
  int64_t a_row, a_inner;
  const T *w;
  int64_t w_row;
  const T *start;
  int64_t start_row;
  T *out;
  int64_t out_row;
  T factor = 1;

  // R rows and V vectors of columns, all sums in registers.
  template <int R, int V>
  void block(int64_t row, int64_t column, int64_t inner) const {
    using Vec = Vector<T>;
    typename Vec::type sum[R][V];
    for (int r = 0; r < R; r++)
      for (int v = 0; v < V; v++) {
        sum[r][v] = typename Vec::type{};
        if (start) sum[r][v] = Vec::load(start + (row + r) * start_row + column + v * Vec::lanes);
        if (factor != 1) sum[r][v] *= factor;
      }
    const T *x = a + row * a_row, *y = w + column;
    for (int64_t k = 0; k < inner; k++, x += a_inner, y += w_row) {
      typename Vec::type right[V];
      for (int v = 0; v < V; v++) right[v] = Vec::load(y + v * Vec::lanes);
      for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++) sum[r][v] += x[r * a_row] * right[v];
    }
    for (int r = 0; r < R; r++)
      for (int v = 0; v < V; v++) Vec::store(out + (row + r) * out_row + column + v * Vec::lanes, sum[r][v]);
  }

  template <int R>
  void some(int64_t row, int64_t inner, int64_t columns) const {
    constexpr int L = Vector<T>::lanes, V = R >= 4 ? 2 : 4;
    int64_t column = 0;
    for (; column + V * L <= columns; column += V * L) block<R, V>(row, column, inner);
    for (; column + L <= columns; column += L) block<R, 1>(row, column, inner);
    for (; column < columns; column++)
      for (int r = 0; r < R; r++) {
        T sum = start ? factor * start[(row + r) * start_row + column] : T(0);
        for (int64_t k = 0; k < inner; k++) sum += a[(row + r) * a_row + k * a_inner] * w[k * w_row + column];
        out[(row + r) * out_row + column] = sum;
      }
  }

  void run(int64_t rows, int64_t inner, int64_t columns) const {
    int64_t row = 0;
    for (; row + ROWS <= rows; row += ROWS) some<ROWS>(row, inner, columns);
    for (; row + 4 <= rows; row += 4) some<4>(row, inner, columns);
    for (; row + 2 <= rows; row += 2) some<2>(row, inner, columns);
    for (; row < rows; row++) some<1>(row, inner, columns);
  }
};

inline double exponential(double x) { return std::exp(x); }

// e^x = 2^n e^r with |r| <= ln 2 / 2 and a polynomial for e^r; error below 2 units in the last place.
// A compiler can do it for many numbers at once, and the result is the same with every C library.
inline float exponential(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  constexpr float ROUND = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  float n = (x * 1.44269504f + ROUND) - ROUND;
  float r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLES 1
#endif
#endif

#ifdef SHUFFLES
// Of rows a and a + S of a square, the two corners that lie off the diagonal change places.
template <int S, bool SECOND, typename V, int... J>
inline V corner(V a, V b, std::integer_sequence<int, J...>) {
  constexpr int lanes = sizeof...(J);
  if constexpr (SECOND) return __builtin_shufflevector(a, b, ((J & S) ? lanes + J : J + S)...);
  return __builtin_shufflevector(a, b, ((J & S) ? lanes + J - S : J)...);
}

template <int S, typename V, int N>
inline void corners(V (&x)[N]) {
  if constexpr (S < N) {
    for (int i = 0; i < N; i++)
      if (!(i & S)) {
        V a = x[i], b = x[i + S];
        x[i] = corner<S, false>(a, b, std::make_integer_sequence<int, N>());
        x[i + S] = corner<S, true>(a, b, std::make_integer_sequence<int, N>());
      }
    corners<2 * S>(x);
  }
}
#endif

// out (columns, rows) of x (rows, columns); both counts are multiples of the lanes of a vector.
template <typename T>
void transpose(const T* x, int64_t x_row, int64_t rows, int64_t columns, T* out, int64_t out_row) {
  using Vec = Vector<T>;
  constexpr int N = Vec::lanes;
  for (int64_t r = 0; r < rows; r += N)
    for (int64_t c = 0; c < columns; c += N) {
#ifdef SHUFFLES
      typename Vec::type square[N];
      for (int i = 0; i < N; i++) square[i] = Vec::load(x + (r + i) * x_row + c);
      corners<1>(square);
      for (int i = 0; i < N; i++) Vec::store(out + (c + i) * out_row + r, square[i]);
#else
      for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) out[(c + j) * out_row + r + i] = x[(r + i) * x_row + c + j];
#endif
    }
}

// While it lives, this thread takes numbers below the smallest normal one for 0: they cost a hundred times as much.
class FlushToZero {
 public:
#if defined(__SSE2__)
  FlushToZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushToZero() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushToZero() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" : : "r"(before_ | (uint64_t(1) << 24)));
  }
  ~FlushToZero() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

 private:
  uint64_t before_;
#endif
};

}  // namespace
