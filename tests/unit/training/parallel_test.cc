#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/generated/variable_factories.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_folder.h"
#include "tests/unit/training/ranks.h"
#include "worker/engine/parallel/gather.h"
#include "worker/engine/parallel/gradient_sync.h"
#include "worker/engine/parallel/group.h"

namespace attune::engine {
namespace {

using testing::RunRanks;

TEST(MemoryStore, CompareAndSetFollowsC10d) {
  auto store = NewMemoryStore();
  EXPECT_EQ(*store->CompareAndSet("k", "other", "new"), "other");
  EXPECT_FALSE(*store->Check({"k"}));
  EXPECT_EQ(*store->CompareAndSet("k", "", "first"), "first");
  EXPECT_EQ(*store->CompareAndSet("k", "wrong", "second"), "first");
  EXPECT_EQ(*store->CompareAndSet("k", "first", "second"), "second");
  EXPECT_EQ(*store->Add("n", 2), 2);
  EXPECT_EQ(*store->Add("n", 3), 5);
  EXPECT_TRUE(*store->Delete("n"));
  EXPECT_FALSE(*store->Delete("n"));
  EXPECT_EQ(store->Get("n", std::chrono::milliseconds(1)).status().code(),
            StatusCode::kDeadlineExceeded);
}

TEST(Group, SumsGathersAndBroadcasts) {
  RunRanks(3, [](const Membership& membership, KeyValueStore* store) {
    auto group = Group::Open(membership, store);
    ASSERT_TRUE(group.ok()) << group.status().ToString();
    const int rank = membership.rank;
    EXPECT_THAT(*(*group)->Sum({1.0 + rank, 0.5}), ::testing::ElementsAre(6.0, 1.5));
    EXPECT_THAT(*(*group)->Gather(std::string(static_cast<size_t>(rank), 'x')),
                ::testing::ElementsAre("", "x", "xx"));
    EXPECT_EQ(*(*group)->FromFirst(rank == 0 ? "plan" : "ignored"), "plan");
    const Status status = (*group)->StatusFromFirst(
        rank == 0 ? ResourceExhausted("disk full") : Status(), std::chrono::seconds(1));
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
    EXPECT_THAT(status.message(), ::testing::HasSubstr("disk full"));
  });
}

TEST(Group, RefusesAMembershipThatIsNone) {
  EXPECT_EQ(Group::Open({.rank = 2, .world_size = 2}, nullptr).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Group::Open({.rank = 0, .world_size = 2}, nullptr).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Group::Open({.device = "tpu:0"}, nullptr).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(Group, APeerThatNeverComesIsUnavailable) {
  auto store = NewMemoryStore();
  const auto group = Group::Open(
      {.rank = 0, .world_size = 2, .timeout = std::chrono::milliseconds(300)}, store.get());
  EXPECT_EQ(group.status().code(), StatusCode::kUnavailable);
}

TEST(Group, APeerThatLeavesIsUnavailable) {
  RunRanks(2, [](const Membership& membership, KeyValueStore* store) {
    auto group = Group::Open(membership, store);
    ASSERT_TRUE(group.ok()) << group.status().ToString();
    if (membership.rank == 1) return;  // closes its connections
    const auto sum = (*group)->Sum({1.0});
    EXPECT_EQ(sum.status().code(), StatusCode::kUnavailable);
    EXPECT_THAT(sum.status().message(), ::testing::HasSubstr("rank 0 of 2 lost a peer"));
  });
}

TEST(Group, APeerThatHangsIsUnavailableAfterTheTimeout) {
  RunRanks(
      2,
      [](const Membership& membership, KeyValueStore* store) {
        auto group = Group::Open(membership, store);
        ASSERT_TRUE(group.ok()) << group.status().ToString();
        if (membership.rank == 1) {
          (void)store->Get("rank 0 is done", std::chrono::seconds(30)).ok();
          return;
        }
        const auto sum = (*group)->Sum({1.0});
        EXPECT_EQ(sum.status().code(), StatusCode::kUnavailable);
        ASSERT_TRUE(store->Set("rank 0 is done", "1").ok());
      },
      std::chrono::milliseconds(2000));
}

// A little model: loss = sum(tanh(x w1) w2) over the rows x of a micro-batch.
struct Toy {
  at::Tensor w1, w2, unused;
  Toy() {
    w1 = at::linspace(-1, 1, 12).view({3, 4}).clone().requires_grad_();
    w2 = at::linspace(0.5, 1.5, 8).view({4, 2}).clone().requires_grad_();
    unused = at::ones({5}).requires_grad_();
  }
  std::vector<at::Tensor> parameters() { return {w1, w2, unused}; }
  void Backward(const at::Tensor& rows) { at::sin(at::tanh(rows.mm(w1)).mm(w2)).sum().backward(); }
};

at::Tensor Rows() {
  return at::linspace(-2, 2, 18).view({6, 3});
}

TEST(GradientSync, SumsWhateverTheSplitOfMicroBatches) {
  Toy whole;
  whole.Backward(Rows());

  // Rank 0: three micro-batches, rank 1: one, rank 2: none. Small buckets, so that several are in
  // flight.
  const std::vector<std::vector<std::pair<int, int>>> parts = {
      {{0, 1}, {1, 3}, {3, 4}}, {{4, 6}}, {}};
  RunRanks(3, [&](const Membership& membership, KeyValueStore* store) {
    auto group = Group::Open(membership, store);
    ASSERT_TRUE(group.ok()) << group.status().ToString();
    Toy toy;
    GradientSync sync(group->get(), toy.parameters(), 40);
    for (int step = 0; step < 3; ++step) {
      const auto& mine = parts[membership.rank];
      for (size_t i = 0; i < mine.size(); ++i) {
        if (i + 1 == mine.size()) sync.StartLastBackward();
        toy.Backward(Rows().slice(0, mine[i].first, mine[i].second));
      }
      const Status status = sync.Finish();
      ASSERT_TRUE(status.ok()) << status.ToString();
      EXPECT_TRUE(at::allclose(toy.w1.grad(), whole.w1.grad(), 1e-5, 1e-6));
      EXPECT_TRUE(at::allclose(toy.w2.grad(), whole.w2.grad(), 1e-5, 1e-6));
      EXPECT_TRUE(at::equal(toy.unused.grad(), at::zeros({5})));
      sync.Release();
      EXPECT_FALSE(toy.w1.grad().defined());
    }
  });
}

TEST(Group, ABroadcastIsOfTheRankThatIsNamed) {
  RunRanks(3, [](const Membership& membership, KeyValueStore* store) {
    auto group = std::move(*Group::Open(membership, store));
    for (int root = 0; root < 3; ++root) {
      for (const auto type : {at::kFloat, at::kByte}) {
        at::Tensor tensor = at::full({5}, 10 * root + membership.rank, type);
        auto sent = group->StartBroadcast(tensor, root);
        ASSERT_TRUE(sent.ok()) << sent.status().ToString();
        ASSERT_TRUE((*sent)->Wait().ok());
        EXPECT_TRUE(at::equal(tensor, at::full({5}, 11 * root, type)));
      }
    }
  });
}

// More than a piece, none, and bytes.
TEST(GatherOnFirst, BringsEveryRanksTensorsToTheFirst) {
  const TemporaryFolder folder;
  auto tensors = [](int rank) {
    const at::Tensor large = at::arange((5 << 20) * rank, at::kFloat).view({rank, 5 << 20});
    const std::string name = std::to_string(rank);
    return NamedTensors{{"large." + name, large + rank},
                        {"bytes." + name, at::full({3, 2}, rank, at::kByte)}};
  };
  RunRanks(3, [&](const Membership& membership, KeyValueStore* store) {
    auto group = std::move(*Group::Open(membership, store));
    const auto all = GatherOnFirst(*group, tensors(membership.rank), folder.path());
    ASSERT_TRUE(all.ok()) << all.status().ToString();
    ASSERT_EQ(all->size(), membership.rank == 0 ? 6u : 0u);
    if (membership.rank != 0) return;
    for (int rank = 0; rank < 3; ++rank) {
      for (size_t i = 0; i < 2; ++i) {
        const auto& [name, tensor] = (*all)[2 * rank + i];
        EXPECT_EQ(name, tensors(rank)[i].first);
        EXPECT_TRUE(at::equal(tensor, tensors(rank)[i].second)) << name;
      }
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  });
}

TEST(GatherOnFirst, AFolderThatCannotBeIsAnErrorOnAllRanks) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "in the way";
  RunRanks(2, [&](const Membership& membership, KeyValueStore* store) {
    auto group = std::move(*Group::Open(membership, store));
    const NamedTensors mine = {{"t" + std::to_string(membership.rank), at::ones({3})}};
    EXPECT_FALSE(GatherOnFirst(*group, mine, folder.path() / "file").ok());
  });
}

TEST(GradientSync, APeerThatDiesInBackwardIsUnavailable) {
  RunRanks(2, [](const Membership& membership, KeyValueStore* store) {
    auto group = Group::Open(membership, store);
    ASSERT_TRUE(group.ok()) << group.status().ToString();
    // A rank that leaves while the other still connects would fail that instead.
    if (membership.rank == 1) {
      EXPECT_TRUE(store->Get("rank 0 is connected", std::chrono::seconds(30)).ok());
      return;
    }
    ASSERT_TRUE(store->Set("rank 0 is connected", "1").ok());
    Toy toy;
    GradientSync sync(group->get(), toy.parameters());
    sync.StartLastBackward();
    toy.Backward(Rows());
    EXPECT_EQ(sync.Finish().code(), StatusCode::kUnavailable);
  });
}

}  // namespace
}  // namespace attune::engine
