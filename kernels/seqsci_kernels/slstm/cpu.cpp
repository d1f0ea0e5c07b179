// The sLSTM recurrence of one head on a processor: all steps forward, all steps backward. Plain C interface.
//
// With y = c / n and s = m + ln n the recurrence of the paper is, at each step,
//   i, f, z, o = gates + bias + R^T h   the pre-activations
//   a = sigmoid(i - logsigmoid(f) - s)  the share of the new value
//   y = (1 - a) y + a tanh(z)
//   s = max(i, logsigmoid(f) + s) + ln(1 + e^-|i - logsigmoid(f) - s|)
//   h = sigmoid(o) y
// which needs no stabiliser and no division by n, and has three numbers of state in place of four.
//
// B rows, T steps, D width; a row of gates is i | f | z | o, 4 D numbers. Strides count numbers, not bytes.

#include <vector>

#include "simd.h"

namespace {

constexpr double EMPTY = -1e30;  // ln n of an empty state: finite, so that no difference is NaN

inline double log_one_plus(double x) { return std::log1p(x); }

// ln(1 + x) for x in [0, 1]: x times a polynomial, fitted at Chebyshev's points.
inline float log_one_plus(float x) {
  float p = -0.003176057f;
  p = p * x + 0.019542526f;
  p = p * x - 0.05637361f;
  p = p * x + 0.105436236f;
  p = p * x - 0.15269667f;
  p = p * x + 0.19663274f;
  p = p * x - 0.24951616f;
  p = p * x + 0.3332971f;
  p = p * x - 0.49999893f;
  p = p * x + 1.0f;
  return p * x;
}

template <typename T>
inline T magnitude(T x) {
  return x < 0 ? -x : x;
}

template <typename T>
void add(const T *x, const T *y, int64_t count, T *sum) {
#pragma omp simd
  for (int64_t n = 0; n < count; n++) sum[n] = x[n] + y[n];
}

// The sign bit: true for -0 too.
inline bool negative(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits < 0;
}

inline bool negative(double x) {
  int64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits < 0;
}

// SHARE is a, or a - 1 where a > 1/2: so neither a nor 1 - a loses its small digits.
enum Saved { SHARE, VALUE, OUTPUT, FORGET_SLOPE, CELL, SAVED };  // each B x D, at each step

template <typename T>
void step(const T *gates, int64_t rows, int64_t width, T *hidden, T *cell, T *log_norm, T *saved) {
  const int64_t size = rows * width;
  for (int64_t b = 0; b < rows; b++) {
    const T *gi = gates + b * 4 * width, *gf = gi + width, *gz = gf + width, *go = gz + width;
    T *h = hidden + b * width, *y = cell + b * width, *s = log_norm + b * width, *keep = saved + b * width;
#pragma omp simd
    for (int64_t d = 0; d < width; d++) {
      T f = gf[d], e = exponential(-magnitude(f)), inverse = 1 / (1 + e);
      T log_f = (f < 0 ? f : 0) - log_one_plus(e);
      T old = log_f + s[d], u = gi[d] - old;
      T w = exponential(-magnitude(u)), part = 1 / (1 + w), rest = w * part;
      T share = u < 0 ? rest : part, remain = u < 0 ? part : rest;
      T ez = exponential(-2 * magnitude(gz[d])), tanh = (1 - ez) / (1 + ez);
      T value = gz[d] < 0 ? -tanh : tanh;
      T output = 1 / (1 + exponential(-go[d]));
      T now = remain * y[d] + share * value;
      s[d] = (u < 0 ? old : gi[d]) + log_one_plus(w);
      y[d] = now;
      h[d] = output * now;
      keep[SHARE * size + d] = u < 0 ? share : -remain;
      keep[VALUE * size + d] = value;
      keep[OUTPUT * size + d] = output;
      keep[FORGET_SLOPE * size + d] = (f < 0 ? T(1) : e) * inverse;
      keep[CELL * size + d] = now;
    }
  }
}

// Whether the state of a row is empty before step t.
inline bool fresh(const uint8_t *reset, int64_t row, int64_t t, int64_t steps, bool reversed) {
  if (!reset) return false;
  if (!reversed) return reset[row * steps + t];
  return t + 1 < steps && reset[row * steps + t + 1];
}

template <typename T>
void forward(int64_t B, int64_t steps, int64_t D, int reversed, const uint8_t *reset, const T *gates, int64_t gates_row,
             int64_t gates_step, const T *recurrent, const T *bias, const T *initial, int64_t state_row,
             int64_t state_kind, T *out, int64_t out_row, int64_t out_step, T *saved, T *final) {
  const int64_t size = B * D;
  std::vector<T> state(3 * size), now(4 * size), unsaved(saved ? 0 : SAVED * size);
  T *hidden = state.data(), *cell = hidden + size, *log_norm = cell + size;
  for (int kind = 0; kind < 3; kind++)
    for (int64_t b = 0; b < B; b++)
      std::copy_n(initial + kind * state_kind + b * state_row, D, hidden + kind * size + b * D);
  for (T *s = log_norm; s < log_norm + size; s++) *s = std::max(*s, T(EMPTY));
  for (int64_t k = 0; k < steps; k++) {
    const int64_t t = reversed ? steps - 1 - k : k;
    for (int64_t b = 0; b < B; b++)
      if (fresh(reset, b, t, steps, reversed)) {
        std::fill_n(hidden + b * D, D, T(0));
        std::fill_n(cell + b * D, D, T(0));
        std::fill_n(log_norm + b * D, D, T(EMPTY));
      }
    for (int64_t b = 0; b < B; b++) add(gates + b * gates_row + t * gates_step, bias, 4 * D, now.data() + b * 4 * D);
    Product<T>{hidden, D, 1, recurrent, 4 * D, now.data(), 4 * D, now.data(), 4 * D}.run(B, D, 4 * D);
    step(now.data(), B, D, hidden, cell, log_norm, saved ? saved + t * SAVED * size : unsaved.data());
    for (int64_t b = 0; b < B; b++) std::copy_n(hidden + b * D, D, out + b * out_row + t * out_step);
  }
  for (int kind = 0; kind < 3; kind++)
    for (int64_t b = 0; b < B; b++)
      std::copy_n(hidden + kind * size + b * D, D, final + kind * state_kind + b * state_row);
}

// Gradients of one step. In: those of h, y and s after it. Out: of the gates, and of y and s before it.
template <typename T>
void step_back(const T *saved, const T *cell_before, const T *hidden_grad, int64_t rows, int64_t width, T *cell_grad,
               T *log_norm_grad, T *gates_grad) {
  const int64_t size = rows * width;
  for (int64_t b = 0; b < rows; b++) {
    const T *keep = saved + b * width, *before = cell_before + b * width, *dh = hidden_grad + b * width;
    T *dy = cell_grad + b * width, *ds = log_norm_grad + b * width;
    T *gi = gates_grad + b * 4 * width, *gf = gi + width, *gz = gf + width, *go = gz + width;
#pragma omp simd
    for (int64_t d = 0; d < width; d++) {
      T share = keep[SHARE * size + d], z = keep[VALUE * size + d], o = keep[OUTPUT * size + d];
      T slope = keep[FORGET_SLOPE * size + d], y = keep[CELL * size + d];
      T a = negative(share) ? 1 + share : share, remain = negative(share) ? -share : 1 - share;
      T g = dy[d] + dh[d] * o;
      T du = g * (z - before[d]) * a * remain, old = ds[d] * remain - du;
      go[d] = dh[d] * y * o * (1 - o);
      gz[d] = g * a * (1 - z * z);
      gi[d] = ds[d] * a + du;
      gf[d] = old * slope;
      dy[d] = g * remain;
      ds[d] = old;
    }
  }
}

template <typename T>
void backward(int64_t B, int64_t steps, int64_t D, int reversed, const uint8_t *reset, const T *recurrent,
              const T *initial, int64_t state_row, int64_t state_kind, const T *out_grad, int64_t out_row, int64_t out_step,
              const T *saved, const T *final_grad, T *gates_grad, int64_t gates_row, int64_t gates_step,
              T *recurrent_grad, T *bias_grad, T *initial_grad) {
  const int64_t size = B * D, G = 4 * D;
  // The gradient of R is a product over all steps: done for some steps at a time, while they are in the cache.
  const int64_t chunk = std::max<int64_t>(1, 128 / B);
  std::vector<T> grads(3 * size), befores(chunk * size), gates(chunk * B * G), turned(G * D), first(size);
  T *dh = grads.data(), *dy = dh + size, *ds = dy + size;
  for (int64_t k = 0; k < D; k++)
    for (int64_t g = 0; g < G; g++) turned[g * D + k] = recurrent[k * G + g];
  for (int64_t b = 0; b < B; b++) {
    std::copy_n(initial + state_kind + b * state_row, D, first.data() + b * D);
    for (int kind = 0; kind < 3; kind++)
      std::copy_n(final_grad + kind * state_kind + b * state_row, D, dh + kind * size + b * D);
  }
  std::fill_n(recurrent_grad, D * G, T(0));
  std::fill_n(bias_grad, G, T(0));
  std::vector<T> cells(size);
  int64_t filled = 0;
  for (int64_t k = steps - 1; k >= 0; k--) {
    const int64_t t = reversed ? steps - 1 - k : k, before = reversed ? t + 1 : t - 1;
    T *hs = befores.data() + filled * size, *g = gates.data() + filled * B * G;
    const T *past = saved + before * SAVED * size, *cell_before = k ? past + CELL * size : first.data();
    if (k)
      for (int64_t j = 0; j < size; j++) hs[j] = past[OUTPUT * size + j] * past[CELL * size + j];
    else
      for (int64_t b = 0; b < B; b++) std::copy_n(initial + b * state_row, D, hs + b * D);
    bool any = false;
    for (int64_t b = 0; b < B; b++) {
      add(dh + b * D, out_grad + b * out_row + t * out_step, D, dh + b * D);
      if (fresh(reset, b, t, steps, reversed)) {
        any = true;
        std::fill_n(hs + b * D, D, T(0));
      }
    }
    if (any) {
      std::copy_n(cell_before, size, cells.data());
      for (int64_t b = 0; b < B; b++)
        if (fresh(reset, b, t, steps, reversed)) std::fill_n(cells.data() + b * D, D, T(0));
      cell_before = cells.data();
    }
    step_back(saved + t * SAVED * size, cell_before, dh, B, D, dy, ds, g);
    for (int64_t b = 0; b < B; b++) {
      std::copy_n(g + b * G, G, gates_grad + b * gates_row + t * gates_step);
      add(bias_grad, g + b * G, G, bias_grad);
    }
    Product<T>{g, G, 1, turned.data(), D, nullptr, 0, dh, D}.run(B, G, D);
    if (any)
      for (int64_t b = 0; b < B; b++)
        if (fresh(reset, b, t, steps, reversed))
          for (int kind = 0; kind < 3; kind++) std::fill_n(dh + kind * size + b * D, D, T(0));
    if (++filled == chunk || k == 0) {
      Product<T>{befores.data(), 1, D, gates.data(), G, recurrent_grad, G, recurrent_grad, G}.run(D, filled * B, G);
      filled = 0;
    }
  }
  for (int kind = 0; kind < 3; kind++)
    for (int64_t b = 0; b < B; b++)
      std::copy_n(dh + kind * size + b * D, D, initial_grad + kind * state_kind + b * state_row);
}

}  // namespace

