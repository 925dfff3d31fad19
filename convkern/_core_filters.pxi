# The filters of csrc/algo/lines.h and taps.h, bound thinly: arrays of known types as blocks of lines. Included by
# _core.pyx. Callers have resolved modes, origins and dtypes; what could crash is checked here again.

cdef extern from "algo/lines.h" namespace "convkern" nogil:
    ctypedef struct LineFilter:
        int64_t size, before
        int32_t mode
        const double* weights
    ctypedef struct LineJob:
        int32_t kind, element, out
        int32_t input "in"
        int64_t outer, ny, nx, inner
        const char* source "from"
        ptrdiff_t from_outer, from_y
        char* to
        LineFilter across, along
        int32_t along_first
        double cval
    ck_status run_lines(const LineJob&, const char* isa)

cdef extern from "algo/taps.h" namespace "convkern" nogil:
    ctypedef struct TapFilter:
        int32_t kind, element, out, dims, mode
        int32_t input "in"
        const int64_t* shape
        const char* source "from"
        char* to
        int64_t taps
        const int64_t* offset
        const double* weights
        double cval
    ck_status run_taps(const TapFilter&, const char* isa)

_LINE_KINDS = ("sum", "mean", "maximum", "minimum")
_LINE_TYPES = {"|u1": 0, "|b1": 0, "|i1": 1, "<u2": 2, "<i2": 3, "<u4": 4, "<i4": 5, "<u8": 6, "<i8": 7, "<f4": 8, "<f8": 9}


def line_type(dtype):
    """The number of a dtype among those the filters take, or None."""
    return _LINE_TYPES.get(dtype.str)


cdef int _line_type(str name, cnp.ndarray a) except -1:
    found = _LINE_TYPES.get(a.dtype.str)
    if found is None or not cnp.PyArray_ISALIGNED(a):
        raise TypeError(f"{name}: needs aligned integers, float32 or float64, got {a.dtype}")
    return found


cdef int _line_filter(str name, given, LineFilter* f) except -1:
    """(size, before, mode, weights or None), or None for no filter; the weights stay alive with the caller's tuple."""
    cdef const double[::1] weights
    f.size = f.before = 0
    f.mode = 0
    f.weights = NULL
    if given is None:
        return 0
    f.size, f.before, f.mode = given[0], given[1], given[2]
    if f.size < 1 or f.before < 0 or f.before >= f.size or f.mode < 0 or f.mode > 4:
        raise ValueError(f"{name}: not a filter: {given}")
    if given[3] is not None:
        weights = given[3]
        if weights.shape[0] != f.size:
            raise ValueError(f"{name}: needs {f.size} weights, got {weights.shape[0]}")
        f.weights = &weights[0]
    return 0


def filter_lines(str kind not None, cnp.ndarray image not None, cnp.ndarray out not None, int element, across, along,
                 bint along_first, double cval, str isa=None):
    """Filter (outer, y, x, inner) arrays over y (`across`), x (`along`) or both; False where an extreme met a NaN."""
    cdef LineJob job
    cdef ck_status status
    cdef bytes name = (_active_isa if isa is None else isa).encode()
    cdef const char* isa_name = name
    cdef int item
    job.kind = _LINE_KINDS.index(kind)
    job.input, job.out, job.element = _line_type("image", image), _line_type("out", out), element
    if cnp.PyArray_NDIM(image) != 4 or cnp.PyArray_NDIM(out) != 4:
        raise ValueError("image: needs 4 dimensions")
    for d in range(4):
        if cnp.PyArray_DIM(image, d) != cnp.PyArray_DIM(out, d):
            raise ValueError(f"out: needs shape {(<object>image).shape}, got {(<object>out).shape}")
    item = cnp.PyArray_ITEMSIZE(image)
    job.outer, job.ny, job.nx, job.inner = (cnp.PyArray_DIM(image, 0), cnp.PyArray_DIM(image, 1),
                                            cnp.PyArray_DIM(image, 2), cnp.PyArray_DIM(image, 3))
    if job.inner > 1 and cnp.PyArray_STRIDE(image, 3) != item:
        raise ValueError("image: lines must be contiguous")
    if job.nx > 1 and cnp.PyArray_STRIDE(image, 2) != item * job.inner:
        raise ValueError("image: lines must be contiguous")
    if not cnp.PyArray_IS_C_CONTIGUOUS(out) or not cnp.PyArray_ISWRITEABLE(out):
        raise ValueError("out: must be contiguous and writeable")
    if job.kind >= 2 and not (job.input == job.out == job.element):
        raise TypeError("out: extremes are of the type of the image")
    if job.kind == 1 and job.element != 9 or job.kind == 0 and job.element not in (8, 9):
        raise TypeError("element: sums are computed in float32 or float64, means in float64")
    _line_filter("across", across, &job.across)
    _line_filter("along", along, &job.along)
    if job.kind == 0 and (across is not None and across[3] is None or along is not None and along[3] is None):
        raise ValueError("weights: needed for sums")
    if job.across.size == 0 and job.along.size == 0 or job.kind == 1 and across is not None and along is not None:
        raise ValueError("across, along: one filter, or two of sums or extremes")
    job.source, job.to = <const char*>cnp.PyArray_DATA(image), <char*>cnp.PyArray_DATA(out)
    job.from_outer, job.from_y = cnp.PyArray_STRIDE(image, 0), cnp.PyArray_STRIDE(image, 1)
    job.along_first, job.cval = along_first, cval
    with nogil:
        status = run_lines(job, isa_name)
    if status == CK_OUT_OF_MEMORY:
        raise MemoryError("no memory for the lines of this filter")
    return status == CK_OK


