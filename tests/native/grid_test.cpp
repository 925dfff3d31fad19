// Problems from a text file (tests/native/grid.py writes it) through the C interface, against the oracle beside this
// file, by every algorithm that is to serve them, on every instruction set of the machine or on the one that
// CONVKERN_ISA names. `grid_test FILE` prints a line for each failure, what ran, and a count; it fails too where an
// algorithm never ran. A problem is one line:
//
//   direction dtype layout n groups ci co  in out kernel stride dilation pad  mode clamp lo hi bias residual data
//   algorithm=error ... # descriptor
//
// with z y x in each of the six groups. An error of 0 asks for equality, others are relative to max|sum|. An algorithm
// that is not listed has to refuse. Each listed one runs with plain and with packed weights, then with a NaN in the
// image, which has to reach the outputs whose window holds it and no others, then with an image of denormals, which
// count as zeros. Arrays lie between guard pages, and the caller's floating-point mode has to survive.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <type_traits>

#include "convkern.h"
#include "guarded.h"
#include "oracle.h"

namespace {

using oracle::Values;

const char* const directions[] = {"forward", "grad_input", "grad_weight"};
const char* const dtypes[] = {"float32", "float64"};
const char* const layouts[] = {"nchw", "nhwc"};
const char* const modes[] = {"zeros", "reflect", "replicate", "circular", "symmetric"};
enum Kind { plain, packed, with_nan, with_denormals };
const char* const kinds[] = {"plain weights", "packed weights", "a NaN in the image", "an image of denormals"};

struct Problem {
  ck_spec spec = {};
  bool bias = false, residual = false, integers = true;
  std::map<std::string, double> errors;  // of the algorithms that serve it
  std::string text;
};

int failures = 0;
std::map<std::string, std::map<std::string, int>> ran;  // [isa][algorithm]: results compared

void fail(const std::string& what) {
  if (++failures <= 200) std::printf("FAILED %s\n", what.c_str());
}

template <size_t N>
bool read_name(std::istream& line, const char* const (&names)[N], int32_t* index) {
  std::string word;
  line >> word;
  for (size_t i = 0; i < N; ++i)
    if (word == names[i]) return *index = static_cast<int32_t>(i), true;
  return false;
}

bool parse(const std::string& text, Problem* to) {
  std::istringstream line(text.substr(0, text.find('#')));
  ck_spec& s = to->spec;
  if (!read_name(line, directions, &s.direction) || !read_name(line, dtypes, &s.dtype)) return false;
  if (!read_name(line, layouts, &s.channels_last)) return false;
  line >> s.n >> s.groups >> s.ci >> s.co;
  for (int64_t* triple : {s.in, s.out, s.kernel, s.stride, s.dilation, s.pad})
    line >> triple[0] >> triple[1] >> triple[2];
  if (!read_name(line, modes, &s.pad_mode)) return false;
  std::string data, word;
  line >> s.clamp >> s.lo >> s.hi >> to->bias >> to->residual >> data;
  to->integers = data == "integers";
  if (!line || (data != "integers" && data != "uniform")) return false;
  while (line >> word) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) return false;
    to->errors[word.substr(0, equals)] = std::strtod(word.c_str() + equals + 1, nullptr);
  }
  s.max_workspace = int64_t{32} << 20;
  to->text = text.substr(std::min(text.size(), text.find('#') + 2));
  return !to->errors.empty();
}

// Integers from -4 to 4, or fractions in [-1, 1) that float32 holds: the same on every machine.
Values numbers(int64_t count, uint64_t seed, bool integers) {
  Values values(static_cast<size_t>(count));
  for (double& value : values) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const auto bits = static_cast<int64_t>(seed >> 40);
    value = integers ? static_cast<double>(bits % 9 - 4) : static_cast<double>(bits - (1 << 23)) / (1 << 23);
  }
  return values;
}

