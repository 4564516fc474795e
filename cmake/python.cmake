# Sets MLSIM_PYTHON to whether the Python package is built, and finds what it is built with. Python3_EXECUTABLE says for
# which Python; by default it is the system's, of which packages.txt names the headers, whatever else is first in PATH.
# MLSIM_PYBIND11_INCLUDE is the folder of pybind11's headers, such as those that PyTorch ships.
set(MLSIM_PYTHON OFF)
if(NOT MLSIM_BUILD_PYTHON)
  return()
endif()
if(MLSIM_SANITIZE AND MLSIM_BUILD_PYTHON STREQUAL AUTO)
  # An interpreter that is not sanitized does not load what is.
  return()
endif()
if(NOT Python3_EXECUTABLE AND EXISTS /usr/bin/python3)
  set(Python3_EXECUTABLE /usr/bin/python3)
endif()
find_package(Python3 3.9 QUIET COMPONENTS Interpreter Development.Module)
find_path(MLSIM_PYBIND11_INCLUDE pybind11/pybind11.h DOC "Folder of pybind11's headers")
if(Python3_FOUND AND MLSIM_PYBIND11_INCLUDE)
  set(MLSIM_PYTHON ON)
  # Beside PyTorch's are headers of other libraries, fmt's among them, of other versions than those that are linked.
  set(MLSIM_PYBIND11_ALONE ${PROJECT_BINARY_DIR}/pybind11)
  file(MAKE_DIRECTORY ${MLSIM_PYBIND11_ALONE})
  file(CREATE_LINK ${MLSIM_PYBIND11_INCLUDE}/pybind11 ${MLSIM_PYBIND11_ALONE}/pybind11 SYMBOLIC)
elseif(MLSIM_BUILD_PYTHON STREQUAL AUTO)
  message(STATUS "The Python package is left out: the headers of pybind11 and of Python are not found")
else()
  message(FATAL_ERROR "MLSIM_BUILD_PYTHON is ${MLSIM_BUILD_PYTHON}, but the headers of pybind11 and of Python are not found")
endif()
