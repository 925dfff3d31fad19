// The C interface: checks, the choice of kernel table (dtype and ISA are resolved here, once), and the plan's life.
#include "core/plan.h"

#include <stdio.h>
#include <string.h>

#include "algo/algorithms.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

struct Isa {
  const char* name;
  bool usable;
  const Kernels<float>* f32;
  const Kernels<double>* f64;
  const LineTable* lines;
};

#define CK_ISA_ROW(NAME, USABLE) {#NAME, USABLE, &NAME::kernels_float, &NAME::kernels_double, &NAME::lines_table}

#if defined(__x86_64__)
// The tables of avx512 but for the products on its bfloat16 unit.
const Kernels<float>& amx_kernels_float() {
  static const Kernels<float> kernels = [] {
    Kernels<float> table = avx512::kernels_float;
    table.isa = "amx";
    table.bf16x3 = amx::bf16_kernels;
    return table;
  }();
  return kernels;
}
#endif

// Best first; "odd" only ever runs where it is asked for.
const Isa* isa_table(int* count) {
  static const Isa table[] = {
#if defined(__x86_64__)
      {"amx", cpu_info().amx, &amx_kernels_float(), &avx512::kernels_double, &avx512::lines_table},
      CK_ISA_ROW(avx512, cpu_info().avx512),
      CK_ISA_ROW(avx2, cpu_info().avx2_fma),
      CK_ISA_ROW(baseline, cpu_info().sse42),
#elif defined(__aarch64__)
      CK_ISA_ROW(neon, cpu_info().neon),
#endif
      CK_ISA_ROW(odd, true),
  };
  *count = sizeof table / sizeof table[0];
  return table;
}

const Isa* find_isa(const char* name) {
  int count;
  const Isa* table = isa_table(&count);
  for (int i = 0; i < count; ++i)
    if (table[i].usable && strcmp(table[i].name, name) == 0) return &table[i];
  return nullptr;
}

struct Row {
  const char* name;
  MakeAlgorithm<float> f32;
  MakeAlgorithm<double> f64;
};

const Row algorithms[] = {
#define CK_ALGORITHM(NAME) {#NAME, make_##NAME<float>, make_##NAME<double>},
#include "algo/list.inc"
#undef CK_ALGORITHM
};

bool empty(const ck_spec& s) {
  const bool weight = s.direction == CK_GRAD_WEIGHT;
  const int64_t* extent = s.direction == CK_FORWARD ? s.out : weight ? s.kernel : s.in;
  const int64_t outer = weight ? s.co : s.n, inner = s.direction == CK_FORWARD ? s.co : s.ci;
  return outer == 0 || inner == 0 || extent[0] == 0 || extent[1] == 0 || extent[2] == 0;
}

}  // namespace

const LineTable* line_table(const char* isa) {
  const Isa* entry = find_isa(isa);
  return entry ? entry->lines : nullptr;
}
template <>
const Kernels<float>* find_kernels<float>(const char* isa) {
  const Isa* entry = find_isa(isa);
  return entry ? entry->f32 : nullptr;
}
template <>
const Kernels<double>* find_kernels<double>(const char* isa) {
  const Isa* entry = find_isa(isa);
  return entry ? entry->f64 : nullptr;
}

}  // namespace convkern

using namespace convkern;

extern "C" {

int ck_algorithm_count(void) { return sizeof algorithms / sizeof algorithms[0]; }
const char* ck_algorithm_name(int index) { return algorithms[index].name; }

const char* ck_isa_name(int index) {
  int count;
  const Isa* table = isa_table(&count);
  for (int i = 0; i < count; ++i)
    if (table[i].usable && index-- == 0) return table[i].name;
  return nullptr;
}

int ck_isa_supported(const char* name) { return find_isa(name) != nullptr; }

ck_status ck_plan_create(const ck_spec* spec, const char* algorithm, const char* isa, ck_plan** out,
                         const char** reason) {
  *reason = "";
  const Isa* entry = find_isa(isa);
  if (!entry) return *reason = "this ISA is not supported here", CK_UNSUPPORTED;
  for (const Row& row : algorithms) {
    if (strcmp(row.name, algorithm) != 0) continue;
    std::unique_ptr<ck_plan> plan(new (std::nothrow) ck_plan);
    if (!plan) return CK_OUT_OF_MEMORY;
    plan->spec = *spec;
    try {
      plan->algorithm =
          spec->dtype == CK_FLOAT32 ? row.f32(*spec, *entry->f32, reason) : row.f64(*spec, *entry->f64, reason);
    } catch (const std::bad_alloc&) {
      return CK_OUT_OF_MEMORY;
    }
    if (!plan->algorithm) return CK_UNSUPPORTED;
    *out = plan.release();
    return CK_OK;
  }
  return *reason = "there is no algorithm of this name", CK_UNSUPPORTED;
}

void ck_plan_destroy(ck_plan* plan) { delete plan; }

ck_status ck_plan_pack(ck_plan* plan, const ck_array* kernel, const void* bias) {
  const ck_spec& s = plan->spec;
  if (bias) {
    const int64_t count = s.direction == CK_FORWARD ? s.co : s.ci;
    const int64_t bytes = count * (s.dtype == CK_FLOAT32 ? 4 : 8);
    if (!plan->bias.allocate(bytes)) return CK_OUT_OF_MEMORY;
    memcpy(plan->bias.data, bias, bytes);
  }
  const ck_status status = plan->algorithm->pack(*kernel);
  plan->packed = status == CK_OK;
  return status;
}

ck_status ck_plan_run(const ck_plan* plan, const ck_operands* given) {
  ck_operands o = *given;
  if (!o.kernel.data && !plan->packed) return CK_INVALID;
  if (!o.kernel.data && !o.bias && plan->bias.data) o.bias = plan->bias.data;
  if (empty(plan->spec)) return CK_OK;
  return plan->algorithm->run(o);
}

int64_t ck_plan_workspace(const ck_plan* plan) { return plan->algorithm->workspace(); }
int64_t ck_plan_packed_bytes(const ck_plan* plan) {
  return plan->packed ? plan->algorithm->packed_bytes() + plan->bias.bytes : 0;
}
void ck_plan_detail(const ck_plan* plan, char* text, size_t size) { plan->algorithm->detail(text, size); }

// The names under which threadpoolctl's controller finds the pool in the loaded library.
__attribute__((visibility("default"))) int convkern_get_num_threads(void) { return num_threads(); }
__attribute__((visibility("default"))) void convkern_set_num_threads(int threads) { set_num_threads(threads); }

int64_t ck_fma_loop(const char* isa, int dtype, int64_t iterations) {
  const Isa* entry = find_isa(isa);
  if (!entry) return 0;
  const int threads = num_threads();
  int64_t done[kMaxThreads] = {};
  parallel_for(threads, threads, [&](int64_t task, int) {
    done[task] = dtype == CK_FLOAT32 ? entry->f32->peak(iterations) : entry->f64->peak(iterations);
  });
  int64_t total = 0;
  for (int i = 0; i < threads; ++i) total += done[i];
  return total;
}

int64_t ck_stream(const void* from, void* to, int64_t bytes, int64_t repeats) {
  const int threads = num_threads();
  for (int64_t r = 0; r < repeats; ++r)
    parallel_for(threads, threads, [&](int64_t task, int) {
      const int64_t begin = bytes * task / threads, end = bytes * (task + 1) / threads;
      memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, end - begin);
    });
  return 2 * bytes * repeats;
}

}  // extern "C"
