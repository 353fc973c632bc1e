# SPDX-License-Identifier: MIT
# Descriptions (.wire) in a project built by CMake 3.21 or later, with Ninja or with Make:
#
#	include(Wire)
#	wire_add_library(formats disk.wire journal.wire)
#	target_link_libraries(prog PRIVATE formats)
#
# Give each imported file its place, too: each is compiled by itself. Who links the library may write
# #include "disk.h". WIREC, WIRE_INCLUDE_DIR and WIRE_LIBRARY name the compiler, the folder of wire.h
# and the runtime, if they are not where CMake looks.
#
# A generated file is only written if its content changes. So that the build knows nevertheless that
# a description was compiled, NAME.wired stands for that. CMake's Make
# files know less than those of Ninja: who removes a generated file must also make clean, and a file that
# is no longer imported counts as imported, which may compile once too often, until then.
cmake_minimum_required(VERSION 3.21)

set(WIRE_RUN_SCRIPT "${CMAKE_CURRENT_LIST_DIR}/WireRun.cmake")

find_program(WIREC wirec REQUIRED DOC "Compiler of .wire descriptions")
find_path(WIRE_INCLUDE_DIR wire.h REQUIRED DOC "Folder of wire.h")
find_library(WIRE_LIBRARY wire REQUIRED DOC "Runtime of generated structures")

# Adds the rule for one description; sets the sources and the stamp in the caller.
function(wire_add_rule description folder sources_variable stamp_variable)
	cmake_path(ABSOLUTE_PATH description OUTPUT_VARIABLE input)
	cmake_path(GET description STEM LAST_ONLY name)
	set(outputs "${folder}/${name}.h" "${folder}/${name}.c" "${folder}/${name}_walk.c")
	set(stamp "${folder}/${name}.wired")
	add_custom_command(OUTPUT "${stamp}" BYPRODUCTS ${outputs}
		COMMAND "${CMAKE_COMMAND}" "-DWIREC=${WIREC}" "-DFOLDER=${folder}"
			"-DINPUT=${input}" "-DSTAMP=${stamp}" -P "${WIRE_RUN_SCRIPT}"
		DEPENDS "${input}" "${WIREC}" "${WIRE_RUN_SCRIPT}" DEPFILE "${stamp}.d"
		COMMENT "Compiling ${description}" VERBATIM)
	set_source_files_properties(${outputs} PROPERTIES GENERATED TRUE)
	set(${sources_variable} ${outputs} PARENT_SCOPE)
	set(${stamp_variable} "${stamp}" PARENT_SCOPE)
endfunction()

function(wire_add_library target)
	set(folder "${CMAKE_CURRENT_BINARY_DIR}/${target}.wire")
	set(all_sources)
	set(all_stamps)
	foreach(description IN LISTS ARGN)
		wire_add_rule("${description}" "${folder}" sources stamp)
		list(APPEND all_sources ${sources})
		list(APPEND all_stamps "${stamp}")
	endforeach()
	add_custom_target(${target}_wire DEPENDS ${all_stamps})
	add_library(${target} STATIC ${all_sources})
	add_dependencies(${target} ${target}_wire)
	target_include_directories(${target} PUBLIC "${folder}" "${WIRE_INCLUDE_DIR}")
	target_link_libraries(${target} PUBLIC "${WIRE_LIBRARY}")
endfunction()
