// The mLSTM in chunks on a processor, one (sequence, head) pair after another. Plain C interface.
//
// Equations and names are those of chunkwise.py. Within a chunk b_t is the sum of log f up to and with t,
// s_t = log i_t - b_t, u_t = max(m before the chunk, s_0 .. s_t); step t reads the pair written at j <= t with weight
// exp(s_j - u_t) and the state before the chunk with weight exp(m before - u_t) ("carries"); in the state after it,
// step j has weight exp(s_j - u_last) ("writes"). Of weights and scores only the lower triangle is computed.
//
// Gates and the sums of their gradients are float64: they cancel, and they are few. The backward pass runs the states
// again, for one pair at a time, and holds them transposed, (V, K), as its products read them.

#include <vector>

#include "simd.h"

template <typename T>
struct View {  // (B, H, S, width): strides count numbers, the last is 1
  T *at;
  int64_t row, head, step;
};

template <typename T>
struct Problem {
  int64_t heads, steps, key, value, chunk, normalize;
  double scale, eps;
  const int64_t *ends;  // of packed sequences, 0 first; or null
  View<T> q, k, v, h, r, log_input, log_forget;
  T *C, *n, *m, *C_end, *n_end, *m_end;  // (N, H, K, V), (N, H, K), (N, H)
  // Of the backward pass alone; gradients of the state after the last step may be null.
  View<T> dh, dq, dk, dv, d_input, d_forget;
  T *dC_end, *dn_end, *dm_end, *dC, *dn, *dm;
};

namespace {

constexpr double RANGE = 80;  // as in reference.py
constexpr int64_t R = 8;      // rows of a block of a triangular product

template <typename T>
constexpr T LEAST = sizeof(T) == 4 ? -87 : -700;  // log of the least weight that is not 0

inline int64_t whole(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

template <typename T>
T dot(const T *x, const T *y, int64_t count) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; i++) sum += x[i] * y[i];
  return sum;
}

template <typename T>
void scaled(const T *x, T factor, int64_t count, T *out) {
#pragma omp simd
  for (int64_t i = 0; i < count; i++) out[i] = factor * x[i];
}

template <typename T>
void add_scaled(const T *x, T factor, int64_t count, T *out) {
#pragma omp simd
  for (int64_t i = 0; i < count; i++) out[i] += factor * x[i];
}

// Zeros, at the start of a cache line.
template <typename T>
class Block {
 public:
  explicit Block(int64_t count) : memory_(count + BYTES / sizeof(T)) {
    const auto past = reinterpret_cast<uintptr_t>(memory_.data()) % BYTES;
    start_ = memory_.data() + (past ? (BYTES - past) / sizeof(T) : 0);
  }
  operator T *() const { return start_; }

 private:
  std::vector<T> memory_;
  T *start_;
};

// One pair at a time; memory for one chunk of it. Widths K, V and L are filled up with zeros to whole vectors.
template <typename T>
class Walk {
 public:
  explicit Walk(const Problem<T> &problem)
      : p(problem), unit(std::max<int64_t>(R, Vector<T>::lanes)), K(whole(p.key, unit)), V(whole(p.value, unit)),
        L(whole(p.chunk, unit)), q(L * K), k(L * K), carried(L * K), written(L * K), turned_k(K * L), v(L * V),
        out(L * V), scores(L * L), state(K * V), sum(K), whole_s(L), part_s(L), carries(L), writes(L), weights(L),
        s(L), u(L), b(L), winner(L) {}

