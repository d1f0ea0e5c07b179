// What stands between the products of a recurrent block, forward and backward, each in one pass over memory. Plain C
// interface. The definitions are those of reference.py; letters and shapes are those of __init__.py.
//
// Rows stand one after the other unless a stride is given, counted in numbers. Sums over rows begin at zero in each
// call and are then added to what is there, so that many calls sum as in a tree.

#include <vector>

#include "simd.h"

namespace {

template <typename T>
inline T logistic(T x) {
  return 1 / (1 + exponential(-x));
}

template <typename T>
void add(const std::vector<T> &sums, T *total) {
  for (size_t i = 0; i < sums.size(); i++) total[i] += sums[i];
}

template <typename T>
void swiglu(int64_t rows, int64_t inner, const T *x, int64_t x_row, T *out) {
  for (int64_t n = 0; n < rows; n++, x += x_row, out += inner) {
    const T *gate = x, *up = x + inner;
#pragma omp simd
    for (int64_t i = 0; i < inner; i++) out[i] = gate[i] * logistic(gate[i]) * up[i];
  }
}

// From the gradient of the result: that of x, (rows, 2 inner), and the result once more in place of its gradient.
template <typename T>
void swiglu_back(int64_t rows, int64_t inner, const T *x, int64_t x_row, T *grad, T *dx) {
  for (int64_t n = 0; n < rows; n++, x += x_row, grad += inner, dx += 2 * inner) {
    const T *gate = x, *up = x + inner;
    T *d_gate = dx, *d_up = dx + inner;
#pragma omp simd
    for (int64_t i = 0; i < inner; i++) {
      const T open = logistic(gate[i]), active = gate[i] * open, g = grad[i];
      d_up[i] = g * active;
      d_gate[i] = g * up[i] * (open + active * (1 - open));
      grad[i] = active * up[i];
    }
  }
}

template <typename T>
void rms_norm(int64_t rows, int64_t width, const T *x, const T *weight, double eps, T *out, T *scales) {
  for (int64_t n = 0; n < rows; n++, x += width, out += width) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; i++) sum += x[i] * x[i];
    const T scale = 1 / std::sqrt(sum / width + static_cast<T>(eps));
    scales[n] = scale;
#pragma omp simd
    for (int64_t i = 0; i < width; i++) out[i] = x[i] * scale * weight[i];
  }
}

template <typename T>
void rms_norm_back(int64_t rows, int64_t width, const T *x, const T *weight, const T *scales, const T *grad, T *dx,
                   T *d_weight) {
  std::vector<T> sums(width);
  T *slope = sums.data();
  for (int64_t n = 0; n < rows; n++, x += width, grad += width, dx += width) {
    const T scale = scales[n];
    T along = 0;
#pragma omp simd reduction(+ : along)
    for (int64_t i = 0; i < width; i++) along += grad[i] * weight[i] * x[i];
    along *= scale * scale * scale / width;
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
      slope[i] += grad[i] * x[i] * scale;
      dx[i] = grad[i] * weight[i] * scale - along * x[i];
    }
  }
  add(sums, d_weight);
}

// Of a head at one step: its mean, and one over its deviation.
template <typename T>
void moments(const T *x, int64_t width, double eps, T *mean, T *scale) {
  T sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; i++) sum += x[i];
  sum /= width;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < width; i++) squares += (x[i] - sum) * (x[i] - sum);
  *mean = sum, *scale = 1 / std::sqrt(squares / width + static_cast<T>(eps));
}

template <typename T, bool SILU>
inline T opening(T z) {
  return SILU ? z * logistic(z) : logistic(z);
}

// (LN(h) * norm + skip * c) * gate(z), where SKIP; else LN(h) * gate(z).
template <typename T, bool SILU, bool SKIP>
void norm_gate(int64_t rows, int64_t heads, int64_t width, const T *h, const T *z, const T *norm, const T *skip,
               const T *c, double eps, T *out) {
  for (int64_t n = 0; n < rows * heads; n++, h += width, z += width, out += width) {
    const int64_t at = n % heads * width;
    T mean, scale;
    moments(h, width, eps, &mean, &scale);
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
      T y = (h[i] - mean) * scale;
      if (SKIP) y = y * norm[at + i] + skip[at + i] * c[n * width + i];
      out[i] = y * opening<T, SILU>(z[i]);
    }
  }
}

