# What `cmake --install` puts where: the programs, the libraries that others link, the headers of their public
# interface, the package that find_package(mlsim) finds, and the files that users start from.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The public interface. What these include is installed with them.
set(MLSIM_PUBLIC_HEADERS
  base/error.h
  base/memory.h
  models/formats/format.h
  models/formats/scaled_tensor.h
  models/formats/tensor.h
  models/quantizer/quantizer.h
  models/quantizer/reference_quantizer.h
  models/quantizer/sqnr.h
  models/convolution/convolution.h
  models/convolution/datapath.h
  models/convolution/cpu/functional_convolution.h
  models/convolution/reference/reference_convolution.h
  workloads/npy.h
)
install(CODE "set(MLSIM_HEADERS \"${MLSIM_PUBLIC_HEADERS}\")
set(MLSIM_SOURCE \"${PROJECT_SOURCE_DIR}\")
set(MLSIM_INCLUDE \"${CMAKE_INSTALL_INCLUDEDIR}/mlsim\")")
install(SCRIPT ${CMAKE_CURRENT_LIST_DIR}/install_headers.cmake)

foreach(name options base models workloads)
  set_target_properties(mlsim_${name} PROPERTIES EXPORT_NAME ${name})
  add_library(mlsim::${name} ALIAS mlsim_${name})
  install(TARGETS mlsim_${name} EXPORT mlsim-targets)
endforeach()
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/mlsim)
install(EXPORT mlsim-targets NAMESPACE mlsim:: DESTINATION ${package})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/mlsim-config.cmake.in
                              ${PROJECT_BINARY_DIR}/mlsim-config.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mlsim-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mlsim-config.cmake ${PROJECT_BINARY_DIR}/mlsim-config-version.cmake
        DESTINATION ${package})

foreach(program mlsim mlsim-train mlsim-cifar10-convert)
  if(TARGET ${program})
    install(TARGETS ${program})
  endif()
endforeach()

if(TARGET mlsim_mpi)
  install(TARGETS mlsim_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/mlsim)
endif()

set(data ${CMAKE_INSTALL_DATADIR}/mlsim)
install(DIRECTORY workloads/networks workloads/examples DESTINATION ${data}/workloads FILES_MATCHING PATTERN *.json)
install(FILES workloads/network.schema.json workloads/workload.schema.json DESTINATION ${data}/workloads)
install(DIRECTORY energy/tables DESTINATION ${data}/energy)
install(DIRECTORY sim/configs DESTINATION ${data}/sim)
if(TARGET mlsim-train)
  install(DIRECTORY trainer/recipes DESTINATION ${data}/trainer)
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES third_party/vega/LICENSES.txt DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME LICENSES-vega.txt)
