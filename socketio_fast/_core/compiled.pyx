"""The shared object that all compiled modules are in, and what finds them there.

With an object for each module, an echo with 8 in flight took 4 % more CPU, and
importing all modules 10 ms instead of 5. PEP 489 allows for several modules in a shared
object, and leaves it to its author how they are found.
"""
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import spec_from_file_location

from cpython.object cimport PyObject

cdef extern from *:
    """
    /* setup.py defines SF_MODULES: SF_MODULE(engine.session, engine_session) and so on.
     * It compiles each of them with an initialization function of that name. */
    #define SF_MODULE(name, symbol) PyObject *PyInit_##symbol(void);
    SF_MODULES
    #undef SF_MODULE

    static const struct {
        const char *name;
        PyObject *(*initialize)(void);
    } sf_modules[] = {
    #define SF_MODULE(name, symbol) {"socketio_fast._core." #name, PyInit_##symbol},
        SF_MODULES
    #undef SF_MODULE
    };

    #define SF_MODULE_COUNT ((int)(sizeof sf_modules / sizeof *sf_modules))
    """
    ctypedef struct module_entry:
        const char *name
        PyObject *(*initialize)() except NULL
    module_entry *sf_modules
    int SF_MODULE_COUNT

cdef extern from "Python.h":
    ctypedef struct PyModuleDef:
        pass
    object PyModule_FromDefAndSpec(PyModuleDef *definition, object spec)
    PyModuleDef *PyModule_GetDef(object module) except NULL
    int PyModule_ExecDef(object module, PyModuleDef *definition) except -1

#: The modules in this shared object, and where they are in its table.
PLACES = {sf_modules[i].name.decode(): i for i in range(SF_MODULE_COUNT)}


class Loader(ExtensionFileLoader):
    """Loads a module of this shared object by its whole name.

    importlib's own loader looks for a function by the last part of the name, and two
    modules may have the same.
    """

    def create_module(self, spec):
        return PyModule_FromDefAndSpec(
            <PyModuleDef *> sf_modules[<int> PLACES[spec.name]].initialize(), spec
        )

    def exec_module(self, module):
        PyModule_ExecDef(module, PyModule_GetDef(module))


class Finder:
    """Finds the modules of this shared object."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in PLACES:
            return None
        return spec_from_file_location(name, __file__, loader=Loader(name, __file__))


# First: beside it there may be the objects of an earlier version, one for each module.
# It costs each import of the process one look into a dict.
sys.meta_path.insert(0, Finder)