// From the gradient of the result: those of all arguments, and the result once more in place of its gradient.
template <typename T, bool SILU, bool SKIP>
void norm_gate_back(int64_t rows, int64_t heads, int64_t width, const T *h, const T *z, const T *norm, const T *skip,
                    const T *c, double eps, T *grad, T *dh, T *dz, T *dc, T *d_norm, T *d_skip) {
  std::vector<T> norm_sums(SKIP ? heads * width : 0), skip_sums(norm_sums);
  for (int64_t n = 0; n < rows * heads; n++, h += width, z += width, grad += width, dh += width, dz += width) {
    const int64_t at = n % heads * width;
    T *of_norm = norm_sums.data() + at, *of_skip = skip_sums.data() + at, mean, scale, sum = 0, along = 0;
    moments(h, width, eps, &mean, &scale);
#pragma omp simd reduction(+ : sum, along)
    for (int64_t i = 0; i < width; i++) {
      const T unit = (h[i] - mean) * scale, open = logistic(z[i]), gate = SILU ? z[i] * open : open, g = grad[i];
      const T slope = SILU ? open + gate * (1 - open) : open * (1 - open);
      T y = unit, back = g * gate;
      if (SKIP) {
        const T other = c[n * width + i];
        y = unit * norm[at + i] + skip[at + i] * other;
        of_norm[i] += back * unit;
        of_skip[i] += back * other;
        dc[n * width + i] = back * skip[at + i];
        back *= norm[at + i];
      }
      dz[i] = g * y * slope;
      grad[i] = y * gate;
      dh[i] = back;
      sum += back;
      along += back * unit;
    }
    sum /= width, along /= width;
#pragma omp simd
    for (int64_t i = 0; i < width; i++) dh[i] = scale * (dh[i] - sum - (h[i] - mean) * scale * along);
  }
  if (SKIP) add(norm_sums, d_norm), add(skip_sums, d_skip);
}

// Where the rows of a few sequences stand that are convolved: steps `first` to `last` of (B, L, E).
struct Steps {
  int64_t batch, length, width, kernel, first, last;
};

// a at step t of sequence b, or `before` it (B, K-1, E).
template <typename T>
const T *past(const Steps &s, const T *a, const T *before, int64_t b, int64_t t) {
  if (t >= 0) return a + (b * s.length + t) * s.width;
  return before + (b * (s.kernel - 1) + s.kernel - 1 + t) * s.width;
}

constexpr int64_t GROUP = 4;

