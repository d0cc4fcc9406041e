// What tasks other than the next token's make of rows.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/data/prepare_fixture.h"

namespace attune::engine {
namespace {

using testing::HasSubstr;

class LabelsTest : public PrepareTest {
 protected:
  PrepareTask Labelled(const std::vector<std::string>& labels, std::vector<std::string> of_rows) {
    std::vector<Json> rows;
    for (const std::string& label : of_rows) {
      rows.push_back(Text("text " + std::to_string(rows.size())));
      rows.back()["metadata"] = {{"label", label}};
    }
    PrepareTask task = Task({WriteDataset("data", rows)});
    task.objective = {.type = "classification", .labels = labels};
    return task;
  }

  // The last token of each example is its label.
  std::vector<uint32_t> Found(const PrepareTask& task) {
    const Status status = Prepare(task, observer_).status();
    EXPECT_TRUE(status.ok()) << status.ToString();
    if (!status.ok()) return {};
    auto data = OpenPrepared(task);
    std::vector<uint32_t> found;
    for (size_t i = 0; i < data->train->size(); ++i) {
      found.push_back(data->train->Example(i).tokens.back());
    }
    return found;
  }
};

TEST_F(LabelsTest, ANameOrElseAnIndex) {
  EXPECT_EQ(Found(Labelled({"negative", "positive"}, {"positive", "0", " 1 ", "negative"})),
            (std::vector<uint32_t>{1, 0, 1, 0}));
}

TEST_F(LabelsTest, ANumberThatIsANameIsNoIndex) {
  EXPECT_EQ(Found(Labelled({"1", "0", "2"}, {"0", "1", "2"})), (std::vector<uint32_t>{1, 0, 2}));
}

// From 0 on where labels are counted from 1: another numbering, not an index.
TEST_F(LabelsTest, ANumberBesideNumbersIsNoIndex) {
  const Status status = Prepare(Labelled({"1", "2", "3"}, {"0", "1"}), observer_).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
}

TEST_F(LabelsTest, NeitherIsRefused) {
  for (const char* label : {"2", "-1", "1.0", "neutral", "", "99999999999999999999999"}) {
    const Status status =
        Prepare(Labelled({"negative", "positive"}, {label, "0"}), observer_).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << label;
    EXPECT_THAT(status.message(), HasSubstr("nor the index of one: negative, positive")) << label;
  }
}

}  // namespace
}  // namespace attune::engine
