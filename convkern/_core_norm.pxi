# Batch normalisation, and the short way of the functions of elements; included by _core.pyx.

cdef extern from "convkern.h" nogil:
    ctypedef struct ck_batch_norm:
        const void* x
        const double* weight
        const double* bias
        double* running_mean
        double* running_var
        void* y
        void* mean
        void* invstd
        int32_t training
        double momentum, eps
    ctypedef struct ck_batch_norm_grad:
        const void* x
        const void* grad
        const double* mean
        const double* invstd
        const double* weight
        void* dx
        void* dweight
        void* dbias
        int32_t training
    ck_status ck_batch_norm_run(const ck_channels*, const char* isa, const ck_batch_norm*)
    ck_status ck_batch_norm_grad_run(const ck_channels*, const char* isa, const ck_batch_norm_grad*)


cdef double* _doubles(str name, a, int64_t c, bint writeable) except? NULL:
    if a is None:
        return NULL
    return <double*>_contiguous(name, a, cnp.NPY_FLOAT64, c, writeable)


def batch_norm(bint channels_last, int64_t n, int64_t c, int64_t inner, x, weight, bias, running_mean, running_var, out,
               mean, invstd, bint training, double momentum, double eps, str isa not None):
    """Normalise x into out and write the statistics; training moves the running ones. Values of channels: float64."""
    cdef int typenum = _real(x)
    cdef ck_channels s = _channels(channels_last, n, c, inner, typenum)
    cdef int64_t size = n * c * inner
    cdef ck_batch_norm job
    if (running_mean is None or running_var is None) and not (training and running_mean is running_var):
        raise ValueError("running_mean: needs running_mean and running_var, or in training neither")
    job.x = _contiguous("x", x, typenum, size, False)
    job.weight, job.bias = _doubles("weight", weight, c, False), _doubles("bias", bias, c, False)
    job.running_mean = _doubles("running_mean", running_mean, c, True)
    job.running_var = _doubles("running_var", running_var, c, True)
    job.y = _contiguous("out", out, typenum, size, True)
    job.mean = _contiguous("mean", mean, typenum, c, True)
    job.invstd = _contiguous("invstd", invstd, typenum, c, True)
    job.training, job.momentum, job.eps = training, momentum, eps
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_batch_norm_run(&s, isa_name, &job)
    _status(status)


def batch_norm_grad(bint channels_last, int64_t n, int64_t c, int64_t inner, x, grad, mean not None, invstd not None,
                    weight, dx, dweight, dbias, bint training, str isa not None):
    """Gradients in x, weight and bias; mean, invstd and weight: float64."""
    cdef int typenum = _real(x)
    cdef ck_channels s = _channels(channels_last, n, c, inner, typenum)
    cdef int64_t size = n * c * inner
    cdef ck_batch_norm_grad job
    job.x, job.grad = _contiguous("x", x, typenum, size, False), _contiguous("grad", grad, typenum, size, False)
    job.mean, job.invstd = _doubles("mean", mean, c, False), _doubles("invstd", invstd, c, False)
    job.weight = _doubles("weight", weight, c, False)
    job.dx = _contiguous("out", dx, typenum, size, True)
    job.dweight = _contiguous("dweight", dweight, typenum, c, True)
    job.dbias = _contiguous("dbias", dbias, typenum, c, True)
    job.training = training
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_batch_norm_grad_run(&s, isa_name, &job)
    _status(status)


cdef bint _plain(a, int typenum):
    """Whether an object is an array of a dtype that the core can walk along from end to end."""
    return type(a) is cnp.ndarray and cnp.PyArray_TYPE(a) == typenum and cnp.PyArray_ISCARRAY_RO(a)


def unary_plain(str op not None, source, grad, out, double a, double b, str isa not None):
    """As unary, where all is as it usually is: plain arrays of one shape, out None or one of them; else None."""
    cdef int typenum
    if type(source) is not cnp.ndarray:
        return None
    typenum = cnp.PyArray_TYPE(source)
    if (typenum != cnp.NPY_FLOAT32 and typenum != cnp.NPY_FLOAT64) or not _plain(source, typenum):
        return None
    if grad is not None and not (_plain(grad, typenum) and cnp.PyArray_SAMESHAPE(source, grad)):
        return None
    if out is None:
        out = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(source), cnp.PyArray_DIMS(source), typenum, 0)
    elif (out is not source and out is not grad) or not cnp.PyArray_ISWRITEABLE(out):
        return None
    cdef void* g = NULL if grad is None else cnp.PyArray_DATA(grad)
    cdef int kind = _UNARY_OPS.index(op)
    cdef int64_t size = cnp.PyArray_SIZE(source)
    cdef void* s = cnp.PyArray_DATA(source)
    cdef void* o = cnp.PyArray_DATA(out)
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_unary(typenum == cnp.NPY_FLOAT64, isa_name, kind, size, s, g, o, a, b)
    _status(status)
    return out