def filter_taps(str kind not None, cnp.ndarray image not None, cnp.ndarray out not None, int element,
                const int64_t[:, ::1] offsets not None, const double[::1] weights, int mode, double cval, str isa=None):
    """Filter contiguous arrays of two or more dimensions with a window given tap by tap."""
    cdef TapFilter job
    cdef ck_status status
    cdef bytes name = (_active_isa if isa is None else isa).encode()
    cdef const char* isa_name = name
    cdef int64_t[64] shape
    cdef int d
    job.kind = _LINE_KINDS.index(kind)
    job.input, job.out, job.element = _line_type("image", image), _line_type("out", out), element
    job.dims, job.mode, job.taps, job.cval = cnp.PyArray_NDIM(image), mode, offsets.shape[0], cval
    if job.dims < 2 or cnp.PyArray_NDIM(out) != job.dims or offsets.shape[1] != job.dims:
        raise ValueError("image, out, offsets: need two or more dimensions, the same number")
    for d in range(job.dims):
        shape[d] = cnp.PyArray_DIM(image, d)
        if cnp.PyArray_DIM(out, d) != shape[d]:
            raise ValueError(f"out: needs shape {(<object>image).shape}, got {(<object>out).shape}")
    if not (cnp.PyArray_IS_C_CONTIGUOUS(image) and cnp.PyArray_IS_C_CONTIGUOUS(out) and cnp.PyArray_ISWRITEABLE(out)):
        raise ValueError("image, out: must be contiguous, out writeable")
    if job.kind == 1 or (job.kind == 0 and job.element not in (8, 9)) or mode < 0 or mode > 4:
        raise ValueError("kind, element, mode: not a filter with taps")
    if job.kind >= 2 and (job.element != job.input or job.out != job.element or job.taps < 1):
        raise ValueError("out: extremes are of the type of the image, of at least one tap")
    if (weights is None and job.kind == 0) or (weights is not None and weights.shape[0] != job.taps):
        raise ValueError("weights: one is needed for each tap")
    job.shape = shape
    job.source, job.to = <const char*>cnp.PyArray_DATA(image), <char*>cnp.PyArray_DATA(out)
    job.offset = &offsets[0, 0] if job.taps > 0 else NULL
    job.weights = &weights[0] if weights is not None and job.taps > 0 else NULL
    with nogil:
        status = run_taps(job, isa_name)
    if status == CK_OUT_OF_MEMORY:
        raise MemoryError("no memory for the window of this filter")


cdef extern from "algo/canny.h" namespace "convkern" nogil:
    void thin_float "convkern::thin_edges"(const float*, const float*, const float*, const unsigned char*, int64_t,
                                           int64_t, float, float, unsigned char*)
    void thin_double "convkern::thin_edges"(const double*, const double*, const double*, const unsigned char*, int64_t,
                                            int64_t, double, double, unsigned char*)
    ck_status trace_edges(unsigned char*, int64_t, int64_t)


def canny_edges(cnp.ndarray down not None, cnp.ndarray right not None, cnp.ndarray magnitude not None, inside,
                double low, double high, cnp.ndarray marks not None):
    """Edges of one plane into `marks` (bytes, 0 or 1) from the gradient's parts and magnitude; contiguous arrays."""
    cdef int64_t ny, nx
    cdef int kind = cnp.PyArray_TYPE(magnitude)
    cdef const unsigned char* mask = NULL
    cdef ck_status status
    if kind != cnp.NPY_FLOAT32 and kind != cnp.NPY_FLOAT64:
        raise TypeError(f"magnitude: needs dtype float32 or float64, got {magnitude.dtype}")
    for a, wanted in ((down, kind), (right, kind), (magnitude, kind), (marks, cnp.NPY_UINT8)):
        if cnp.PyArray_TYPE(a) != wanted or not cnp.PyArray_ISCARRAY_RO(a) or not cnp.PyArray_ISNOTSWAPPED(a):
            raise TypeError("down, right, magnitude: need contiguous arrays of one dtype; marks: bytes")
        if a.ndim != 2 or a.shape != (<object>magnitude).shape:
            raise ValueError(f"down, right, marks: need shape {(<object>magnitude).shape}, got {a.shape}")
    if inside is not None:
        if inside.dtype != bool or not inside.flags.c_contiguous or inside.shape != (<object>magnitude).shape:
            raise ValueError("inside: needs a contiguous array of booleans of the same shape")
        mask = <const unsigned char*>cnp.PyArray_DATA(inside)
    if not cnp.PyArray_ISWRITEABLE(marks):
        raise ValueError("marks: the array is read-only")
    ny, nx = cnp.PyArray_DIM(magnitude, 0), cnp.PyArray_DIM(magnitude, 1)
    cdef void* y = cnp.PyArray_DATA(down)
    cdef void* x = cnp.PyArray_DATA(right)
    cdef void* m = cnp.PyArray_DATA(magnitude)
    cdef unsigned char* to = <unsigned char*>cnp.PyArray_DATA(marks)
    with nogil:
        if kind == cnp.NPY_FLOAT32:
            thin_float(<const float*>y, <const float*>x, <const float*>m, mask, ny, nx, <float>low, <float>high, to)
        else:
            thin_double(<const double*>y, <const double*>x, <const double*>m, mask, ny, nx, low, high, to)
        status = trace_edges(to, ny, nx)
    if status != CK_OK:
        raise MemoryError("no memory to trace edges")