#define SLSTM_INTERFACE(T)                                                                                             \
  extern "C" void slstm_forward_##T(                                                                                   \
      int64_t B, int64_t steps, int64_t D, int reversed, const uint8_t *reset, const T *gates, int64_t gates_row,      \
      int64_t gates_step, const T *recurrent, const T *bias, const T *initial, int64_t state_row, int64_t state_kind,  \
      T *out, int64_t out_row, int64_t out_step, T *saved, T *final) {                                                 \
    forward<T>(B, steps, D, reversed, reset, gates, gates_row, gates_step, recurrent, bias, initial, state_row,        \
               state_kind, out, out_row, out_step, saved, final);                                                      \
  }                                                                                                                    \
  extern "C" void slstm_backward_##T(                                                                                  \
      int64_t B, int64_t steps, int64_t D, int reversed, const uint8_t *reset, const T *recurrent, const T *initial,   \
      int64_t state_row, int64_t state_kind, const T *out_grad, int64_t out_row, int64_t out_step, const T *saved,     \
      const T *final_grad, T *gates_grad, int64_t gates_row, int64_t gates_step, T *recurrent_grad, T *bias_grad,      \
      T *initial_grad) {                                                                                               \
    backward<T>(B, steps, D, reversed, reset, recurrent, initial, state_row, state_kind, out_grad, out_row, out_step,  \
                saved, final_grad, gates_grad, gates_row, gates_step, recurrent_grad, bias_grad, initial_grad);        \
  }

SLSTM_INTERFACE(float)
SLSTM_INTERFACE(double)