// A problem's arrays in double, and what is right; kept from line to line, as layouts and dtypes share them.
struct Truth {
  Values image, kernel, bias, residual, sums;
  std::vector<bool> reached;  // by the image's element number `marked`
  size_t marked = 0;
  double largest = 0;
};

const Truth& truth_of(const Problem& p) {
  static Truth t;
  static std::string known;
  ck_spec s = p.spec;
  s.dtype = s.channels_last = 0;
  std::string key(reinterpret_cast<const char*>(&s), sizeof s);
  key += p.integers ? 'i' : 'u';
  if (key == known) return t;
  known = key;
  const oracle::Sizes size = oracle::sizes(s);
  t.image = numbers(size.image, 1, p.integers);
  t.kernel = numbers(size.kernel, 2, p.integers);
  t.bias = numbers(s.direction == CK_FORWARD ? s.co : s.ci, 3, p.integers);
  t.residual = numbers(size.result, 4, p.integers);
  t.sums = oracle::sums(s, t.image, t.kernel);
  t.largest = 0;
  for (const double sum : t.sums) t.largest = std::max(t.largest, std::fabs(sum));
  t.marked = static_cast<size_t>(size.image / 2);
  t.reached.assign(t.sums.size(), false);
  oracle::each_term(s, [&](int64_t i, int64_t, int64_t r) {
    if (static_cast<size_t>(i) == t.marked) t.reached[static_cast<size_t>(r)] = true;
  });
  return t;
}

// An operand of the call: dense, channels before or after space, and where its element number i (n c z y x) lies.
struct Shape {
  int64_t extent[5];
  bool channels_last;

  int64_t size() const { return extent[0] * extent[1] * extent[2] * extent[3] * extent[4]; }
  void strides(int64_t (&to)[5]) const {
    int64_t step = 1;
    const int order[2][5] = {{4, 3, 2, 1, 0}, {1, 4, 3, 2, 0}};
    for (const int d : order[channels_last]) {
      to[d] = step;
      step *= extent[d];
    }
  }
  template <class F>
  void each(F&& f) const {  // f(element, place)
    int64_t stride[5], i[5], element = 0;
    strides(stride);
    for (i[0] = 0; i[0] < extent[0]; ++i[0])
      for (i[1] = 0; i[1] < extent[1]; ++i[1])
        for (i[2] = 0; i[2] < extent[2]; ++i[2])
          for (i[3] = 0; i[3] < extent[3]; ++i[3])
            for (i[4] = 0; i[4] < extent[4]; ++i[4])
              f(element++,
                i[0] * stride[0] + i[1] * stride[1] + i[2] * stride[2] + i[3] * stride[3] + i[4] * stride[4]);
  }
};

struct Shapes {
  Shape image, kernel, result;
};
Shapes shapes_of(const ck_spec& s) {
  const bool last = s.channels_last != 0;
  const Shape x = {{s.n, s.ci, s.in[0], s.in[1], s.in[2]}, last}, y = {{s.n, s.co, s.out[0], s.out[1], s.out[2]}, last};
  const Shape w = {{s.co, s.ci / s.groups, s.kernel[0], s.kernel[1], s.kernel[2]}, false};
  if (s.direction == CK_FORWARD) return {x, w, y};
  if (s.direction == CK_GRAD_INPUT) return {y, w, x};
  return {x, y, w};
}

template <class T>
ck_array put(Guarded& memory, bool at_end, const Shape& shape, const Values* values) {
  ck_array array;
  T* data = static_cast<T*>(memory.place(static_cast<size_t>(shape.size()) * sizeof(T), at_end));
  array.data = data;
  shape.strides(array.stride);
  if (values)
    shape.each([&](int64_t i, int64_t place) { data[place] = static_cast<T>((*values)[static_cast<size_t>(i)]); });
  return array;
}

bool denormals_are_kept() {
  volatile float smallest_normal = std::numeric_limits<float>::min(), half = 0.5F;
  volatile float denormal = smallest_normal * half;
  return denormal > 0 && denormal + denormal == smallest_normal;
}

