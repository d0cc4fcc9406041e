#pragma once

// A judge of answers: a command that the worker's configuration names.

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/evaluation.h"

namespace attune::trainer {

// By name: a program's path (or its name on the PATH) and its arguments.
using JudgeCommands = std::map<std::string, std::vector<std::string>>;

// {"NAME": ["program", "argument", ...], ...}. kInvalidArgument for another shape.
Result<JudgeCommands> ReadJudgeCommands(const std::string& json);

struct JudgeLimits {
  std::chrono::milliseconds deadline{60'000};  // of one answer
  size_t output_bytes_max = 4096;
};

// Runs the command, without a shell, with {"prompt", "reference", "answer"} as one line of JSON on
// its standard input, and takes the one number from 0 to 1 that it prints. Its process group is
// killed when it has ended or its time is over. It has our environment without ATTUNE_ variables;
// its standard error goes to ours. kFailedPrecondition, with the end of its standard error, when it
// cannot be run, fails, takes too long or prints no such number: it would again. kInternal when the
// host has no processes or pipes left.
Result<double> RunJudge(const std::vector<std::string>& command, const std::string& prompt,
                        const std::string& reference, const std::string& answer,
                        const JudgeLimits& limits = {});

std::map<std::string, engine::Judge> MakeJudges(const JudgeCommands& commands);

}  // namespace attune::trainer
