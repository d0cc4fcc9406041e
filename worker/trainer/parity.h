#pragma once

// `attune-trainer --parity FOLDER [--device cpu|cuda] [--model FOLDER]`: what `attune doctor
// --parity` runs. FOLDER is empty; what the proof writes there stays.

#include <string>
#include <vector>

namespace attune::trainer {

// Prints a line of JSON for each row (worker/engine/parity.h). The exit code: 0 when all rows
// agree, 1 when one does not or the proof could not be made (then with the reason on standard
// error), 2 for other arguments. Ends when the process in ATTUNE_EXIT_WITH does.
int RunParity(const std::vector<std::string>& arguments);

}  // namespace attune::trainer
