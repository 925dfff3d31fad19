# cython: language_level=3, freethreading_compatible=True, boundscheck=False, wraparound=False, cdivision=True
"""The compiled core, bound thinly: NumPy arrays become strided views, the GIL is released, statuses become exceptions.

Knows no dispatch and no defaults; ``convkern.plan`` and ``convkern.api`` call it with everything resolved.
"""

from libc.stdint cimport int32_t, int64_t

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

cimport numpy as cnp

cnp.import_array()


cdef extern from "convkern.h" nogil:
    ctypedef enum ck_status:
        CK_OK, CK_OUT_OF_MEMORY, CK_UNSUPPORTED, CK_INVALID
    ctypedef struct ck_spec:
        int32_t dtype, direction, pad_mode, channels_last
        int64_t n, groups, ci, co
        int64_t[3] out, kernel, stride, dilation, pad
        int64_t[3] input "in"
        int32_t clamp
        double lo, hi
        int64_t max_workspace
    ctypedef struct ck_array:
        void* data
        int64_t[5] stride
    ctypedef struct ck_operands:
        ck_array image, kernel, result, residual
        const void* bias
    ctypedef struct ck_plan:
        pass
    ctypedef void (*ck_sgemm)(char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*, float*, int*)
    ctypedef void (*ck_dgemm)(char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*)
    int ck_algorithm_count()
    const char* ck_algorithm_name(int index)
    const char* ck_isa_name(int index)
    bint ck_isa_supported(const char* name)
    ck_status ck_plan_create(const ck_spec*, const char* algorithm, const char* isa, ck_plan**, const char** reason)
    void ck_plan_destroy(ck_plan*)
    ck_status ck_plan_pack(ck_plan*, const ck_array* kernel, const void* bias)
    ck_status ck_plan_run(const ck_plan*, const ck_operands*)
    int64_t ck_plan_workspace(const ck_plan*)
    int64_t ck_plan_packed_bytes(const ck_plan*)
    void ck_plan_detail(const ck_plan*, char* text, size_t size)
    void ck_set_blas(ck_sgemm, ck_dgemm)
    int64_t ck_fma_loop(const char* isa, int dtype, int64_t iterations)
    int64_t ck_stream(const void*, void*, int64_t bytes, int64_t repeats)

cdef extern from "runtime/pool.h" namespace "convkern" nogil:
    int c_default_threads "convkern::default_threads"()
    const char* c_thread_environment_error "convkern::thread_environment_error"()
    int c_num_threads "convkern::num_threads"()
    void c_set_num_threads "convkern::set_num_threads"(int)
    const int kMaxThreads

cdef extern from *:
    """
    #include "runtime/cpu.h"
    static const char* cpu_model(void) { return convkern::cpu_info().model.c_str(); }
    static int64_t cpu_cache(int level) {
      const convkern::CpuInfo& c = convkern::cpu_info();
      return level == 1 ? c.l1 : level == 2 ? c.l2 : c.l3;
    }
    static int cpu_has(int feature) {
      const convkern::CpuInfo& c = convkern::cpu_info();
      const bool has[] = {c.sse42, c.avx2_fma, c.avx512, c.halves, c.amx, c.neon};
      return has[feature];
    }
    """
    const char* cpu_model()
    int64_t cpu_cache(int level)
    bint cpu_has(int feature)


_DIRECTIONS = ("forward", "grad_input", "grad_weight")
_PAD_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
_DTYPES = ("float32", "float64")
cdef str _active_isa = (<bytes>ck_isa_name(0)).decode()
cdef bint _blas_loaded = False


def algorithms():
    """Names of the compiled algorithms, best first, the reference last."""
    return tuple((<bytes>ck_algorithm_name(i)).decode() for i in range(ck_algorithm_count()))


def supported_isas():
    """Names of the instruction sets that this build has and this CPU runs, best first, the test-only "odd" last."""
    names = []
    while ck_isa_name(<int>len(names)) != NULL:
        names.append((<bytes>ck_isa_name(<int>len(names))).decode())
    return tuple(names)