template <class T>
double right_value(const Problem& p, const Truth& t, size_t i, int64_t channel, double sum) {
  if (p.bias) sum += t.bias[static_cast<size_t>(channel)];
  if (p.residual) sum += t.residual[i];
  if (p.spec.clamp) sum = std::min(std::max(sum, p.spec.lo), p.spec.hi);
  return sum;
}

// Empty, or what is wrong with the result.
template <class T>
std::string compare(const Problem& p, const Truth& t, const Shape& shape, const T* got, double error, Kind kind) {
  const double bound = error * t.largest;
  const int64_t pixels = shape.extent[2] * shape.extent[3] * shape.extent[4];
  std::ostringstream wrong;
  int count = 0;
  shape.each([&](int64_t element, int64_t place) {
    const auto i = static_cast<size_t>(element);
    const double value = static_cast<double>(got[place]);
    const double sum = kind == with_denormals ? 0 : t.sums[i];
    const double right = right_value<T>(p, t, i, element / pixels % shape.extent[1], sum);
    const bool spoiled = kind == with_nan && t.reached[i];
    const bool good = spoiled ? std::isnan(value) : std::fabs(value - right) <= bound;  // false for a stray NaN
    if (!good && count++ == 0) wrong << "element " << element << " is " << value << ", not " << (spoiled ? NAN : right);
  });
  if (count > 1) wrong << ", " << count << " of " << shape.size() << " elements";
  return wrong.str();
}

template <class T>
std::string run_once(const Problem& p, const Truth& t, const char* isa, const char* algorithm, double error,
                     Kind kind) {
  static Guarded image, kernel, result, residual, bias;
  const bool at_end = kind != packed;
  const Shapes shapes = shapes_of(p.spec);
  Values changed;
  if (kind == with_nan || kind == with_denormals) {
    changed = t.image;
    if (kind == with_nan) changed[t.marked] = NAN;
    const T tiny = std::numeric_limits<T>::min() / 64;
    if (kind == with_denormals) std::fill(changed.begin(), changed.end(), static_cast<double>(tiny));
  }
  ck_operands o = {};
  o.image = put<T>(image, at_end, shapes.image, changed.empty() ? &t.image : &changed);
  o.kernel = put<T>(kernel, at_end, shapes.kernel, &t.kernel);
  o.result = put<T>(result, at_end, shapes.result, nullptr);
  if (p.residual) o.residual = put<T>(residual, at_end, shapes.result, &t.residual);
  const Shape channels = {{1, static_cast<int64_t>(t.bias.size()), 1, 1, 1}, false};
  if (p.bias) o.bias = put<T>(bias, at_end, channels, &t.bias).data;

  ck_plan* plan = nullptr;
  const char* reason = "";
  if (ck_plan_create(&p.spec, algorithm, isa, &plan, &reason) != CK_OK) return std::string("refused: ") + reason;
  ck_status status = CK_OK;
  if (kind == packed) {
    status = ck_plan_pack(plan, &o.kernel, o.bias);
    kernel.place(0, true);  // what was packed must not be read again
    o.kernel = {};
    o.bias = nullptr;
  }
  const int rounding = kind == with_denormals ? FE_UPWARD : FE_TONEAREST;
  std::fesetround(rounding);
  if (status == CK_OK) status = ck_plan_run(plan, &o);
  const bool mode_kept = denormals_are_kept() && std::fegetround() == rounding;
  std::fesetround(FE_TONEAREST);
  ck_plan_destroy(plan);
  if (status != CK_OK) return "status " + std::to_string(status);
  if (!mode_kept) return "the caller's floating-point mode has changed";
  if (!result.intact()) return "memory beside the result was written";
  return compare(p, t, shapes.result, static_cast<const T*>(o.result.data), error, kind);
}

