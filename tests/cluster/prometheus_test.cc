// Debian's Prometheus scrapes a live run with deploy/'s configuration; every query of the dashboard
// returns data.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <regex>

#include "common/base/files.h"
#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;

int FreePort() {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  int port = 0;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  close(fd);
  return port;
}

std::string Replace(std::string text, const std::string& from, const std::string& to) {
  EXPECT_NE(text.find(from), std::string::npos) << from;
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// "panel: query" of each target of the dashboard, ready for Prometheus.
std::map<std::string, std::string> DashboardQueries() {
  std::map<std::string, std::string> queries;
  Json dashboard = Json::parse(*ReadFile("deploy/grafana/attune.json"));
  for (const Json& panel : dashboard["panels"]) {
    if (panel["type"] == "row") continue;
    for (const Json& target : panel["targets"]) {
      std::string query = std::regex_replace(target["expr"].get<std::string>(),
                                             std::regex("\\$__rate_interval"), "5m");
      queries[panel["title"].get<std::string>() + " " + target["refId"].get<std::string>()] = query;
    }
  }
  return queries;
}

class PrometheusTest : public ::testing::Test {
 protected:
  // deploy's configuration with this cluster's ports, scraping every second.
  void StartPrometheus() {
    std::string config = *ReadFile("deploy/prometheus/prometheus.yml");
    std::smatch port;
    std::string cluster = cluster_.Read("cluster.yaml");
    ASSERT_TRUE(std::regex_search(cluster, port, std::regex("metrics_port: *([0-9]+)"))) << cluster;
    config = Replace(config, "\"127.0.0.1:9464\"", "\"127.0.0.1:" + port[1].str() + "\"");
    std::string workers;
    for (const Json& node : cluster_.AttuneJson({"node", "list"})) {
      workers +=
          (workers.empty() ? "\"" : ", \"") + node["metrics_address"].get<std::string>() + "\"";
    }
    config = Replace(config, "\"127.0.0.1:9465\", \"127.0.0.1:9466\"", workers);
    config = Replace(config, "scrape_interval: 5s", "scrape_interval: 1s");
    cluster_.Write("prometheus/attune.rules.yml", *ReadFile("deploy/prometheus/attune.rules.yml"));
    fs::path file = cluster_.Write("prometheus/prometheus.yml", config);
    Finished checked = cluster::Run({"/usr/bin/env", "promtool", "check", "config", file.string()},
                                    {}, seconds(30));
    ASSERT_EQ(checked.exit_code, 0) << checked.out << checked.err;

    server_ = "127.0.0.1:" + std::to_string(FreePort());
    std::string data = (cluster_.home() / "prometheus/data").string();
    fs::path log = cluster_.home() / "prometheus/prometheus.log";
    Start({"prometheus", "--config.file=" + file.string(), "--storage.tsdb.path=" + data,
           "--web.listen-address=" + server_},
          {}, log);
    ASSERT_TRUE(Eventually([&] { return Query("vector(1)").find("1") != std::string::npos; }));
  }

  // The result of an instant query, a line "SERIES => VALUE @[TIME]" each.
  std::string Query(const std::string& query) const {
    Finished finished =
        cluster::Run({"/usr/bin/env", "promtool", "query", "instant", "http://" + server_, query},
                     {}, seconds(30));
    return finished.exit_code == 0 ? finished.out : "";
  }

  // At least one series with a number that is not NaN.
  bool HasData(const std::string& query) const {
    std::string result = Query(query);
    static const std::regex kNumber("=> [-+]?[0-9]");
    return std::regex_search(result, kNumber);
  }

  // A stream of live data with a measured window, so that its series are there.
  void MeasureAWindow() {
    fs::path spec = cluster_.Write("in/live.yaml",
                                   "name: live\nmodel: tiny\nreference: docs\n"
                                   "window: {examples: 60, examples_min: 30}\n");
    ASSERT_EQ(cluster_.Attune({"drift", "apply", spec.string()}).exit_code, 0);
    fs::path rows = cluster_.Write("in/live.jsonl", TextRows(60));
    ASSERT_EQ(cluster_.Attune({"drift", "observe", "live", rows.string()}).exit_code, 0);
    Json stream;
    EXPECT_TRUE(Eventually([&] {
      stream = cluster_.AttuneJson({"drift", "show", "live"});
      return !stream["history"].empty() && stream["history"][0]["state"] == "measured";
    })) << stream.dump(1);
  }

  Cluster cluster_;
  std::string server_;
};

TEST_F(PrometheusTest, EveryPanelOfTheDashboardHasData) {
  if (cluster::Run({"/usr/bin/env", "prometheus", "--version"}, {}, seconds(30)).exit_code != 0) {
    FAIL() << "Debian's prometheus is missing: run tools/setup";
  }
  ASSERT_NO_FATAL_FAILURE(cluster_.Up(2));
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  ASSERT_NO_FATAL_FAILURE(StartPrometheus());
  // Rates need a scrape from before the job.
  ASSERT_TRUE(Eventually([&] { return HasData("count(up == 1) == 3"); })) << Query("up");
  ASSERT_NO_FATAL_FAILURE(MeasureAWindow());
  std::string job = cluster_.Submit(Spec("watched", 2, 100000, "evaluate: {every_steps: 50}\n"));
  ASSERT_GE(cluster_.WaitForStep(job, 1)["step"], 1);

  std::map<std::string, std::string> queries = DashboardQueries();
  EXPECT_GE(queries.size(), 17u);
  for (const auto& [panel, query] : queries) {
    EXPECT_TRUE(Eventually([&] { return HasData(query); }, seconds(60)))
        << panel << ": " << query << "\n"
        << Query(query);
  }
  EXPECT_TRUE(Eventually([&] { return HasData("attune_slots{state=\"used\"} == 2"); }));
  EXPECT_FALSE(HasData("up == 0")) << Query("up");
  EXPECT_FALSE(HasData("ALERTS{alertstate=\"firing\"}")) << Query("ALERTS");
  EXPECT_EQ(cluster_.Attune({"job", "cancel", job}).exit_code, 0);
}

}  // namespace
}  // namespace attune::cluster
