#include "coordinator/objects/timely_source.h"

#include <atomic>
#include <system_error>
#include <thread>

#include "common/base/mutex.h"

namespace attune::objects {
namespace {

std::atomic<int> calls_under_way{0};

}  // namespace

int CallsUnderWay() {
  return calls_under_way;
}

// One mutex for all: it is held for moments.
struct Patience::State {
  explicit State(std::chrono::milliseconds m) : most(m) {}

  const std::chrono::milliseconds most;
  Mutex mutex;
  CondVar changed;
  bool over GUARDED_BY(mutex) = false;
};

namespace {

struct Call {
  // Guarded by the patience's mutex.
  bool stop = false;  // no more bytes are wanted
  bool ended = false;
  bool has_bytes = false;
  std::string_view bytes;  // while has_bytes, of the thread that waits
  Status status;
  std::vector<Object> objects;
};

// What a thread that was given up may still use.
struct Below {
  Patience::Open open;
  std::unique_ptr<ObjectSource> source;  // of the thread of the call; there is one at a time
  bool busy = false;                     // guarded by the patience's mutex
};

}  // namespace

class TimelySource final : public ObjectSource {
 public:
  TimelySource(std::string address, Patience::Open open, std::shared_ptr<Patience::State> patience)
      : address_(std::move(address)), patience_(std::move(patience)) {
    below_->open = std::move(open);
  }

  Result<std::vector<Object>> List(std::string_view suffix) override {
    ATTUNE_ASSIGN_OR_RETURN(
        std::shared_ptr<Call> call,
        Begin([suffix = std::string(suffix)](ObjectSource& source, Call* made) -> Status {
          ATTUNE_ASSIGN_OR_RETURN(made->objects, source.List(suffix));
          return Status();
        }));
    ATTUNE_RETURN_IF_ERROR(Wait(call.get(), {}));
    return std::move(call->objects);
  }

  Status Read(const std::string& name,
              const std::function<Status(std::string_view)>& take) override {
    ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<Call> call,
                            Begin([patience = patience_, name](ObjectSource& source, Call* made) {
                              return source.Read(name, [&](std::string_view bytes) {
                                return HandOver(patience.get(), made, bytes);
                              });
                            }));
    return Wait(call.get(), take);
  }

 private:
  using Run = std::function<Status(ObjectSource&, Call*)>;

  Result<std::shared_ptr<Call>> Begin(Run run) {
    {
      MutexLock lock(&patience_->mutex);
      if (patience_->over) return Over();
      if (below_->busy) return TooLate();
      below_->busy = true;
    }
    auto call = std::make_shared<Call>();
    ++calls_under_way;
    try {
      std::thread([patience = patience_, below = below_, call, run = std::move(run)]() mutable {
        const Status status = RunBelow(below.get(), call.get(), run);
        Release(patience.get(), std::move(below));
        MutexLock lock(&patience->mutex);
        call->status = status;
        call->ended = true;
        --calls_under_way;
        patience->changed.NotifyAll();
      }).detach();
    } catch (const std::system_error& error) {
      Release(patience_.get(), below_);
      --calls_under_way;
      return Unavailable(address_ + " cannot be read: there is no thread for it: " + error.what());
    }
    return call;
  }

  // Of a call that was given up this may be the last hold of the source, whose client is then
  // freed here, without the mutex, and before the call counts as ended.
  static void Release(Patience::State* patience, std::shared_ptr<Below> below) {
    MutexLock lock(&patience->mutex);
    below->busy = false;
  }

  static Status RunBelow(Below* below, Call* call, const Run& run) {
    if (!below->source) {
      ATTUNE_ASSIGN_OR_RETURN(below->source, below->open());
    }
    return run(*below->source, call);
  }

  static Status HandOver(Patience::State* patience, Call* call, std::string_view bytes) {
    MutexLock lock(&patience->mutex);
    if (call->stop) return NobodyWaits();
    call->bytes = bytes;
    call->has_bytes = true;
    patience->changed.NotifyAll();
    while (call->has_bytes && !call->stop) patience->changed.Wait(&patience->mutex);
    return call->stop ? NobodyWaits() : Status();
  }
  static Status NobodyWaits() { return Cancelled("nobody waits any more"); }

  // For the end of the call; bytes on the way there go to take.
  Status Wait(Call* call, const std::function<Status(std::string_view)>& take) {
    for (Status taken;;) {
      std::string_view bytes;
      {
        MutexLock lock(&patience_->mutex);
        const auto deadline = std::chrono::steady_clock::now() + patience_->most;
        bool in_time = true;
        while (in_time && !call->ended && !call->has_bytes && !patience_->over) {
          in_time = patience_->changed.WaitUntil(&patience_->mutex, deadline);
        }
        if (call->ended) return taken.ok() ? call->status : taken;
        if (patience_->over || !call->has_bytes) {
          call->stop = true;
          patience_->changed.NotifyAll();
          return !taken.ok() ? taken : patience_->over ? Over() : TooLate();
        }
        bytes = call->bytes;
      }
      taken = take(bytes);
      MutexLock lock(&patience_->mutex);
      call->has_bytes = false;
      call->stop = !taken.ok();
      patience_->changed.NotifyAll();
    }
  }

  Status Over() const { return Unavailable(address_ + " is read no more: the process ends"); }
  Status TooLate() const {
    return DeadlineExceeded(
        address_ + " has not answered for " +
        std::to_string(std::chrono::ceil<std::chrono::seconds>(patience_->most).count()) +
        " s: look at the network, and at what serves it");
  }

  const std::string address_;
  const std::shared_ptr<Patience::State> patience_;
  const std::shared_ptr<Below> below_ = std::make_shared<Below>();
};

Patience::Patience(std::chrono::milliseconds most) : state_(std::make_shared<State>(most)) {}

Patience::~Patience() {
  End();
}

void Patience::End() {
  MutexLock lock(&state_->mutex);
  state_->over = true;
  state_->changed.NotifyAll();
}

std::unique_ptr<ObjectSource> Patience::Bound(const std::string& address, Open open) const {
  return std::make_unique<TimelySource>(address, std::move(open), state_);
}

}  // namespace attune::objects
