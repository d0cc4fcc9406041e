#pragma once

// How a call that can fail says so. An expected failure is returned, with a message for the person
// who reads it (what is wrong, where, what to do); a broken invariant aborts through ATTUNE_CHECK.

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace attune {

// Only the codes that some caller acts on. They map one to one to gRPC codes and to the CLI's exit
// codes.
enum class StatusCode {
  kOk,
  kInvalidArgument,  // the user's input is wrong; do not retry
  kNotFound,
  kAlreadyExists,       // or conflicts with what is there
  kFailedPrecondition,  // not in this state
  kPermissionDenied,
  kUnauthenticated,
  kResourceExhausted,  // a limit or a disk is full
  kUnavailable,        // try again later
  kDeadlineExceeded,
  kCancelled,
  kDataLoss,  // stored bytes are not what was stored
  kInternal,
};

std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The path of the field that is wrong ("train.epochs"), empty when no field is.
  const std::string& field() const { return field_; }
  Status WithField(std::string field) && {
    field_ = std::move(field);
    return std::move(*this);
  }
  // The same failure seen from one level up: "context: message".
  Status WithContext(std::string_view context) const;
  // "INVALID_ARGUMENT: message", for logs.
  std::string ToString() const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
  std::string field_;
};

Status InvalidArgument(std::string message);
Status NotFound(std::string message);
Status AlreadyExists(std::string message);
Status FailedPrecondition(std::string message);
Status ResourceExhausted(std::string message);
Status Unavailable(std::string message);
Status DeadlineExceeded(std::string message);
Status Cancelled(std::string message);
Status DataLoss(std::string message);
Status Internal(std::string message);
// From errno: a full disk or quota is kResourceExhausted, a missing file kNotFound, else kInternal.
Status ErrnoStatus(int error, std::string_view context);

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

// A value or the reason why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) {
    if (status_.ok()) CheckFailed(__FILE__, __LINE__, "Result made of an OK status");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & { return Checked(); }
  const T& value() const& { return const_cast<Result*>(this)->Checked(); }
  T&& value() && { return std::move(Checked()); }
  T& operator*() & { return Checked(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(Checked()); }
  T* operator->() { return &Checked(); }
  const T* operator->() const { return &value(); }

 private:
  T& Checked() {
    if (!value_) CheckFailed(__FILE__, __LINE__, status_.ToString().c_str());
    return *value_;
  }
  Status status_;
  std::optional<T> value_;
};

}  // namespace attune

#define ATTUNE_CHECK(condition)                                              \
  do {                                                                       \
    if (!(condition)) ::attune::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)

#define ATTUNE_RETURN_IF_ERROR(expression)                                      \
  do {                                                                          \
    if (::attune::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

#define ATTUNE_CONCAT_INNER(a, b) a##b
#define ATTUNE_CONCAT(a, b) ATTUNE_CONCAT_INNER(a, b)
// ATTUNE_ASSIGN_OR_RETURN(auto x, MakeX());
#define ATTUNE_ASSIGN_OR_RETURN(declaration, expression) \
  ATTUNE_ASSIGN_OR_RETURN_INNER(ATTUNE_CONCAT(result_, __LINE__), declaration, expression)
#define ATTUNE_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                          \
  if (!result.ok()) return result.status();                            \
  declaration = std::move(result).value()
