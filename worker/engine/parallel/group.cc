#include "worker/engine/parallel/group.h"

#include <algorithm>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "common/base/mutex.h"
#include "worker/engine/parallel/backends.h"
#include "worker/engine/parallel/kv_store.h"

namespace attune::engine {
namespace {

Status PeerLost(const Membership& membership, const char* operation, const std::exception& error) {
  std::string what = error.what();
  what = what.substr(0, what.find('\n'));
  return Unavailable("rank " + std::to_string(membership.rank) + " of " +
                     std::to_string(membership.world_size) + " lost a peer while it " + operation +
                     ": " + what);
}

constexpr char kSummed[] = "summed gradients", kShared[] = "shared updated weights or state";

class PendingWork : public Pending {
 public:
  PendingWork(const Membership& membership, const char* operation,
              c10::intrusive_ptr<c10d::Work> work, at::Tensor tensor)
      : membership_(membership),
        operation_(operation),
        work_(std::move(work)),
        tensor_(std::move(tensor)) {}

  Status Wait() override {
    try {
      work_->wait();
      return Status();
    } catch (const std::exception& error) {
      return PeerLost(membership_, operation_, error);
    }
  }

 private:
  const Membership& membership_;
  const char* const operation_;
  c10::intrusive_ptr<c10d::Work> work_;
  at::Tensor tensor_;
};

class NothingPending : public Pending {
 public:
  Status Wait() override { return Status(); }
};

Status CheckMembership(const Membership& membership, const KeyValueStore* store) {
  if (membership.world_size < 1 || membership.rank < 0 ||
      membership.rank >= membership.world_size) {
    return InvalidArgument("rank " + std::to_string(membership.rank) + " of " +
                           std::to_string(membership.world_size) + " is no membership");
  }
  if (membership.world_size > 1 && store == nullptr) {
    return InvalidArgument("more than one rank needs a key-value store to meet");
  }
  return Status();
}

// torch 2.11's flight recorder notes a group at its first collective in a map of the process,
// without a lock: groups on threads of one process, as tests have them, must not start collectives
// at once.
Mutex starting;

template <typename Collective>
c10::intrusive_ptr<c10d::Work> Start(const Collective& collective) {
  MutexLock lock(&starting);
  return collective();
}

at::Tensor Bytes(const std::string& text) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), bytes.data_ptr<uint8_t>());
  return bytes;
}

std::string Text(const at::Tensor& bytes, int64_t size) {
  const uint8_t* data = bytes.data_ptr<uint8_t>();
  return {data, data + size};
}

}  // namespace

struct Group::Backends {
  c10::intrusive_ptr<c10d::Backend> control;  // Gloo: small things on the CPU
  c10::intrusive_ptr<c10d::Backend> device;   // gradients
};

Group::Group(const Membership& membership) : membership_(membership) {}
Group::~Group() = default;

Result<std::unique_ptr<Group>> Group::Open(const Membership& membership, KeyValueStore* store) {
  ATTUNE_RETURN_IF_ERROR(CheckMembership(membership, store));
  ATTUNE_ASSIGN_OR_RETURN(const at::Device device, OpenDevice(membership.device));
  std::unique_ptr<Group> group(new Group(membership));
  if (membership.world_size == 1) return group;
  try {
    auto base = c10::make_intrusive<KvStore>(store, membership.timeout);
    BackendRequest request{.store = c10::make_intrusive<c10d::PrefixStore>("control", base),
                           .rank = membership.rank,
                           .world_size = membership.world_size,
                           .device_index = std::max<int>(device.index(), 0),
                           .timeout = membership.timeout};
    group->backends_ = std::make_unique<Backends>();
    group->backends_->control = OpenGloo(request);
    request.store = c10::make_intrusive<c10d::PrefixStore>("device", base);
    ATTUNE_ASSIGN_OR_RETURN(group->backends_->device,
                            OpenDeviceBackend(c10::DeviceTypeName(device.type(), true), request));
    if (!group->backends_->device) group->backends_->device = group->backends_->control;
    return group;
  } catch (const std::exception& error) {
    return PeerLost(membership, "connected to the others", error);
  }
}

Result<std::unique_ptr<Pending>> Group::StartSum(at::Tensor tensor) {
  if (!backends_) return std::unique_ptr<Pending>(new NothingPending);
  try {
    std::vector<at::Tensor> tensors = {tensor};
    auto work = Start([&] { return backends_->device->allreduce(tensors); });
    return std::unique_ptr<Pending>(
        new PendingWork(membership_, kSummed, std::move(work), std::move(tensor)));
  } catch (const std::exception& error) {
    return PeerLost(membership_, kSummed, error);
  }
}

