# Pooling and the functions of elements and channels; included by _core.pyx.

cdef extern from "convkern.h" nogil:
    ctypedef struct ck_pool_axis:
        int64_t input "in"
        int64_t out, dilation, stride, taps, pad
        const int64_t* first
        const int64_t* count
        const int64_t* divisor
    ctypedef struct ck_pool:
        int32_t dtype, op, channels_last
        int64_t n, c
        ck_pool_axis[3] axis
        double divisor
    ctypedef struct ck_channels:
        int32_t dtype, channels_last
        int64_t n, c, inner
    ck_status ck_pool_run(const ck_pool*, const char* isa, const ck_array* x, const ck_array* y, int64_t* indices)
    ck_status ck_scatter(int dtype, int op, int channels_last, int64_t n, int64_t c, int64_t to_size, int64_t from_size,
                         void* to, void* source, const int64_t* indices)
    ck_status ck_unary(int dtype, const char* isa, int op, int64_t count, const void* source, const void* grad, void* out,
                       double a, double b)
    ck_status ck_prelu(const ck_channels*, const char* isa, const void* x, const void* g, void* out, const void* a)
    ck_status ck_moments(const ck_channels*, const char* isa, const void* x, const void* g, const void* m, double* s0,
                         double* s1)
    ck_status ck_softmax(const ck_channels*, const char* isa, const void* x, const void* grad, void* out, int logarithm)

_POOL_OPS = ("max", "min", "add")
_SCATTER_OPS = ("add", "put", "get")
_UNARY_OPS = ("relu", "relu6", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "hardswish", "sigmoid", "tanh", "softplus")


cdef int _status(ck_status status) except -1:
    if status == CK_OUT_OF_MEMORY:
        raise MemoryError("no memory for the workspace of this call")
    if status == CK_UNSUPPORTED:
        raise ValueError("isa: not supported here")
    return 0


