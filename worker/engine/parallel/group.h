#pragma once

// The ranks of one generation and what they do together. Every call is collective: all ranks make
// the same calls in the same order. Not thread-safe. With one rank nothing is opened and every call
// is the identity.
//
// A peer that died, hangs or cannot be reached is kUnavailable; the message says which operation
// failed. After that the group is of no more use.

#include <ATen/core/Tensor.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// A collective on its way. Must be waited for before its tensor is used.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual Status Wait() = 0;
};

class Group {
 public:
  // Meets the other ranks through the store, which must outlive the group. Membership is checked.
  static Result<std::unique_ptr<Group>> Open(const Membership& membership, KeyValueStore* store);
  ~Group();

  int rank() const { return membership_.rank; }
  int world_size() const { return membership_.world_size; }
  const Membership& membership() const { return membership_; }
  at::Device device() const { return at::Device(membership_.device); }

  // Replaces a contiguous tensor on the group's device by its sum over ranks.
  Result<std::unique_ptr<Pending>> StartSum(at::Tensor tensor);

  // Replaces a contiguous tensor on the group's device by that of rank `root`.
  Result<std::unique_ptr<Pending>> StartBroadcast(at::Tensor tensor, int root);

  // The sum over ranks of each value; every rank gets the same bits. `slack` is added to the
  // timeout where ranks may arrive far apart.
  Result<std::vector<double>> Sum(std::vector<double> values,
                                  std::chrono::milliseconds slack = std::chrono::milliseconds(0));
  // What any rank was asked to do; a stop with a checkpoint, the safer one, wins.
  Result<StopRequest> AgreeOnStop(StopRequest mine);
  // Every rank's text, by rank. slack: as Sum's.
  Result<std::vector<std::string>> Gather(
      const std::string& text, std::chrono::milliseconds slack = std::chrono::milliseconds(0));
  // Rank 0's text, on every rank. Others wait for rank 0 for timeout + slack.
  Result<std::string> FromFirst(const std::string& text,
                                std::chrono::milliseconds slack = std::chrono::milliseconds(0));
  // Rank 0's status, on every rank: for work that only rank 0 does, such as writing files.
  Status StatusFromFirst(const Status& status, std::chrono::milliseconds slack);

 private:
  struct Backends;
  explicit Group(const Membership& membership);

  const Membership membership_;
  std::unique_ptr<Backends> backends_;  // null with one rank
};

// The device of a membership, its module loaded: "cpu", "cuda:N".
Result<at::Device> OpenDevice(const std::string& device);

}  // namespace attune::engine
