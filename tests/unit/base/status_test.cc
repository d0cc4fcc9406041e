#include "common/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "common/base/transient.h"

namespace attune {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd").WithContext("half");
  return value / 2;
}

Result<int> Quarter(int value) {
  ATTUNE_ASSIGN_OR_RETURN(int half, Half(value));
  ATTUNE_ASSIGN_OR_RETURN(int quarter, Half(half));
  return quarter;
}

TEST(Status, CarriesCodeMessageAndField) {
  Status status = InvalidArgument("must be positive").WithField("train.epochs");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.field(), "train.epochs");
  EXPECT_EQ(status.ToString(), "INVALID_ARGUMENT: must be positive");
  EXPECT_TRUE(Status().ok());
}

TEST(Status, ContextKeepsCodeAndField) {
  Status status = InvalidArgument("bad").WithField("ranks").WithContext("job.yaml");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "job.yaml: bad");
  EXPECT_EQ(status.field(), "ranks");
}

TEST(Status, ErrnoBecomesWhatCallersActOn) {
  EXPECT_EQ(ErrnoStatus(ENOSPC, "write x").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrnoStatus(EDQUOT, "write x").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrnoStatus(ENOENT, "open x").code(), StatusCode::kNotFound);
  EXPECT_EQ(ErrnoStatus(EIO, "read x").code(), StatusCode::kInternal);
  EXPECT_EQ(ErrnoStatus(ENOENT, "open x").message(), "open x: No such file or directory");
}

TEST(Result, MacrosPassValuesAndFailures) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "half: odd");
  EXPECT_FALSE(Quarter(3).ok());
}

TEST(Result, HoldsValuesThatOnlyMove) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

TEST(ResultDeathTest, AbortsOnMisuse) {
  EXPECT_DEATH({ (void)*Half(1); }, "half: odd");
  EXPECT_DEATH({ Result<int> wrong{Status()}; }, "OK status");
  EXPECT_DEATH(ATTUNE_CHECK(1 + 1 == 3), "1 \\+ 1 == 3");
}

TEST(Status, WhatTryingAgainMayMend) {
  EXPECT_TRUE(IsTransient(Unavailable("the loop is busy")));
  EXPECT_TRUE(IsTransient(ErrnoStatus(EIO, "read x")));
  EXPECT_TRUE(IsTransient(ErrnoStatus(ENOSPC, "write x")));
  EXPECT_FALSE(IsTransient(Status()));
  EXPECT_FALSE(IsTransient(NotFound("no such thing")));
  EXPECT_FALSE(IsTransient(FailedPrecondition("job-1 failed")));
  EXPECT_FALSE(IsTransient(DataLoss("not what was written")));
}

}  // namespace
}  // namespace attune