  void forward(int64_t pair) {
    begin(pair);
    load_state(p.C, p.n, p.m, state, sum);
    for (int64_t first = 0; first < length; first += p.chunk) {
      read_gates(first, true);
      load(p.q, K, p.key, q);
      load(p.k, K, p.key, k);
      load(p.v, V, p.value, v);
      weigh(q, carries, carried);
      weigh(k, writes, written);
      score();
      Product<T>{carried, K, 1, state, V, nullptr, 0, out, V}.run(count, p.key, V);
      T *r = at(p.r);
      for (int64_t t = 0; t < count; t++) {
        T *row = scores + t * L, total = 0;
        read_weights(t, weights);
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < bound(t); j++) total += row[j] *= weights[j];
        r[t * p.r.step] = total + dot<T>(carried + t * K, sum, K);
      }
      below(scores, v, V, out);
      for (int64_t t = 0; t < count; t++)
        scaled<T>(out + t * V, 1 / divisor(t, r[t * p.r.step]), p.value, at(p.h) + t * p.h.step);
      const T keep = carries[count - 1];
      Product<T>{written, 1, K, v, V, state, V, state, V, keep}.run(p.key, count, V);
      add_rows(written, nullptr, keep, sum);
      m = m_after;
    }
    for (int64_t i = 0; i < p.key; i++) std::copy_n(state + i * V, p.value, p.C_end + (pair * p.key + i) * p.value);
    std::copy_n(sum + 0, p.key, p.n_end + pair * p.key);
    p.m_end[pair] = static_cast<T>(m);
  }

 protected:
  const Problem<T> &p;
  const int64_t unit, K, V, L;
  Block<T> q, k, carried, written, turned_k, v, out, scores, state, sum;  // (L, K), .., (K, L), (L, V), .., (L, L)
  Block<T> whole_s, part_s, carries, writes, weights;
  Block<double> s, u, b;
  Block<int64_t> winner;  // the step of the chunk whose s is u, or -1 for the state before it
  int64_t pair, row, head, start, length, first, count;
  double m, m_after;

  void begin(int64_t number) {
    pair = number, row = pair / p.heads, head = pair % p.heads;
    start = p.ends ? p.ends[row] : 0;
    length = p.ends ? p.ends[row + 1] - start : p.steps;
    row = p.ends ? 0 : row;
  }

  // Where the chunk stands in a tensor.
  T *at(const View<T> &x) const { return x.at + row * x.row + head * x.head + (start + first) * x.step; }

  // So many columns of row t of a triangle are computed, those beyond t as zeros.
  int64_t bound(int64_t t) const { return whole(t + 1, unit); }

  void load_state(const T *C, const T *n, const T *unit_of, T *into, T *sums) {
    for (int64_t i = 0; i < p.key; i++) std::copy_n(C + (pair * p.key + i) * p.value, p.value, into + i * V);
    std::copy_n(n + pair * p.key, p.key, sums);
    m = unit_of[pair];
  }

  void load(const View<T> &x, int64_t width, int64_t real, T *into) const {
    const T *from = at(x);
    for (int64_t t = 0; t < count; t++) std::copy_n(from + t * x.step, real, into + t * width);
    std::fill_n(into + count * width, (L - count) * width, T(0));
  }

  // Of the chunk that begins at `from`, after m; `m_after` it.
  void read_gates(int64_t from, bool all) {
    first = from, count = std::min(p.chunk, length - first);
    const T *log_i = at(p.log_input), *log_f = at(p.log_forget);
    double past = 0, highest = -1e300;
    int64_t best = -1;
    for (int64_t t = 0; t < count; t++) {
      past += log_f[t * p.log_forget.step];
      const double now = log_i[t * p.log_input.step] - past;
      if (now >= highest) highest = now, best = t;
      b[t] = past, s[t] = now, u[t] = std::max(highest, m);
      winner[t] = m >= highest ? -1 : best;
      // Whole and broken parts apart: differences of whole numbers are exact, however large both are.
      whole_s[t] = static_cast<T>(std::nearbyint(now));
      part_s[t] = static_cast<T>(now - std::nearbyint(now));
    }
    for (int64_t t = 0; t < count; t++) {
      writes[t] = static_cast<T>(std::exp(s[t] - u[count - 1]));
      if (all || t == count - 1) carries[t] = static_cast<T>(std::exp(m - u[t]));
    }
    m_after = std::max(highest, m) + past;
  }

  // By what a numerator is divided, where the sum of its scores is r; queries come without their scale.
  T divisor(int64_t t, T r) const {
    const T size = std::abs(r), least = one(t);
    return p.normalize ? std::max(size, least) + static_cast<T>(p.eps / p.scale) : least;
  }

  T one(int64_t t) const {
    const double log = std::min(std::max(-b[t] - u[t], -RANGE), RANGE);
    return static_cast<T>(std::exp(log) / p.scale);
  }

  void weigh(const T *x, const T *weights, T *into) const {
    for (int64_t t = 0; t < count; t++) scaled(x + t * K, weights[t], K, into + t * K);
  }

  // Queries times keys.
  void score() {
    transpose<T>(k, K, L, K, turned_k, L);
    for (int64_t t = 0; t < count; t += R)
      Product<T>{q + t * K, K, 1, turned_k, L, nullptr, 0, scores + t * L, L}.run(R, p.key, bound(t + R - 1));
  }

  // Row t of the weights, zeros beyond t.
  void read_weights(int64_t t, T *into) const {
    const T whole_u = static_cast<T>(std::nearbyint(u[t])), part_u = static_cast<T>(u[t] - std::nearbyint(u[t]));
    const T *ws = whole_s, *ps = part_s;
    const int32_t last = static_cast<int32_t>(t), end = static_cast<int32_t>(bound(t));
#pragma omp simd
    for (int32_t j = 0; j < end; j++) {
      const T x = (ws[j] - whole_u) + ps[j] - part_u, weight = exponential(x);
      into[j] = j <= last && x > LEAST<T> ? weight : T(0);
    }
  }

  // out += lower triangle (L, L) times x (L, width).
  void below(const T *triangle, const T *x, int64_t width, T *into) const {
    for (int64_t t = 0; t < count; t += R) {
      T *rows = into + t * width;
      Product<T>{triangle + t * L, L, 1, x, width, rows, width, rows, width}.run(R, std::min(t + R, L), width);
    }
  }

  // out += transposed lower triangle times x.
  void above(const T *triangle, const T *x, int64_t width, T *into) const {
    for (int64_t j = 0; j < count; j += R) {
      T *rows = into + j * width;
      Product<T>{triangle + j * L + j, 1, L, x + j * width, width, rows, width, rows, width}.run(R, count - j, width);
    }
  }

  // sums = keep * sums + the sum of rows (count, K), each times a factor.
  void add_rows(const T *rows, const T *factors, T keep, T *sums) const {
    scaled<T>(sums, keep, K, sums);
    for (int64_t t = 0; t < count; t++) add_scaled<T>(rows + t * K, factors ? factors[t] : T(1), K, sums);
  }
};

