#pragma once

namespace attune {

// Early in main: a fatal signal (SEGV, BUS, ILL, FPE, ABRT) first writes the program's name, the
// signal and the thread's stack to stderr, where a worker's log keeps it, and then ends the process
// as it would have. `program` must live as long as the process.
void ReportCrashes(const char* program);

}  // namespace attune
