# HDF5's C library without MPI (Debian: libhdf5-dev) as the target HDF5::HDF5. CMake's own module
# asks compiler wrappers, which may be those of MPI.
find_path(HDF5_INCLUDE hdf5.h PATH_SUFFIXES hdf5/serial)
find_library(HDF5_LIBRARY NAMES hdf5_serial hdf5)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(HDF5 REQUIRED_VARS HDF5_LIBRARY HDF5_INCLUDE)
if(HDF5_FOUND AND NOT TARGET HDF5::HDF5)
  add_library(HDF5::HDF5 UNKNOWN IMPORTED)
  set_target_properties(HDF5::HDF5 PROPERTIES IMPORTED_LOCATION ${HDF5_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${HDF5_INCLUDE})
endif()
