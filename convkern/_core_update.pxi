# Optimizers and gradient clipping; included by _core.pyx. Arrays of a call: lists, one array a parameter.

from libc.stdlib cimport calloc, free

cdef extern from "convkern.h" nogil:
    ctypedef struct ck_update:
        int64_t count
        void* parameter
        void* gradient
        void* state[2]
    ctypedef struct ck_update_settings:
        double rate, decay, keep, momentum, gain, fade, add, root, eps
        int32_t nesterov
    ck_status ck_update_run(int dtype, const char* isa, int rule, const ck_update_settings*, int64_t count,
                            const ck_update* arrays)
    ck_status ck_gradient_squares(int dtype, const char* isa, int64_t count, const ck_update* arrays, double* sum)
    ck_status ck_gradient_clip(int dtype, const char* isa, int op, int64_t count, const ck_update* arrays, double bound)

_RULES = ("sgd", "adam", "rmsprop")
_CLIP_OPS = ("scale", "limit")


cdef void* _flat(str name, a, int typenum, int64_t size, bint writeable) except NULL:
    """The data of a C-contiguous array; never NULL, also where it is empty."""
    if not isinstance(a, cnp.ndarray) or not cnp.PyArray_IS_C_CONTIGUOUS(a):
        raise ValueError(f"{name}: needs C-contiguous arrays")
    return _contiguous(name, a, typenum, size, writeable)


cdef class _Updates:
    """The arrays of a step as the core sees them; holds no references, so the lists have to outlive it."""

    cdef ck_update* arrays
    cdef int64_t count
    cdef int typenum

    def __cinit__(self, list parameters, list gradients not None, tuple states):
        cdef int64_t i, size
        cdef int slot
        self.count = len(gradients)
        self.typenum = cnp.NPY_FLOAT32
        if len(states) > 2:
            raise ValueError(f"state: got {len(states)} lists, needs at most two")
        for arrays in (parameters, *states):
            if arrays is not None and len(arrays) != self.count:
                raise ValueError(f"state: got lists of {len(arrays)} and {self.count} arrays, needs as many")
        self.arrays = <ck_update*>calloc(self.count + 1, sizeof(ck_update))
        if self.arrays == NULL:
            raise MemoryError("no memory for the list of parameters")
        if self.count:
            self.typenum = _real(gradients[0])
        for i in range(self.count):
            size = gradients[i].size
            self.arrays[i].count = size
            self.arrays[i].gradient = _flat("gradient", gradients[i], self.typenum, size, parameters is None)
            if parameters is not None:
                self.arrays[i].parameter = _flat("parameter", parameters[i], self.typenum, size, True)
            for slot in range(len(states)):
                if states[slot] is not None:
                    self.arrays[i].state[slot] = _flat("state", states[slot][i], self.typenum, size, True)

    def __dealloc__(self):
        free(self.arrays)


def update(str rule not None, list parameters not None, list gradients not None, tuple states not None,
           dict settings not None, str isa not None):
    """One step of an optimizer over all parameters, in place."""
    cdef _Updates updates = _Updates(parameters, gradients, states)
    cdef ck_update_settings s
    cdef int number = _RULES.index(rule)
    if len(states) < (0, 2, 1)[number]:
        raise ValueError(f"state: got {len(states)} lists, {rule} needs more")
    s.rate, s.decay, s.keep = settings["rate"], settings.get("decay", 0), settings.get("keep", 1)
    s.momentum, s.gain = settings.get("momentum", 0), settings.get("gain", 0)
    s.fade, s.add = settings.get("fade", 0), settings.get("add", 0)
    s.root, s.eps, s.nesterov = settings.get("root", 1), settings.get("eps", 0), settings.get("nesterov", False)
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_update_run(updates.typenum == cnp.NPY_FLOAT64, isa_name, number, &s, updates.count, updates.arrays)
    _status(status)


def gradient_squares(list gradients not None, str isa not None):
    """The sum of all squares, in float64."""
    cdef _Updates updates = _Updates(None, gradients, ())
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef double total = 0
    cdef ck_status status
    with nogil:
        status = ck_gradient_squares(updates.typenum == cnp.NPY_FLOAT64, isa_name, updates.count, updates.arrays, &total)
    _status(status)
    return total


def gradient_clip(str op not None, list gradients not None, double bound, str isa not None):
    """Every element times ``bound``, or limited to [-bound, bound], in place."""
    cdef _Updates updates = _Updates(None, gradients, ())
    cdef int number = _CLIP_OPS.index(op)
    cdef bytes name = isa.encode()
    cdef const char* isa_name = name
    cdef ck_status status
    with nogil:
        status = ck_gradient_clip(updates.typenum == cnp.NPY_FLOAT64, isa_name, number, updates.count, updates.arrays,
                                  bound)
    _status(status)