template <typename T>
class WalkBack : public Walk<T> {
  using Base = Walk<T>;
  using Base::p, Base::K, Base::V, Base::L, Base::q, Base::k, Base::v, Base::carried, Base::written, Base::scores;
  using Base::carries, Base::writes, Base::weights, Base::count, Base::first, Base::length, Base::pair, Base::m;
  using Base::at, Base::bound, Base::winner;

 public:
  explicit WalkBack(const Problem<T> &problem)
      : Base(problem), turned_v(V * L), dn(L * V), dscores(L * L), later(K * V), turned_later(V * K), later_sum(K),
        grad(L * std::max(K, V)), columns(L), dr(L), read(L), wrote(L) {}

  void backward(int64_t number) {
    this->begin(number);
    const int64_t chunks = (length + p.chunk - 1) / p.chunk;
    run_states(chunks);
    load_later();
    const bool units = p.eps != 0 || p.dC_end || p.dn_end || p.dm_end;
    input_slopes.assign(length, 0), forget_slopes.assign(length, 0), unit_slopes.assign(length, 0);
    for (int64_t c = chunks - 1; c >= 0; c--) {
      m = units_before[c];
      this->read_gates(c * p.chunk, true);
      load_chunk();
      chunk_back(states.data() + c * (K * V + K));
    }
    transpose<T>(later, V, K, V, turned_later, K);
    double dm = crossing(states.data());
    if (units) dm += through_maxima(chunks);
    first = 0;
    T *di = at(p.d_input), *df = at(p.d_forget);
    for (int64_t t = 0; t < length; t++) {
      di[t * p.d_input.step] = static_cast<T>(input_slopes[t]);
      df[t * p.d_forget.step] = static_cast<T>(forget_slopes[t]);
    }
    for (int64_t i = 0; i < p.key; i++) std::copy_n(later + i * V, p.value, p.dC + (pair * p.key + i) * p.value);
    std::copy_n(later_sum + 0, p.key, p.dn + pair * p.key);
    p.dm[pair] = static_cast<T>(dm);
  }

 private:
  Block<T> turned_v, dn, dscores, later, turned_later, later_sum, grad, columns, dr;
  Block<double> read, wrote;
  std::vector<T> states;  // before each chunk: C transposed (V, K), n (K)
  std::vector<double> units_before, input_slopes, forget_slopes, unit_slopes;