Result<std::unique_ptr<Pending>> Group::StartBroadcast(at::Tensor tensor, int root) {
  if (!backends_) return std::unique_ptr<Pending>(new NothingPending);
  try {
    std::vector<at::Tensor> tensors = {tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    auto work = Start([&] { return backends_->device->broadcast(tensors, options); });
    return std::unique_ptr<Pending>(
        new PendingWork(membership_, kShared, std::move(work), std::move(tensor)));
  } catch (const std::exception& error) {
    return PeerLost(membership_, kShared, error);
  }
}

Result<std::vector<double>> Group::Sum(std::vector<double> values,
                                       std::chrono::milliseconds slack) {
  if (!backends_) return values;
  try {
    at::Tensor tensor = at::from_blob(values.data(), {static_cast<int64_t>(values.size())},
                                      at::TensorOptions(at::kDouble));
    std::vector<at::Tensor> tensors = {tensor};
    c10d::AllreduceOptions options;
    options.timeout = membership_.timeout + slack;
    Start([&] { return backends_->control->allreduce(tensors, options); })->wait();
    return values;
  } catch (const std::exception& error) {
    return PeerLost(membership_, "summed losses", error);
  }
}

Result<StopRequest> Group::AgreeOnStop(StopRequest mine) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<double> asked,
                          Sum({mine == StopRequest::kStop ? 1.0 : 0.0,
                               mine == StopRequest::kCheckpointAndStop ? 1.0 : 0.0}));
  if (asked[1] > 0) return StopRequest::kCheckpointAndStop;
  return asked[0] > 0 ? StopRequest::kStop : StopRequest::kNone;
}

Result<std::vector<std::string>> Group::Gather(const std::string& text,
                                               std::chrono::milliseconds slack) {
  if (!backends_) return std::vector<std::string>{text};
  try {
    c10d::AllreduceOptions options;
    options.timeout = membership_.timeout + slack;
    const int ranks = membership_.world_size;
    at::Tensor sizes = at::zeros({ranks}, at::kLong);
    sizes[membership_.rank] = static_cast<int64_t>(text.size());
    std::vector<at::Tensor> in = {sizes};
    Start([&] { return backends_->control->allreduce(in, options); })->wait();
    const int64_t width = std::max<int64_t>(1, sizes.max().item<int64_t>());
    // A row per rank, zero elsewhere: the sum of bytes is the bytes.
    at::Tensor rows = at::zeros({ranks, width}, at::kByte);
    if (!text.empty()) {
      rows[membership_.rank].narrow(0, 0, static_cast<int64_t>(text.size())).copy_(Bytes(text));
    }
    in = {rows};
    Start([&] { return backends_->control->allreduce(in, options); })->wait();
    std::vector<std::string> texts;
    for (int r = 0; r < ranks; ++r) texts.push_back(Text(rows[r], sizes[r].item<int64_t>()));
    return texts;
  } catch (const std::exception& error) {
    return PeerLost(membership_, "compared notes", error);
  }
}

Result<std::string> Group::FromFirst(const std::string& text, std::chrono::milliseconds slack) {
  if (!backends_) return text;
  try {
    c10d::BroadcastOptions options;
    options.timeout = membership_.timeout + slack;
    at::Tensor size = at::full({1}, static_cast<int64_t>(text.size()), at::kLong);
    std::vector<at::Tensor> tensors = {size};
    Start([&] { return backends_->control->broadcast(tensors, options); })->wait();
    at::Tensor bytes = at::zeros({size.item<int64_t>() + 1}, at::kByte);
    if (membership_.rank == 0 && !text.empty()) {
      bytes.narrow(0, 0, static_cast<int64_t>(text.size())).copy_(Bytes(text));
    }
    tensors = {bytes};
    Start([&] { return backends_->control->broadcast(tensors, options); })->wait();
    return Text(bytes, size.item<int64_t>());
  } catch (const std::exception& error) {
    return PeerLost(membership_, "waited for rank 0", error);
  }
}

Status Group::StatusFromFirst(const Status& status, std::chrono::milliseconds slack) {
  if (!backends_) return status;
  const std::string mine = std::to_string(static_cast<int>(status.code())) + " " + status.message();
  ATTUNE_ASSIGN_OR_RETURN(const std::string first, FromFirst(mine, slack));
  if (membership_.rank == 0) return status;
  const size_t space = first.find(' ');
  if (space == std::string::npos) return Internal("rank 0 sent no status");
  const auto code = static_cast<StatusCode>(std::atoi(first.c_str()));
  if (code == StatusCode::kOk) return Status();
  return Status(code, "rank 0: " + first.substr(space + 1));
}

Result<at::Device> OpenDevice(const std::string& device) {
  ATTUNE_RETURN_IF_ERROR(LoadDeviceModule(device.substr(0, device.find(':'))));
  try {
    return at::Device(device);
  } catch (const std::exception&) {
    return InvalidArgument("'" + device + "' is no device: use cpu or cuda:N");
  }
}

}  // namespace attune::engine