def get_isa():
    """The instruction set that plans made now will use."""
    return _active_isa


def set_isa(str name not None):
    """Choose the instruction set of plans made from now on; ValueError if it is unknown or not supported here."""
    global _active_isa
    if not ck_isa_supported(name.encode()):
        raise ValueError(f"isa: {name!r} is not supported here; choose one of {', '.join(supported_isas())}")
    _active_isa = name


def default_num_threads():
    """Threads by the environment (CONVKERN_NUM_THREADS, OMP_NUM_THREADS), else by affinity and cgroup limits."""
    return c_default_threads()


def thread_environment_error():
    """What is wrong with CONVKERN_NUM_THREADS, or None."""
    cdef const char* text = c_thread_environment_error()
    return None if text == NULL else (<bytes>text).decode()


def get_num_threads():
    """Threads that a call may use."""
    return c_num_threads()


def set_num_threads(int n):
    """Set how many threads a call may use; ValueError outside 1 to 1024."""
    if n < 1 or n > kMaxThreads:
        raise ValueError(f"n: the number of threads must be between 1 and {kMaxThreads}, not {n}")
    c_set_num_threads(n)


def cpu_info():
    """Model, cache sizes in bytes (L1 data, L2, L3) and instruction sets of this CPU."""
    features = ("sse4.2", "avx2+fma", "avx512", "avx512 in halves", "amx-bf16", "neon")
    return {
        "model": (<bytes>cpu_model()).decode("utf-8", "replace"),
        "l1": cpu_cache(1),
        "l2": cpu_cache(2),
        "l3": cpu_cache(3),
        "features": tuple(name for i, name in enumerate(features) if cpu_has(i)),
    }


def fma_loop(str dtype not None, int64_t iterations):
    """Run multiply-adds in registers on all threads; the number of floating-point operations done."""
    cdef bytes isa = _active_isa.encode()
    cdef const char* name = isa
    cdef int kind = _DTYPES.index(dtype)
    cdef int64_t done
    with nogil:
        done = ck_fma_loop(name, kind, iterations)
    return done


def stream(source, target, int64_t repeats):
    """Copy one contiguous array to another of the same size on all threads, `repeats` times; bytes read and written."""
    cdef const unsigned char[::1] read = memoryview(source).cast("B")
    cdef unsigned char[::1] write = memoryview(target).cast("B")
    if read.shape[0] != write.shape[0] or read.shape[0] == 0:
        raise ValueError(f"target: needs as many bytes as source ({read.shape[0]} > 0), not {write.shape[0]}")
    cdef int64_t size = read.shape[0], moved
    with nogil:
        moved = ck_stream(&read[0], &write[0], size, repeats)
    return moved


cdef int _load_blas() except -1:
    """SciPy's own BLAS, looked up on first use so that importing convkern does not import SciPy."""
    global _blas_loaded
    if _blas_loaded:
        return 0
    from scipy.linalg import cython_blas

    pointers = []
    for name, scalar in (("sgemm", "float"), ("dgemm", "double")):
        capsule = cython_blas.__pyx_capi__[name]
        signature = (<bytes>PyCapsule_GetName(capsule)).decode()
        if signature.count("int *") != 6 or signature.count("*") != 13:
            raise ImportError(f"scipy.linalg.cython_blas.{name} has the signature {signature}, which convkern does not know")
        pointers.append(<size_t>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)))
    ck_set_blas(<ck_sgemm><void*><size_t>pointers[0], <ck_dgemm><void*><size_t>pointers[1])
    _blas_loaded = True
    return 0


cdef int _fill(int64_t* to, values, int64_t lead) except -1:
    """Spatial entries to the last places of three; `lead` in front of them."""
    cdef int n = len(values), i
    if n > 3:
        raise ValueError(f"at most 3 spatial dimensions, not {n}")
    for i in range(3):
        to[i] = lead if i < 3 - n else values[i - (3 - n)]
    return 0