  void run_states(int64_t chunks) {
    const int64_t size = K * V + K;
    states.resize(chunks * size), units_before.resize(chunks);
    T *now = states.data();
    this->load_state(p.C, p.n, p.m, later, now + K * V);
    transpose<T>(later, V, K, V, now, K);
    for (int64_t c = 0; c < chunks; c++, now += size) {
      units_before[c] = m;
      if (c + 1 == chunks) return;
      this->read_gates(c * p.chunk, false);
      this->load(p.k, K, p.key, k);
      this->load(p.v, V, p.value, v);
      this->weigh(k, writes, written);
      const T keep = carries[count - 1];
      Product<T>{v, 1, V, written, K, now, K, now + size, K, keep}.run(p.value, count, K);
      std::copy_n(now + K * V, K, now + size + K * V);
      this->add_rows(written, nullptr, keep, now + size + K * V);
      m = this->m_after;
    }
  }

  // Gradients of the state after the last step.
  void load_later() {
    std::fill_n(later + 0, K * V, T(0));
    std::fill_n(later_sum + 0, K, T(0));
    if (p.dC_end)
      for (int64_t i = 0; i < p.key; i++) std::copy_n(p.dC_end + (pair * p.key + i) * p.value, p.value, later + i * V);
    if (p.dn_end) std::copy_n(p.dn_end + pair * p.key, p.key, later_sum + 0);
  }

  // With dn = dh / divisor and the gradient of r through the divisor.
  void load_chunk() {
    this->load(p.q, K, p.key, q);
    this->load(p.k, K, p.key, k);
    this->load(p.v, V, p.value, v);
    this->load(p.dh, V, p.value, dn);
    this->weigh(q, carries, carried);
    this->weigh(k, writes, written);
    const T *h = at(p.h), *r = at(p.r);
    for (int64_t t = 0; t < count; t++) {
      const T sum = r[t * p.r.step];
      scaled<T>(dn + t * V, 1 / this->divisor(t, sum), V, dn + t * V);
      const T slope = -dot<T>(dn + t * V, h + t * p.h.step, p.value);
      unit_slopes[first + t] = p.eps / p.scale * slope;
      const bool through = p.normalize && std::abs(sum) >= this->one(t);
      dr[t] = through ? (sum < 0 ? -slope : sum > 0 ? slope : T(0)) : T(0);
    }
  }

  void chunk_back(const T *state) {
    const T keep = carries[count - 1];
    scores_back();
    transpose<T>(later, V, K, V, turned_later, K);
    // dv
    Product<T>{written, K, 1, later, V, nullptr, 0, grad, V}.run(count, p.key, V);
    this->above(scores, dn, V, grad);
    store(p.dv, V, p.value);
    // dq
    Product<T>{dn, V, 1, state, K, nullptr, 0, grad, K}.run(count, p.value, K);
    finish_rows(carries, state + K * V, dr, q, read);
    this->below(dscores, k, K, grad);
    store(p.dq, K, p.key);
    // dk
    Product<T>{v, V, 1, turned_later, K, nullptr, 0, grad, K}.run(count, p.value, K);
    finish_rows(writes, later_sum, nullptr, k, wrote);
    this->above(dscores, q, K, grad);
    store(p.dk, K, p.key);
    gates_between(keep * crossing(state));
    Product<T>{carried, 1, K, dn, V, later, V, later, V, keep}.run(p.key, count, V);
    this->add_rows(carried, dr, keep, later_sum);
  }

