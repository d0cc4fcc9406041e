#include "common/base/crash.h"

#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace attune {
namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr int kMostFrames = 64;

const char* program_name = "";

// Only what is safe in a signal handler from here on: no allocation, no locks.

void Write(std::string_view text) {
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

void WriteHex(uint64_t value) {
  std::array<char, 18> text;
  size_t at = text.size();
  do {
    text[--at] = "0123456789abcdef"[value % 16];
    value /= 16;
  } while (value != 0);
  text[--at] = 'x';
  text[--at] = '0';
  Write({text.data() + at, text.size() - at});
}

void Report(int signal, siginfo_t* info, void*) {
  Write(program_name);
  Write(": SIG");
  const char* name = sigabbrev_np(signal);
  Write(name == nullptr ? "?" : name);
  if (signal != SIGABRT) {
    Write(" at address ");
    WriteHex(reinterpret_cast<uintptr_t>(info->si_addr));
  }
  std::array<char, 17> thread{};
  if (prctl(PR_GET_NAME, thread.data()) == 0) {
    Write(" in thread ");
    Write(thread.data());
  }
  Write("; its stack, for addr2line -Cfe PROGRAM OFFSET:\n");
  std::array<void*, kMostFrames> frames;
  backtrace_symbols_fd(frames.data(), backtrace(frames.data(), kMostFrames), STDERR_FILENO);
  raise(signal);  // by its default now: SA_RESETHAND
}

}  // namespace

// A sanitizer's own report says more.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ATTUNE_SANITIZED 1
#endif
#endif

void ReportCrashes(const char* program) {
#ifdef ATTUNE_SANITIZED
  return;
#endif
  program_name = program;
  // The first call loads a library, which a signal handler must not.
  void* frame = nullptr;
  backtrace(&frame, 1);
  struct sigaction action = {};
  action.sa_sigaction = Report;
  action.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER;
  for (int signal : kSignals) sigaction(signal, &action, nullptr);
}

}  // namespace attune