// Vectors of whole groups.
template <typename T>
struct Groups {
  static constexpr int lanes = std::max<int>(GROUP, Vector<T>::lanes);
  typedef T type __attribute__((vector_size(lanes * sizeof(T))));
  static type load(const T *p) {
    type x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static void store(T *p, type x) { std::memcpy(p, &x, sizeof x); }

  // Of each group of 4 numbers, number I four times.
  template <int I, int... J>
  static type spread(type x, std::integer_sequence<int, J...>) {
#ifdef SHUFFLES
    return __builtin_shufflevector(x, x, (J / 4 * 4 + I)...);
#else
    type y;
    for (int j : {J...}) y[j] = x[j / 4 * 4 + I];
    return y;
#endif
  }
  template <int I>
  static type spread(type x) {
    return spread<I>(x, std::make_integer_sequence<int, lanes>());
  }

  // x times a matrix for each group, whose rows stand `row` apart.
  static type times(type x, const T *matrix, int64_t row) {
    return spread<0>(x) * load(matrix) + spread<1>(x) * load(matrix + row) +
           (spread<2>(x) * load(matrix + 2 * row) + spread<3>(x) * load(matrix + 3 * row));
  }

  static void add_outer(type x, type grad, T *slope, int64_t row) {
    store(slope, load(slope) + spread<0>(x) * grad);
    store(slope + row, load(slope + row) + spread<1>(x) * grad);
    store(slope + 2 * row, load(slope + 2 * row) + spread<2>(x) * grad);
    store(slope + 3 * row, load(slope + 3 * row) + spread<3>(x) * grad);
  }
};

// `maps` (3, 4, E): of each group, from its number i, to each of its numbers.
template <typename T>
void convolved_maps(const Steps &s, const T *a, const T *before, const T *taps, const T *bias, const T *maps, T *c,
                    T *q, T *k, T *v) {
  using G = Groups<T>;
  const int64_t E = s.width;
  std::vector<const T *> window(s.kernel);
  for (int64_t b = 0; b < s.batch; b++)
    for (int64_t t = s.first; t < s.last; t++) {
      for (int64_t j = 0; j < s.kernel; j++) window[j] = past(s, a, before, b, t - s.kernel + 1 + j);
      const int64_t at = (b * s.length + t) * E;
      T *now = c + at;
      std::copy_n(bias, E, now);
      for (int64_t j = 0; j < s.kernel; j++) {
        const T *x = window[j], *tap = taps + j * E;
#pragma omp simd
        for (int64_t e = 0; e < E; e++) now[e] += x[e] * tap[e];
      }
#pragma omp simd
      for (int64_t e = 0; e < E; e++) now[e] *= logistic(now[e]);
      for (int64_t e = 0; e < E; e += G::lanes) {
        const auto x = G::load(now + e), y = G::load(a + at + e);
        G::store(q + at + e, G::times(x, maps + e, E));
        G::store(k + at + e, G::times(x, maps + 4 * E + e, E));
        G::store(v + at + e, G::times(y, maps + 8 * E + e, E));
      }
    }
}

// From the last of the steps to the first. `da` holds what else a gets, `back` (B, these steps, E) what else c gets.
// `turned` (3, 4, E) are the maps with each group's matrix transposed; `late` (B, K-1, E) the gradients of the raw
// convolution at the K-1 steps after the last, and in the end those from the first on.
template <typename T>
void convolved_maps_back(const Steps &s, const T *a, const T *before, const T *taps, const T *bias, const T *turned,
                         const T *c, const T *dc, const T *dq, const T *dk, const T *dv, const T *back, T *late, T *da,
                         T *d_before, T *d_taps, T *d_bias, T *d_maps) {
  using G = Groups<T>;
  const int64_t E = s.width, K = s.kernel, steps = s.last - s.first;
  std::vector<T> tap_sums(K * E), bias_sums(E), map_sums(12 * E), recent(K * E), nothing(E);
  std::vector<const T *> window(K);
  for (int64_t b = 0; b < s.batch; b++) {
    // Row t % K of `recent` is the gradient at step t; K rows of them reach one step.
    const auto row_of = [&](int64_t t) { return recent.data() + (t + K) % K * E; };
    T *kept = late + b * (K - 1) * E;
    for (int64_t j = 0; j < K - 1; j++) std::copy_n(kept + j * E, E, row_of(s.last + j));
    for (int64_t t = s.last - 1; t >= (s.first ? s.first : 1 - K); t--) {
      T *slope = row_of(t), *out = t >= 0 ? da + (b * s.length + t) * E : d_before + (b * (K - 1) + K - 1 + t) * E;
      if (t >= 0) {
        const int64_t at = (b * s.length + t) * E;
        for (int64_t j = 0; j < K; j++) window[j] = past(s, a, before, b, t - K + 1 + j);
        std::copy_n(bias, E, slope);
        for (int64_t j = 0; j < K; j++) {
          const T *x = window[j], *tap = taps + j * E;
#pragma omp simd
          for (int64_t e = 0; e < E; e++) slope[e] += x[e] * tap[e];
        }
#pragma omp simd
        for (int64_t e = 0; e < E; e++) {
          const T open = logistic(slope[e]);
          slope[e] = open + slope[e] * open * (1 - open);
        }
        const T *more = back + (b * steps + t - s.first) * E;
        for (int64_t e = 0; e < E; e += G::lanes) {
          const auto gq = G::load(dq + at + e), gk = G::load(dk + at + e), gv = G::load(dv + at + e);
          const auto x = G::load(c + at + e), y = G::load(a + at + e);
          const auto whole = G::load(more + e) + G::load(dc + at + e) + G::times(gq, turned + e, E) +
                             G::times(gk, turned + 4 * E + e, E);
          G::store(slope + e, G::load(slope + e) * whole);
          G::store(out + e, G::load(out + e) + G::times(gv, turned + 8 * E + e, E));
          G::add_outer(x, gq, map_sums.data() + e, E);
          G::add_outer(x, gk, map_sums.data() + 4 * E + e, E);
          G::add_outer(y, gv, map_sums.data() + 8 * E + e, E);
        }
        for (int64_t j = 0; j < K; j++) {
          const T *x = window[j];
          T *sum = tap_sums.data() + j * E;
#pragma omp simd
          for (int64_t e = 0; e < E; e++) sum[e] += x[e] * slope[e];
        }
        T *sum = bias_sums.data();
#pragma omp simd
        for (int64_t e = 0; e < E; e++) sum[e] += slope[e];
      } else {
        std::fill_n(slope, E, T(0));
        std::fill_n(out, E, T(0));
      }
      for (int64_t ahead = 0; ahead < K; ahead++) {
        const T *x = row_of(t + ahead), *tap = taps + (K - 1 - ahead) * E;
#pragma omp simd
        for (int64_t e = 0; e < E; e++) out[e] += x[e] * tap[e];
      }
    }
    if (s.first)
      for (int64_t j = 0; j < K - 1; j++) std::copy_n(row_of(s.first + j), E, kept + j * E);
  }
  add(tap_sums, d_taps), add(bias_sums, d_bias), add(map_sums, d_maps);
}

}  // namespace