  // Scores become weighted ones; gradients of raw ones; and the gates of the weights between.
  void scores_back() {
    this->score();
    transpose<T>(v, V, L, V, turned_v, L);
    for (int64_t t = 0; t < count; t += R)
      Product<T>{dn + t * V, V, 1, turned_v, L, nullptr, 0, dscores + t * L, L}.run(R, p.value, bound(t + R - 1));
    std::fill_n(columns + 0, L, T(0));
    for (int64_t t = count - 1; t >= 0; t--) {
      T *score = scores + t * L, *slope = dscores + t * L, *column = columns, *weight = weights, sum = 0;
      const T more = dr[t];
      this->read_weights(t, weight);
#pragma omp simd
      for (int64_t j = 0; j < bound(t); j++) {
        slope[j] = (slope[j] + more) * weight[j];
        column[j] += score[j] * slope[j];
        score[j] *= weight[j];
      }
      // log f_t is in the weights of all pairs that were written before t and are read at t or later.
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < t; j++) sum += column[j];
      forget_slopes[first + t] = sum;
    }
    for (int64_t j = 0; j < count; j++) input_slopes[first + j] = columns[j];
  }

  // Rows of `grad` + factor * sum, times their weights; and what each then is along its row of x.
  void finish_rows(const T *weights_of, const T *sum, const T *factors, const T *x, double *along) {
    for (int64_t t = 0; t < count; t++) {
      T *g = grad + t * K;
      add_scaled<T>(sum, factors ? factors[t] : T(1), K, g);
      scaled<T>(g, weights_of[t], K, g);
      along[t] = dot<T>(x + t * K, g, K);
    }
  }

  void store(const View<T> &x, int64_t width, int64_t real) {
    T *into = at(x);
    for (int64_t t = 0; t < count; t++) std::copy_n(grad + t * width, real, into + t * x.step);
  }

  // The state before a chunk along its gradient, `later`.
  double crossing(const T *state) const {
    double sum = dot<T>(later_sum, state + K * V, K);
    for (int64_t j = 0; j < p.value; j++) sum += dot<T>(turned_later + j * K, state + j * K, K);
    return sum;
  }

  // Gates from what a step reads of the state before, writes into that after, and what passes by.
  void gates_between(double passing) {
    double before = 0, after = 0;
    for (int64_t t = 0; t < count; t++) {
      input_slopes[first + t] += wrote[t];
      forget_slopes[first + t] += before + passing;
      before += wrote[t];
    }
    for (int64_t t = count - 1; t >= 0; t--) forget_slopes[first + t] += after += read[t];
  }

  // Passes the gradients of every m, and of the last, to the gates, and returns that of the first.
  // m_t = max over j <= t of log i_j + log f_{j+1} + .. + log f_t, or of m before the chunk + log f_0 + .. .
  double through_maxima(int64_t chunks) {
    double now = end_of_unit();
    for (int64_t c = chunks - 1; c >= 0; c--) {
      m = units_before[c];
      this->read_gates(c * p.chunk, false);
      double *of_unit = unit_slopes.data() + first, *of_input = input_slopes.data() + first, open = 0, past = 0;
      of_unit[count - 1] += now;
      for (int64_t t = count - 1; t >= 0; t--) wrote[t] = 0;
      for (int64_t t = 0; t < count; t++) (winner[t] < 0 ? past : wrote[winner[t]]) += of_unit[t];
      for (int64_t t = count - 1; t >= 0; t--) {
        of_input[t] += wrote[t];
        open += of_unit[t] - wrote[t];
        forget_slopes[first + t] += open;
      }
      now = past;
    }
    return now;
  }

  // m is only a unit: of C exp(m) all is known, and what is left of its gradient is this.
  double end_of_unit() const {
    double left = p.dm_end ? p.dm_end[pair] : 0;
    const int64_t size = p.key * p.value;
    if (p.dC_end)
      for (int64_t i = pair * size; i < (pair + 1) * size; i++) left -= static_cast<double>(p.dC_end[i]) * p.C_end[i];
    if (p.dn_end) left -= dot<T>(p.dn_end + pair * p.key, p.n_end + pair * p.key, p.key);
    return left;
  }
};

}  // namespace

// Pairs `from` to `to` of N * H; another thread may have others.
#define MLSTM_INTERFACE(T)                                                                             \
  extern "C" void mlstm_forward_##T(const Problem<T> *problem, int64_t from, int64_t to) {             \
    const FlushToZero flush;                                                                           \
    Walk<T> walk(*problem);                                                                            \
    for (int64_t pair = from; pair < to; pair++) walk.forward(pair);                                   \
  }                                                                                                    \
  extern "C" void mlstm_backward_##T(const Problem<T> *problem, int64_t from, int64_t to) {            \
    const FlushToZero flush;                                                                           \
    WalkBack<T> walk(*problem);                                                                        \
    for (int64_t pair = from; pair < to; pair++) walk.backward(pair);                                  \
  }

MLSTM_INTERFACE(float)
MLSTM_INTERFACE(double)
