# Arrays in memory that is used again: runtime/blocks.h as NumPy's allocator (NEP 49); included by _core.pyx.

from cpython.pycapsule cimport PyCapsule_New

cdef extern from *:
    """
    #include <cstring>
    #include "runtime/blocks.h"
    static void* kept_malloc(void*, size_t bytes) { return convkern::take_block(bytes); }
    static void* kept_calloc(void*, size_t count, size_t size) {
      if (size && count > static_cast<size_t>(-1) / size) return nullptr;
      void* block = convkern::take_block(count * size);
      if (block) std::memset(block, 0, count * size);
      return block;
    }
    static void* kept_realloc(void*, void* block, size_t bytes) { return convkern::resize_block(block, bytes); }
    static void kept_free(void*, void* block, size_t) { convkern::return_block(block); }
    static PyDataMem_Handler kept_handler = {
      "convkern", 1, {nullptr, kept_malloc, kept_calloc, kept_realloc, kept_free}
    };
    """
    ctypedef struct PyDataMem_Handler:
        pass
    PyDataMem_Handler kept_handler
    object PyDataMem_SetHandler(object)
    size_t c_blocks_unused "convkern::blocks_unused"() nogil
    void c_release_blocks "convkern::release_blocks"() nogil

_kept = PyCapsule_New(<void*>&kept_handler, "mem_handler", NULL)


cdef class KeptMemory:
    """A context in which this thread's new arrays take memory that earlier ones gave back, aligned to cache lines."""

    cdef list _before

    def __init__(self):
        self._before = []

    def __enter__(self):
        self._before.append(PyDataMem_SetHandler(_kept))

    def __exit__(self, *error):
        PyDataMem_SetHandler(self._before.pop())


def unused_memory():
    """Bytes of memory that arrays gave back and that are kept for others."""
    return c_blocks_unused()


def release_memory():
    """Give all of it to the system."""
    c_release_blocks()