#define ELEMENTWISE_INTERFACE(T)                                                                                       \
  extern "C" void swiglu_##T(int64_t rows, int64_t inner, const T *x, int64_t x_row, T *out) {                         \
    const FlushToZero flush;                                                                                           \
    swiglu<T>(rows, inner, x, x_row, out);                                                                             \
  }                                                                                                                    \
  extern "C" void swiglu_back_##T(int64_t rows, int64_t inner, const T *x, int64_t x_row, T *grad, T *dx) {            \
    const FlushToZero flush;                                                                                           \
    swiglu_back<T>(rows, inner, x, x_row, grad, dx);                                                                   \
  }                                                                                                                    \
  extern "C" void rms_norm_##T(int64_t rows, int64_t width, const T *x, const T *weight, double eps, T *out,           \
                               T *scales) {                                                                            \
    const FlushToZero flush;                                                                                           \
    rms_norm<T>(rows, width, x, weight, eps, out, scales);                                                             \
  }                                                                                                                    \
  extern "C" void rms_norm_back_##T(int64_t rows, int64_t width, const T *x, const T *weight, const T *scales,         \
                                    const T *grad, T *dx, T *d_weight) {                                               \
    const FlushToZero flush;                                                                                           \
    rms_norm_back<T>(rows, width, x, weight, scales, grad, dx, d_weight);                                              \
  }                                                                                                                    \
  extern "C" void norm_gate_##T(int64_t rows, int64_t heads, int64_t width, const T *h, const T *z, const T *norm,     \
                                const T *skip, const T *c, double eps, int silu, T *out) {                             \
    const FlushToZero flush;                                                                                           \
    auto form = silu ? (skip ? norm_gate<T, true, true> : norm_gate<T, true, false>)                                   \
                     : (skip ? norm_gate<T, false, true> : norm_gate<T, false, false>);                                \
    form(rows, heads, width, h, z, norm, skip, c, eps, out);                                                           \
  }                                                                                                                    \
  extern "C" void norm_gate_back_##T(int64_t rows, int64_t heads, int64_t width, const T *h, const T *z,               \
                                     const T *norm, const T *skip, const T *c, double eps, int silu, T *grad, T *dh,   \
                                     T *dz, T *dc, T *d_norm, T *d_skip) {                                             \
    const FlushToZero flush;                                                                                           \
    auto form = silu ? (skip ? norm_gate_back<T, true, true> : norm_gate_back<T, true, false>)                         \
                     : (skip ? norm_gate_back<T, false, true> : norm_gate_back<T, false, false>);                      \
    form(rows, heads, width, h, z, norm, skip, c, eps, grad, dh, dz, dc, d_norm, d_skip);                              \
  }                                                                                                                    \
  extern "C" void convolved_maps_##T(const Steps *steps, const T *a, const T *before, const T *taps, const T *bias,    \
                                     const T *maps, T *c, T *q, T *k, T *v) {                                          \
    const FlushToZero flush;                                                                                           \
    convolved_maps<T>(*steps, a, before, taps, bias, maps, c, q, k, v);                                                \
  }                                                                                                                    \
  extern "C" void convolved_maps_back_##T(const Steps *steps, const T *a, const T *before, const T *taps,              \
                                          const T *bias, const T *turned, const T *c, const T *dc, const T *dq,        \
                                          const T *dk, const T *dv, const T *back, T *late, T *da, T *d_before,        \
                                          T *d_taps, T *d_bias, T *d_maps) {                                           \
    const FlushToZero flush;                                                                                           \
    convolved_maps_back<T>(*steps, a, before, taps, bias, turned, c, dc, dq, dk, dv, back, late, da, d_before, d_taps, \
                           d_bias, d_maps);                                                                            \
  }

ELEMENTWISE_INTERFACE(float)
ELEMENTWISE_INTERFACE(double)
