# cmake -DSOURCE=FOLDER -DOUTPUT=FILE -P Revision.cmake
# Writes a C++ file with the git revision of the source folder (empty outside of git), only when it has changed.
find_package(Git QUIET)
set(_revision "")
if(GIT_FOUND)
  execute_process(COMMAND "${GIT_EXECUTABLE}" describe --always --tags --dirty
    WORKING_DIRECTORY "${SOURCE}" OUTPUT_VARIABLE _revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT
"namespace attune::models {
extern const char kGitRevision[];
const char kGitRevision[] = \"${_revision}\";
}  // namespace attune::models
")