cdef int _check(str name, cnp.ndarray a, int ndim, int typenum, const int64_t* shape, bint writeable) except -1:
    cdef int d
    if cnp.PyArray_TYPE(a) != typenum or not cnp.PyArray_ISNOTSWAPPED(a):
        raise TypeError(f"{name}: needs dtype {_DTYPES[typenum == cnp.NPY_FLOAT64]}, got {a.dtype}")
    if cnp.PyArray_NDIM(a) != ndim:
        raise ValueError(f"{name}: needs {ndim} dimensions, got shape {(<object>a).shape}")
    for d in range(ndim):
        if cnp.PyArray_DIM(a, d) != shape[d]:
            wanted = tuple([shape[i] for i in range(ndim)])
            raise ValueError(f"{name}: needs shape {wanted}, got {(<object>a).shape}")
        if cnp.PyArray_STRIDE(a, d) % cnp.PyArray_ITEMSIZE(a):
            raise ValueError(f"{name}: strides must be multiples of the item size, got {(<object>a).strides}")
    if not cnp.PyArray_ISALIGNED(a):
        raise ValueError(f"{name}: the data must be aligned")
    if writeable and not cnp.PyArray_ISWRITEABLE(a):
        raise ValueError(f"{name}: the array is read-only")
    return 0


cdef void _activation(cnp.ndarray a, int spatial, bint channels_last, ck_array* to) noexcept:
    cdef int64_t item = cnp.PyArray_ITEMSIZE(a)
    cdef int i
    to.data = cnp.PyArray_DATA(a)
    to.stride[0] = cnp.PyArray_STRIDE(a, 0) // item
    to.stride[1] = cnp.PyArray_STRIDE(a, spatial + 1 if channels_last else 1) // item
    for i in range(3):
        to.stride[2 + i] = 0
    for i in range(spatial):
        to.stride[5 - spatial + i] = cnp.PyArray_STRIDE(a, i + (1 if channels_last else 2)) // item


cdef object _allocate(int ndim, cnp.npy_intp* dims, int typenum):
    """A new array; a larger one starts on a cache line, which whole-vector loads and stores of the next layer like."""
    cdef cnp.npy_intp bytes = 4 if typenum == cnp.NPY_FLOAT32 else 8
    cdef int d
    for d in range(ndim):
        if dims[d] == 0 or bytes > (<cnp.npy_intp>1 << 60) // dims[d]:  # empty, or NumPy's to refuse
            return cnp.PyArray_EMPTY(ndim, dims, typenum, 0)
        bytes *= dims[d]
    if bytes < 16384:
        return cnp.PyArray_EMPTY(ndim, dims, typenum, 0)
    cdef cnp.npy_intp size = bytes + 63
    cdef cnp.ndarray memory = cnp.PyArray_EMPTY(1, &size, cnp.NPY_UINT8, 0)
    cdef char* start = <char*>cnp.PyArray_DATA(memory)
    start += (64 - <size_t>start % 64) % 64
    cdef cnp.ndarray out = cnp.PyArray_SimpleNewFromData(ndim, dims, typenum, start)
    cnp.set_array_base(out, memory)
    return out