cdef class Pool:
    """Pooling windows over inputs of one shape; immutable.

    ``axes`` holds for each spatial axis (size, dilation, stride, taps, pad, first, count, divisor): the last three are
    int64 arrays, an entry an output, of where its window begins inside the image, how many taps it has there and what
    a sum is divided by (or None). A stride of 0 says that windows are not those of stride, taps and pad. A sum is
    divided by ``divisor``, or if that is 0 by the product of the axes'.
    """

    cdef ck_pool _pool
    cdef object _tables
    cdef int _spatial, _typenum
    cdef int64_t[5] _x_shape, _y_shape
    cdef bint _last
    cdef readonly tuple result_shape

    def __cinit__(self, str op not None, str dtype not None, n, c, bint channels_last, axes, double divisor):
        cdef ck_pool_axis* to
        cdef int i, first
        self._pool.op = _POOL_OPS.index(op)
        self._pool.dtype = _DTYPES.index(dtype)
        self._typenum = cnp.NPY_FLOAT32 if self._pool.dtype == 0 else cnp.NPY_FLOAT64
        self._pool.n, self._pool.c = n, c
        self._pool.divisor = divisor
        self._last = channels_last
        self._spatial = len(axes)
        self._tables = []
        if not 1 <= self._spatial <= 3:
            raise ValueError(f"axes: needs 1 to 3, got {self._spatial}")
        for i in range(3):
            to = &self._pool.axis[i]
            if i < 3 - self._spatial:
                size, dilation, stride, taps, pad, *tables = 1, 1, 1, 1, 0, [0], [1], None
            else:
                size, dilation, stride, taps, pad, *tables = axes[i - (3 - self._spatial)]
            to.input, to.dilation, to.stride, to.taps, to.pad = size, dilation, stride, taps, pad
            to.first = self._table(tables[0], to)
            to.count = self._table(tables[1], to)
            to.divisor = NULL
            if tables[2] is not None:
                to.divisor = self._table(tables[2], to)
            for o in range(to.out):
                if to.count[o] < 0 or (to.count[o] > 0 and (
                    to.first[o] < 0 or to.first[o] + (to.count[o] - 1) * to.dilation >= to.input
                )):
                    raise ValueError("axes: a window reaches outside the image")
        first = 1 if channels_last else 2
        self._x_shape[0] = self._y_shape[0] = self._pool.n
        self._x_shape[self._spatial + 1 if channels_last else 1] = self._pool.c
        self._y_shape[self._spatial + 1 if channels_last else 1] = self._pool.c
        for i in range(self._spatial):
            self._x_shape[first + i] = self._pool.axis[3 - self._spatial + i].input
            self._y_shape[first + i] = self._pool.axis[3 - self._spatial + i].out
        self.result_shape = tuple([self._y_shape[i] for i in range(self._spatial + 2)])

    cdef const int64_t* _table(self, values, ck_pool_axis* axis) except NULL:
        cdef cnp.ndarray table = cnp.PyArray_FROM_OTF(
            values, cnp.NPY_INT64, cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_ALIGNED | cnp.NPY_ARRAY_ENSURECOPY)
        axis.out = cnp.PyArray_SIZE(table)
        self._tables.append(table)
        return <const int64_t*>cnp.PyArray_DATA(table)

    cdef int _by_pixels(self, const ck_array* x) except -1:
        """Whether vectors run along the channels of x; ValueError where neither they nor its lines lie contiguous."""
        cdef bint lines = x.stride[4] == 1 or self._pool.axis[2].input <= 1
        cdef bint pixels = x.stride[1] == 1 or self._pool.c <= 1
        if not self._pool.n * self._pool.c * self._pool.axis[0].input * self._pool.axis[1].input * self._pool.axis[2].input:
            return self._last  # the strides of an empty array mean nothing
        if not (lines or pixels):
            raise ValueError("x: neither the channels nor the last spatial axis lie contiguous")
        return pixels and (not lines or (self._last and self._pool.c > 1))

    cdef object _result(self, bint by_pixels):
        cdef cnp.npy_intp[5] dims
        cdef int i
        if by_pixels != self._last:
            return _other_order(self._spatial, self._y_shape, self._last, self._typenum)
        for i in range(self._spatial + 2):
            dims[i] = self._y_shape[i]
        return _allocate(self._spatial + 2, dims, self._typenum)

    def allocate(self, cnp.ndarray x not None):
        """A new array for the result of pooling ``x``, in its memory order."""
        cdef ck_array source
        _check("x", x, self._spatial + 2, self._typenum, self._x_shape, False)
        _activation(x, self._spatial, self._last, &source)
        return self._result(self._by_pixels(&source))

    def run(self, x, out, indices, str isa):
        """Pool ``x`` into ``out`` (allocated when None, in x's memory order) and return it; indices: int64, out's strides."""
        cdef ck_pool pool = self._pool
        cdef ck_array source, target, where
        cdef ck_status status
        cdef bytes name = isa.encode()
        cdef const char* isa_name = name
        cdef int64_t* found = NULL
        cdef int64_t size
        cdef int i
        if not cnp.PyArray_Check(x):
            raise TypeError(f"x: needs a NumPy array, got {type(x).__name__}")
        _check("x", x, self._spatial + 2, self._typenum, self._x_shape, False)
        _activation(x, self._spatial, self._last, &source)
        pool.channels_last = self._by_pixels(&source)
        if out is None:
            out = self._result(pool.channels_last)
        else:
            if not cnp.PyArray_Check(out):
                raise TypeError(f"out: needs a NumPy array, got {type(out).__name__}")
            _check("out", out, self._spatial + 2, self._typenum, self._y_shape, True)
        _activation(out, self._spatial, self._last, &target)
        if cnp.PyArray_SIZE(out) and not (target.stride[1] == 1 or pool.c <= 1 if pool.channels_last else target.stride[4] == 1 or pool.axis[2].out <= 1):
            raise ValueError("out: not in the memory order of x")
        if indices is not None:
            if not cnp.PyArray_Check(indices) or cnp.PyArray_TYPE(indices) != cnp.NPY_INT64:
                raise TypeError("indices: needs an int64 array")
            if indices.shape != out.shape or not cnp.PyArray_ISWRITEABLE(indices):
                raise ValueError("indices: needs a writable array of out's shape")
            _activation(indices, self._spatial, self._last, &where)
            for i in range(5):
                size = pool.n if i == 0 else pool.c if i == 1 else pool.axis[i - 2].out
                if where.stride[i] != target.stride[i] and size > 1:
                    raise ValueError("indices: needs the strides of out")
            found = <int64_t*>cnp.PyArray_DATA(indices)
        with nogil:
            status = ck_pool_run(&pool, isa_name, &source, &target, found)
        _status(status)
        return out


cdef object _other_order(int spatial, const int64_t* shape, bint channels_last, int typenum):
    """A new array of a channels-last shape with planes in memory, or the other way round."""
    cdef cnp.npy_intp[5] dims
    cdef int i
    order = (0, spatial + 1, *range(1, spatial + 1)) if channels_last else (0, *range(2, spatial + 2), 1)
    for i in range(spatial + 2):
        dims[i] = shape[order[i]]
    stored = _allocate(spatial + 2, dims, typenum)
    back = (0, *range(2, spatial + 2), 1) if channels_last else (0, spatial + 1, *range(1, spatial + 1))
    return stored.transpose(back)


cdef void* _contiguous(str name, a, int typenum, int64_t size, bint writeable) except? NULL:
    """The data of a dense array of `size` elements (in C order, or one whose axes are permuted)."""
    if not cnp.PyArray_Check(a):
        raise TypeError(f"{name}: needs a NumPy array, got {type(a).__name__}")
    if cnp.PyArray_TYPE(a) != typenum or not cnp.PyArray_ISNOTSWAPPED(a) or not cnp.PyArray_ISALIGNED(a):
        raise TypeError(f"{name}: got dtype {a.dtype}, which does not fit")
    if cnp.PyArray_SIZE(a) != size:
        raise ValueError(f"{name}: needs {size} elements, got shape {a.shape}")
    if not a.flags.c_contiguous and not a.transpose(sorted(range(a.ndim), key=lambda i: -a.strides[i])).flags.c_contiguous:
        raise ValueError(f"{name}: needs elements without gaps, got strides {a.strides}")
    if writeable and not cnp.PyArray_ISWRITEABLE(a):
        raise ValueError(f"{name}: the array is read-only")
    return cnp.PyArray_DATA(a)


