# SPDX-License-Identifier: MIT
# Runs WIREC on INPUT into FOLDER for Wire.cmake, lets the dependency file speak of STAMP rather than
# of the generated files, and touches STAMP.
file(MAKE_DIRECTORY "${FOLDER}")
execute_process(COMMAND "${WIREC}" -o "${FOLDER}" --depfile "${STAMP}.d" "${INPUT}"
	RESULT_VARIABLE status)
if(NOT status EQUAL 0)
	message(FATAL_ERROR "wirec refused ${INPUT}")
endif()
file(READ "${STAMP}.d" rule)
string(REPLACE " " "\\ " target "${STAMP}")
string(REGEX REPLACE "^[^:]*:" "${target}:" rule "${rule}")
file(WRITE "${STAMP}.d" "${rule}")
file(TOUCH "${STAMP}")
