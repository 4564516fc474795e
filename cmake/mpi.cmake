# Sets MLSIM_MPI to whether sweeps can run over MPI, and finds it. The library that uses it is loaded at run time.
set(MLSIM_MPI OFF)
if(NOT MLSIM_BUILD_MPI)
  return()
endif()
if(MLSIM_SANITIZE AND MLSIM_BUILD_MPI STREQUAL AUTO)
  # Open MPI and what it loads are not sanitized and keep memory to the end.
  return()
endif()
# The C interface alone.
set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI QUIET COMPONENTS CXX)
if(MPI_CXX_FOUND)
  set(MLSIM_MPI ON)
elseif(MLSIM_BUILD_MPI STREQUAL AUTO)
  message(STATUS "Sweeps over MPI are left out: libopenmpi-dev is not found")
else()
  message(FATAL_ERROR "MLSIM_BUILD_MPI is ${MLSIM_BUILD_MPI}, but no MPI is found")
endif()
