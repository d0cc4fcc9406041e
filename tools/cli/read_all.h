#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "tools/cli/session.h"
#include "tools/cli/stream.h"

namespace attune::cli {

// Reads a stream to its end. With follow it is opened again when the coordinator went away, until
// patience ends. open(): a new reader; take(item); idle(): some times a second while nothing comes;
// its error ends the reading. kCancelled after Ctrl-C.
template <typename Item, typename Open, typename Take>
Status ReadAll(Session& session, Client& client, bool follow, const Open& open, const Take& take,
               const std::function<Status()>& idle = {}) {
  using std::chrono::milliseconds;
  using std::chrono::steady_clock;
  constexpr milliseconds kTick{200}, kFollowDeadline{3600 * 1000}, kReadDeadline{120 * 1000};
  constexpr std::chrono::minutes kPatience{15};
  constexpr int kTicksOpen = 25;
  CatchInterrupt catch_interrupt;
  Backoff backoff(1);
  auto away_since = steady_clock::time_point();
  while (true) {
    auto reader = open(client.NewContext(follow ? kFollowDeadline : kReadDeadline));
    using Event = typename StreamReader<Item>::Event;
    Item item;
    int ticks = 0;
    for (Event next; (next = reader->Next(&item, kTick)) != Event::kEnd;) {
      if (session.io().interrupted()) return Cancelled("interrupted");
      if (next == Event::kTimeout) {
        if (++ticks == kTicksOpen) away_since = {};  // it is back, and has nothing to say yet
        session.io().out->flush();
        if (idle) ATTUNE_RETURN_IF_ERROR(idle());
        continue;
      }
      away_since = {};
      backoff.Reset();
      take(item);
    }
    session.io().out->flush();
    const grpc::Status& status = reader->status();
    if (status.ok()) return Status();
    bool timed_out = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
    bool again = follow && MayComeBack(status.error_code());
    if (!again) return client.Explain(status);
    auto now = steady_clock::now();
    if (away_since == steady_clock::time_point() && !timed_out) {
      away_since = now;
      session.Say("coordinator away, retrying");
    }
    if (!timed_out && now - away_since > kPatience) return client.Explain(status);
    for (auto until = now + backoff.Next(); steady_clock::now() < until;) {
      if (session.io().interrupted()) return Cancelled("interrupted");
      std::this_thread::sleep_for(milliseconds(50));
    }
  }
}

}  // namespace attune::cli
