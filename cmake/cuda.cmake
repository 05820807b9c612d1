# Whether the CUDA backend can be built (CUDA_STATE says), and the target with its kernels.
set(FATHOM_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO (when nvcc works), ON or OFF")
set(FATHOM_CUDA_ARCHS "80;86;89;90a;100;120" CACHE STRING "CUDA architectures to compile for")
if("90" IN_LIST FATHOM_CUDA_ARCHS)  # whose code a Hopper device would take, without wgmma
  message(FATAL_ERROR "FATHOM_CUDA_ARCHS: write 90a instead of 90, the kernels for Hopper need it")
endif()

# CUDA: AUTO does without it when nvcc or its host compiler does not work; ON is an error then.
set(CUDA_STATE "not in this build")
if(NOT FATHOM_CUDA STREQUAL "OFF")
  set(ENV{PATH} "$ENV{PATH}:$ENV{CUDA_HOME}/bin:/usr/local/cuda/bin")
  set(CMAKE_CUDA_ARCHITECTURES OFF)  # -gencode below: CMake 3.25 does not know every name
  include(CheckLanguage)
  check_language(CUDA)
  find_package(CUDAToolkit QUIET)
  if(CMAKE_CUDA_COMPILER AND TARGET CUDA::cudart_static)
    enable_language(CUDA)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # CMake 3.25 does not know it
    list(JOIN FATHOM_CUDA_ARCHS " " ARCHS)
    set(CUDA_STATE "compiled with ${CMAKE_CUDA_COMPILER_VERSION} for ${ARCHS}")
  elseif(FATHOM_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FATHOM_CUDA=ON, but no working CUDA toolkit was found (nvcc, its host "
      "compiler, the static runtime): put nvcc on the PATH or set CUDACXX, or use FATHOM_CUDA=OFF")
  endif()
endif()

function(fathom_compile_cuda target)  # its .cu files, for the architectures asked for
  list(TRANSFORM FATHOM_CUDA_ARCHS REPLACE "(.+)"
       "-gencode=arch=compute_\\1,code=[compute_\\1,sm_\\1]" OUTPUT_VARIABLE GENCODES)
  set(OPTIONS ${GENCODES} --expt-relaxed-constexpr --expt-extended-lambda -Werror=all-warnings
      -Xcompiler=-Wall,-Wextra,-Werror,-ffp-contract=off)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${OPTIONS}>")
endfunction()

# The runtime is linked statically: the binary starts on machines without a GPU or a driver.
function(fathom_add_cuda_kernels)
  if(NOT CMAKE_CUDA_COMPILER_LOADED)
    return()
  endif()
  file(GLOB_RECURSE CUDA_SOURCES CONFIGURE_DEPENDS core/*.cu kernels/*.cu)
  add_library(fathom_cuda_kernels OBJECT ${CUDA_SOURCES})
  fathom_compile_cuda(fathom_cuda_kernels)
  # The arithmetic of core/philox.h, whose bits both sides share, is as it is written.
  set_source_files_properties(kernels/random.cu PROPERTIES COMPILE_OPTIONS -fmad=false)
  target_link_libraries(fathom_cuda_kernels PRIVATE fathom_settings)
  set(CUDA_CORE core/cuda/*.cpp PARENT_SCOPE)
  set(CUDA_OBJECTS $<TARGET_OBJECTS:fathom_cuda_kernels> PARENT_SCOPE)
  file(GLOB LAUNCHERS CONFIGURE_DEPENDS core/cuda/*.cpp kernels/cuda/*.cpp)
  target_sources(fathom_core PRIVATE ${LAUNCHERS} $<TARGET_OBJECTS:fathom_cuda_kernels>)
  target_compile_definitions(fathom_settings INTERFACE FATHOM_CUDA)
  # cuBLASLt and cuDNN are opened when first needed, so that a program starts without them: only their
  # headers decide what is compiled.
  set_source_files_properties(core/cuda/library.cpp PROPERTIES COMPILE_DEFINITIONS
                              "FATHOM_CUDA_LIBRARIES=\"${CUDAToolkit_LIBRARY_DIR}\"")
  foreach(header cublasLt.h cudnn.h)
    find_file(FOUND_${header} ${header} HINTS ${CUDAToolkit_INCLUDE_DIRS})
  endforeach()
  set(CUBLASLT_STATE "not in this build: no cublasLt.h, so no products on CUDA devices" PARENT_SCOPE)
  set(CUDNN_STATE "not in this build: no cudnn.h, so our 3x3 kernel and products of columns" PARENT_SCOPE)
  if(FOUND_cublasLt.h)
    set(CUBLASLT_STATE "found when the program needs it (compiled with ${FOUND_cublasLt.h})" PARENT_SCOPE)
  endif()
  if(FOUND_cudnn.h)
    get_filename_component(CUDNN_INCLUDE ${FOUND_cudnn.h} DIRECTORY)
    set_property(SOURCE kernels/cuda/cudnn.cpp APPEND PROPERTY INCLUDE_DIRECTORIES ${CUDNN_INCLUDE})
    set(CUDNN_STATE "found when the program needs it (compiled with ${FOUND_cudnn.h})" PARENT_SCOPE)
  endif()
  target_link_libraries(fathom_settings INTERFACE CUDA::cudart_static)
endfunction()