cdef int _real(a) except -1:
    cdef int typenum = cnp.PyArray_TYPE(a)
    if typenum != cnp.NPY_FLOAT32 and typenum != cnp.NPY_FLOAT64:
        raise TypeError(f"x: needs float32 or float64, got {a.dtype}")
    return typenum


def scatter(str op not None, bint channels_last, int64_t n, int64_t c, int64_t to_size, int64_t from_size, to, source,
            indices):
    """Move values between planes by flat indices; False if one lies outside. Arrays are in the family's order."""
    cdef int typenum = _real(to), kind = _SCATTER_OPS.index(op)
    cdef void* big = _contiguous("to", to, typenum, n * c * to_size, kind != 2)
    cdef void* small = _contiguous("source", source, typenum, n * c * from_size, kind == 2)
    cdef void* where = _contiguous("indices", indices, cnp.NPY_INT64, n * c * from_size, False)
    cdef ck_status status
    with nogil:
        status = ck_scatter(typenum == cnp.NPY_FLOAT64, kind, channels_last, n, c, to_size, from_size, big, small,
                            <const int64_t*>where)
    _status(status)
    return status == CK_OK


def unary(str op not None, source, grad, out, double a, double b, str isa not None):
    """out = f(source), or grad f'(source); all in the same memory order without gaps; out may be one of the others."""
    cdef int typenum = _real(source), kind = _UNARY_OPS.index(op)
    cdef int64_t size = source.size
    cdef void* s = _contiguous("x", source, typenum, size, False)
    cdef void* g = NULL if grad is None else _contiguous("grad", grad, typenum, size, False)
    cdef void* o = _contiguous("out", out, typenum, size, True)
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_unary(typenum == cnp.NPY_FLOAT64, isa_name, kind, size, s, g, o, a, b)
    _status(status)


cdef ck_channels _channels(bint channels_last, int64_t n, int64_t c, int64_t inner, int typenum):
    cdef ck_channels s
    s.dtype, s.channels_last = typenum == cnp.NPY_FLOAT64, channels_last
    s.n, s.c, s.inner = n, c, inner
    return s


def prelu(bint channels_last, int64_t n, int64_t c, int64_t inner, x, g, out, a, str isa not None):
    """out = v where x > 0, a v elsewhere, v = x or g."""
    cdef int typenum = _real(x)
    cdef ck_channels s = _channels(channels_last, n, c, inner, typenum)
    cdef int64_t size = n * c * inner
    cdef void* px = _contiguous("x", x, typenum, size, False)
    cdef void* pg = NULL if g is None else _contiguous("grad", g, typenum, size, False)
    cdef void* po = _contiguous("out", out, typenum, size, True)
    cdef void* pa = _contiguous("weight", a, typenum, c, False)
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_prelu(&s, isa_name, px, pg, po, pa)
    _status(status)


def moments(bint channels_last, int64_t n, int64_t c, int64_t inner, x, g, m, s0, s1, str isa not None):
    """Sums over each channel, in float64: of t and t (x - m), t = g or where that is None x - m."""
    cdef int typenum = _real(x)
    cdef ck_channels s = _channels(channels_last, n, c, inner, typenum)
    cdef int64_t size = n * c * inner
    cdef void* px = _contiguous("x", x, typenum, size, False)
    cdef void* pg = NULL if g is None else _contiguous("grad", g, typenum, size, False)
    cdef void* pm = _contiguous("mean", m, typenum, c, False)
    cdef void* p0 = _contiguous("s0", s0, cnp.NPY_FLOAT64, c, True)
    cdef void* p1 = _contiguous("s1", s1, cnp.NPY_FLOAT64, c, True)
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_moments(&s, isa_name, px, pg, pm, <double*>p0, <double*>p1)
    _status(status)


def softmax(int64_t n, int64_t c, int64_t inner, x, grad, out, bint logarithm, str isa not None):
    """Along c of [n][c][inner]; with grad the gradient, x being the result."""
    cdef int typenum = _real(x)
    cdef ck_channels s = _channels(False, n, c, inner, typenum)
    cdef int64_t size = n * c * inner
    cdef void* px = _contiguous("x", x, typenum, size, False)
    cdef void* pg = NULL if grad is None else _contiguous("grad", grad, typenum, size, False)
    cdef void* po = _contiguous("out", out, typenum, size, True)
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_softmax(&s, isa_name, px, pg, po, logarithm)
    _status(status)
