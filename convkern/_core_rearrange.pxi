# Borders, windows as columns, powers and response normalisation; included by _core.pyx.

ctypedef const int64_t* int64_table

cdef extern from "convkern.h" nogil:
    ctypedef struct ck_pad:
        int32_t dtype, axes
        const int64_t* size
        const int64_t* stride
        int64_table* source
        int64_t block
    ctypedef struct ck_columns:
        int32_t dtype
        int64_t planes
        int64_t[3] image "in"
        int64_t[3] out
        int64_t[3] kernel
        int64_t[3] stride
        int64_t[3] dilation
        int64_t[3] pad
    ck_status ck_pad_run(const ck_pad*, const void* x, void* out, double value)
    ck_status ck_gather_add(const ck_pad*, int64_table* starts, int64_table* positions, const void* grad, void* out)
    ck_status ck_unfold(const ck_columns*, const void* x, void* y)
    ck_status ck_fold(const ck_columns*, const void* y, void* x)
    ck_status ck_power(int dtype, const char* isa, int64_t count, const void* x, void* out, double p)
    ck_status ck_response(const ck_channels*, const char* isa, const void* x, const void* g, void* out, int64_t size,
                          double alpha, double beta, double k)


cdef int _tables(str name, tables, int64_table* to) except -1:
    """Pointers to contiguous int64 arrays."""
    cdef int i
    for i in range(len(tables)):
        if tables[i].dtype != "int64" or not tables[i].flags.c_contiguous:
            raise TypeError(f"{name}: needs contiguous int64 arrays")
        to[i] = <const int64_t*>cnp.PyArray_DATA(tables[i])
    return 0


cdef int64_t _shape(ck_pad* s, sizes, strides, int64_t block, int typenum, int64_t* sizes_of, int64_t* strides_of) except -1:
    """Fills in the struct; the elements of the contiguous side."""
    cdef int64_t elements = block
    cdef int i
    if not 1 <= len(sizes) <= 64 or len(strides) != len(sizes):
        raise ValueError("sizes: needs 1 to 64 of them, and as many strides")
    s.dtype, s.axes, s.block = typenum == cnp.NPY_FLOAT64, len(sizes), block
    for i in range(s.axes):
        sizes_of[i], strides_of[i] = sizes[i], strides[i]
        elements *= sizes_of[i]
    s.size, s.stride = sizes_of, strides_of
    return elements


def pad(x not None, out not None, strides, tables, int64_t block, double value):
    """out[p] = x at the sum over axes of tables[a][p_a] * strides[a], `block` elements at a time; -1: `value`.

    ``strides`` are x's in elements, ``out`` is contiguous. What the tables name has to lie inside x.
    """
    cdef int typenum = _real(x)
    cdef ck_pad s
    cdef int64_t[64] size, stride
    cdef int64_table[64] sources
    cdef ck_status status
    cdef int64_t elements = _shape(&s, [len(table) for table in tables], strides, block, typenum, size, stride)
    cdef void* to = _contiguous("out", out, typenum, elements, True)
    cdef const void* data = cnp.PyArray_DATA(x)
    _tables("tables", tables, sources)
    s.source = sources
    with nogil:
        status = ck_pad_run(&s, data, to, value)
    _status(status)


def gather_add(grad not None, out not None, strides, starts, positions, int64_t block):
    """out[i] = the sum of grad at the sums over axes of positions[a][j] * strides[a], starts[a][i_a] <= j < starts[a][i_a + 1]."""
    cdef int typenum = _real(grad)
    cdef ck_pad s
    cdef int64_t[64] size, stride
    cdef int64_table[64] first
    cdef int64_table[64] place
    cdef ck_status status
    cdef int64_t elements = _shape(&s, [len(table) - 1 for table in starts], strides, block, typenum, size, stride)
    cdef void* to = _contiguous("out", out, typenum, elements, True)
    cdef const void* data = cnp.PyArray_DATA(grad)
    _tables("starts", starts, first)
    _tables("positions", positions, place)
    s.source = NULL
    with nogil:
        status = ck_gather_add(&s, first, place, data, to)
    _status(status)


def columns(image not None, folded not None, bint back, int64_t planes, sizes, positions, kernel, strides, dilations, pads):
    """Windows of ``image`` into ``folded`` or, with ``back``, their sums into ``image``; both contiguous."""
    cdef int typenum = _real(image)
    cdef ck_columns s
    cdef ck_status status
    cdef int i, axis, rank = len(sizes)
    cdef int64_t pixels = planes, entries = planes
    s.dtype, s.planes = typenum == cnp.NPY_FLOAT64, planes
    for i in range(3):
        axis = i - (3 - rank)
        s.image[i], s.out[i], s.kernel[i], s.stride[i], s.dilation[i], s.pad[i] = (
            (1, 1, 1, 1, 1, 0) if axis < 0 else
            (sizes[axis], positions[axis], kernel[axis], strides[axis], dilations[axis], pads[axis])
        )
        pixels *= s.image[i]
        entries *= s.out[i] * s.kernel[i]
    cdef void* x = _contiguous("image", image, typenum, pixels, back)
    cdef void* y = _contiguous("folded", folded, typenum, entries, not back)
    with nogil:
        status = ck_fold(&s, y, x) if back else ck_unfold(&s, x, y)
    _status(status)


def power(x not None, out not None, double p, str isa not None):
    """out = x^p for every element; both without gaps and in one order; out may be x."""
    cdef int typenum = _real(x)
    cdef int64_t size = x.size
    cdef void* source = _contiguous("x", x, typenum, size, False)
    cdef void* to = _contiguous("out", out, typenum, size, True)
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_power(typenum == cnp.NPY_FLOAT64, isa_name, size, source, to, p)
    _status(status)


def response(bint channels_last, int64_t n, int64_t c, int64_t inner, x not None, g, out not None, int64_t size,
             double alpha, double beta, double k, str isa not None):
    """Local response normalisation or, with g, its gradient; out may be x or g as a whole."""
    cdef int typenum = _real(x)
    cdef ck_channels s = _channels(channels_last, n, c, inner, typenum)
    cdef int64_t elements = n * c * inner
    cdef void* source = _contiguous("x", x, typenum, elements, False)
    cdef void* grad = NULL if g is None else _contiguous("g", g, typenum, elements, False)
    cdef void* to = _contiguous("out", out, typenum, elements, True)
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_response(&s, isa_name, source, grad, to, size, alpha, beta, k)
    _status(status)
