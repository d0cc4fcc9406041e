#pragma once

namespace attune {

// Of every program of the project; the programs of a cluster should agree. CMakeLists.txt reads it
// from here.
inline constexpr char kVersion[] = "0.1.0";

}  // namespace attune