void check(const Problem& p, const char* isa, const char* algorithm) {
  const std::string name = p.text + ", " + algorithm + " on " + isa;
  const auto listed = p.errors.find(algorithm);
  if (listed == p.errors.end()) {
    ck_plan* plan = nullptr;
    const char* reason = "";
    const ck_status status = ck_plan_create(&p.spec, algorithm, isa, &plan, &reason);
    if (status == CK_OK) ck_plan_destroy(plan);
    if (status != CK_UNSUPPORTED || !*reason) fail(name + ": not refused");
    return;
  }
  const Truth& t = truth_of(p);
  for (const Kind kind : {plain, packed, with_nan, with_denormals}) {
    if (kind == packed && p.spec.direction == CK_GRAD_WEIGHT) continue;
    if (kind > packed && (!p.integers || t.image.empty())) continue;
    std::snprintf(doing, sizeof doing, "%s, %s", name.c_str(), kinds[kind]);
    const std::string wrong = p.spec.dtype == CK_FLOAT32 ? run_once<float>(p, t, isa, algorithm, listed->second, kind)
                                                         : run_once<double>(p, t, isa, algorithm, listed->second, kind);
    if (!wrong.empty()) fail(std::string(doing) + ": " + wrong);
    ++ran[isa][algorithm];
  }
}

// BLAS's product in plain loops, in column order.
template <class T>
void product(char* ta, char* tb, int* m, int* n, int* k, T* alpha, T* a, int* lda, T* b, int* ldb, T* beta, T* c,
             int* ldc) {
  const ptrdiff_t a_row = *ta == 'N' ? 1 : *lda, a_step = *ta == 'N' ? *lda : 1;
  const ptrdiff_t b_step = *tb == 'N' ? 1 : *ldb, b_column = *tb == 'N' ? *ldb : 1;
  for (ptrdiff_t j = 0; j < *n; ++j)
    for (ptrdiff_t i = 0; i < *m; ++i) {
      T sum = 0;
      for (ptrdiff_t l = 0; l < *k; ++l) sum += a[i * a_row + l * a_step] * b[l * b_step + j * b_column];
      T& to = c[i + j * *ldc];
      to = *alpha * sum + (*beta == 0 ? T(0) : *beta * to);
    }
}

}  // namespace

int main(int count, char** arguments) {
  std::ifstream file(count > 1 ? arguments[1] : "");
  if (!file) return std::printf("usage: grid_test FILE, with CONVKERN_ISA set for one instruction set only\n"), 1;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a crash must not take what was found before with it
  say_what_crashed();
  ck_set_blas(product<float>, product<double>);
  const char* named = std::getenv("CONVKERN_ISA");
  std::vector<std::string> isas;
  for (int i = 0; ck_isa_name(i); ++i)
    if (!named || !*named || std::string(named) == ck_isa_name(i)) isas.emplace_back(ck_isa_name(i));
  if (isas.empty())
    fail(std::string("CONVKERN_ISA is ") + named + ": not an instruction set of this build and machine");

  int problems = 0;
  for (std::string line; std::getline(file, line);) {
    Problem p;
    if (!parse(line, &p)) {
      fail("cannot read: " + line);
      continue;
    }
    ++problems;
    for (const std::string& isa : isas)
      for (int a = 0; a < ck_algorithm_count(); ++a) check(p, isa.c_str(), ck_algorithm_name(a));
  }
  int results = 0;
  for (const std::string& isa : isas) {
    std::printf("%s:", isa.c_str());
    for (int a = 0; a < ck_algorithm_count(); ++a) {
      const int n = ran[isa][ck_algorithm_name(a)];
      std::printf(" %s %d", ck_algorithm_name(a), n);
      results += n;
      if (n == 0) fail(std::string(ck_algorithm_name(a)) + " never ran on " + isa);
    }
    std::printf("\n");
  }
  std::printf("%d problems, %d results, %d failures\n", problems, results, failures);
  return failures == 0 ? 0 : 1;
}