cdef class Plan:
    """One convolution bound to an algorithm, an ISA and, once packed, its weights; immutable after that.

    Arguments are positional and resolved (see ``convkern.spec.Spec`` for their meaning); ValueError with the reason if
    the algorithm does not serve the problem.
    """

    cdef ck_plan* _plan
    cdef ck_spec _spec
    cdef int _spatial, _typenum
    cdef int64_t[5] _image_shape, _kernel_shape, _result_shape
    cdef int64_t _bias_length
    cdef bint _kernel_is_activation, _result_is_weight, _packed
    cdef readonly str algorithm
    cdef readonly str isa

    def __cinit__(self, str algorithm not None, str direction not None, str dtype not None, n, groups, ci, co, input,
                  output, kernel, stride, dilation, pad_low, str padding_mode not None, bint channels_last, clamp,
                  max_workspace, str isa=None):
        cdef ck_spec* s = &self._spec
        cdef const char* reason = NULL
        cdef bytes name = algorithm.encode(), isa_name
        cdef ck_status status
        self.algorithm, self.isa = algorithm, _active_isa if isa is None else isa
        isa_name = self.isa.encode()
        self._spatial = len(input)
        s.dtype = _DTYPES.index(dtype)
        s.direction = _DIRECTIONS.index(direction)
        s.pad_mode = _PAD_MODES.index(padding_mode)
        s.channels_last = channels_last
        s.n, s.groups, s.ci, s.co = n, groups, ci, co
        if s.groups < 1 or s.ci % s.groups or s.co % s.groups or s.n < 0:
            raise ValueError(f"groups: {groups} must divide the {ci} input and {co} output channels")
        if direction == "grad_input" and padding_mode != "zeros":
            raise ValueError(f"padding_mode: grad_input pads with zeros only, not {padding_mode!r}")
        _fill(s.input, input, 1)
        _fill(s.out, output, 1)
        _fill(s.kernel, kernel, 1)
        _fill(s.stride, stride, 1)
        _fill(s.dilation, dilation, 1)
        _fill(s.pad, pad_low, 0)
        for i in range(3):
            if s.stride[i] < 1 or s.dilation[i] < 1 or s.kernel[i] < 0 or s.input[i] < 0 or s.out[i] < 0:
                raise ValueError("stride and dilation must be at least 1, extents at least 0")
        s.clamp = clamp is not None
        if clamp is not None:
            s.lo, s.hi = clamp
        s.max_workspace = max_workspace
        self._typenum = cnp.NPY_FLOAT32 if s.dtype == 0 else cnp.NPY_FLOAT64
        self._set_shapes()
        if algorithm == "im2col":
            _load_blas()
        status = ck_plan_create(s, name, isa_name, &self._plan, &reason)
        if status == CK_OUT_OF_MEMORY:
            raise MemoryError()
        if status != CK_OK:
            raise ValueError(f"algorithm: {algorithm!r} does not serve this problem: {(<bytes>reason).decode()}")

    def __dealloc__(self):
        if self._plan != NULL:
            ck_plan_destroy(self._plan)

    cdef void _set_activation(self, int64_t* shape, int64_t channels, const int64_t* extent):
        cdef int i, first = 1 if self._spec.channels_last else 2
        shape[0] = self._spec.n
        shape[self._spatial + 1 if self._spec.channels_last else 1] = channels
        for i in range(self._spatial):
            shape[first + i] = extent[3 - self._spatial + i]

    cdef void _set_shapes(self):
        """The shapes that each operand must have, by direction."""
        cdef ck_spec* s = &self._spec
        cdef int64_t* weight
        cdef int i
        self._kernel_is_activation = self._result_is_weight = s.direction == 2
        self._bias_length = s.co if s.direction == 0 else s.ci if s.direction == 1 else -1
        if s.direction == 0:
            self._set_activation(self._image_shape, s.ci, s.input)
            self._set_activation(self._result_shape, s.co, s.out)
            weight = self._kernel_shape
        elif s.direction == 1:
            self._set_activation(self._image_shape, s.co, s.out)
            self._set_activation(self._result_shape, s.ci, s.input)
            weight = self._kernel_shape
        else:
            self._set_activation(self._image_shape, s.ci, s.input)
            self._set_activation(self._kernel_shape, s.co, s.out)
            weight = self._result_shape
        weight[0] = s.co
        weight[1] = s.ci // s.groups
        for i in range(self._spatial):
            weight[2 + i] = s.kernel[3 - self._spatial + i]

    @property
    def workspace_bytes(self):
        """Scratch memory of a run, all threads together, bytes."""
        return ck_plan_workspace(self._plan)

    @property
    def packed_bytes(self):
        """Memory of the packed weights and bias, bytes; 0 before pack()."""
        return ck_plan_packed_bytes(self._plan)

    @property
    def detail(self):
        """How the algorithm cuts this problem, in a line."""
        cdef char[256] text
        ck_plan_detail(self._plan, text, sizeof(text))
        return (<bytes>text).decode()

    cdef const void* _bias(self, bias) except? NULL:
        if bias is None:
            return NULL
        if not cnp.PyArray_Check(bias):
            raise TypeError(f"bias: needs a NumPy array, got {type(bias).__name__}")
        if self._bias_length < 0:
            raise ValueError("bias: a weight gradient has none")
        _check("bias", bias, 1, self._typenum, &self._bias_length, False)
        if cnp.PyArray_DIM(bias, 0) > 1 and cnp.PyArray_STRIDE(bias, 0) != cnp.PyArray_ITEMSIZE(bias):
            raise ValueError("bias: the array must be contiguous")
        return cnp.PyArray_DATA(bias)

    cdef int _operand(self, str name, a, const int64_t* shape, bint activation, bint writeable,
                      ck_array* to) except -1:
        if not cnp.PyArray_Check(a):
            raise TypeError(f"{name}: needs a NumPy array, got {type(a).__name__}")
        _check(name, a, self._spatial + 2, self._typenum, shape, writeable)
        _activation(a, self._spatial, activation and self._spec.channels_last, to)
        return 0

    def pack(self, weight, bias=None):
        """Keep a packed copy of the weights (OI and spatial order, any strides) and of the bias."""
        cdef ck_array kernel
        cdef const void* bias_data
        cdef ck_status status
        if self._packed or self._kernel_is_activation:
            raise ValueError("weight: this plan is packed already or has no weights to pack")
        self._operand("weight", weight, self._kernel_shape, False, False, &kernel)
        bias_data = self._bias(bias)
        with nogil:
            status = ck_plan_pack(self._plan, &kernel, bias_data)
        if status != CK_OK:
            raise MemoryError("weight: no memory for the packed copy")
        self._packed = True

    def run(self, image, weight, bias, residual, out):
        """Compute into `out` (allocated when None) and return it; shapes, dtypes and strides are checked."""
        cdef ck_operands o
        cdef ck_status status
        cdef int i
        cdef cnp.npy_intp[5] dims
        self._operand("image", image, self._image_shape, True, False, &o.image)
        if weight is None:
            if not self._packed:
                raise ValueError("weight: needed, because the plan holds no packed weights")
            o.kernel.data = NULL
            for i in range(5):
                o.kernel.stride[i] = 0
        else:
            self._operand("weight", weight, self._kernel_shape, self._kernel_is_activation, False, &o.kernel)
        o.bias = self._bias(bias)
        if out is None:
            for i in range(self._spatial + 2):
                dims[i] = self._result_shape[i]
            out = _allocate(self._spatial + 2, dims, self._typenum)
            _activation(out, self._spatial, self._spec.channels_last and not self._result_is_weight, &o.result)
        else:
            self._operand("out", out, self._result_shape, not self._result_is_weight, True, &o.result)
        o.residual.data = NULL
        for i in range(5):
            o.residual.stride[i] = 0
        if residual is not None:
            self._operand("residual", residual, self._result_shape, not self._result_is_weight, False, &o.residual)
        with nogil:
            status = ck_plan_run(self._plan, &o)
        if status == CK_OUT_OF_MEMORY:
            raise MemoryError("no memory for the workspace of this convolution")
        if status != CK_OK:
            raise ValueError("weight: the plan holds no packed weights")
        return out


include "_core_filters.pxi"
include "_core_pool.pxi"
include "_core_norm.pxi"
include "_core_update.pxi"
include "_core_memory.pxi"
include "_core_rearrange.pxi"
