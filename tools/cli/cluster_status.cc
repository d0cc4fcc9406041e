#include <filesystem>

#include "common/spec/json.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/job_view.h"
#include "tools/cli/local_cluster.h"

namespace attune::cli {
namespace {

nlohmann::ordered_json ProcessesJson(const LocalCluster& cluster) {
  auto processes = nlohmann::ordered_json::array();
  for (const Daemon& daemon : cluster.Daemons()) {
    auto process = cluster.Running(daemon.name);
    processes.push_back({{"name", daemon.name},
                         {"running", process.has_value()},
                         {"pid", process ? process->pid : 0},
                         {"log", cluster.LogOf(daemon.name).string()}});
  }
  return processes;
}

Table NodeTable(const google::protobuf::RepeatedPtrField<v1::Node>& nodes, TimePoint now) {
  Table table({{.header = "NODE", .shrinks = true},
               {.header = "STATE"},
               {.header = "SLOTS", .right = true},
               {.header = "DEVICE", .shrinks = true},
               {.header = "CORES", .right = true, .optional = true},
               {.header = "MEMORY", .right = true, .optional = true},
               {.header = "SEEN", .right = true, .optional = true},
               {.header = "VERSION", .optional = true},
               {.header = "METRICS", .optional = true},
               {.header = "ADDRESS", .optional = true}});
  for (const v1::Node& node : nodes) {
    Style style = node.state() == v1::Node::READY ? Style::kGreen : Style::kYellow;
    std::string age = FormatAge(node.last_heartbeat(), now);
    table.Add({node.name(),
               {v1::Node::State_Name(node.state()), style},
               std::to_string(node.slots_used()) + "/" + std::to_string(node.slots()),
               node.device(),
               std::to_string(node.cores()),
               FormatBytes(static_cast<double>(node.memory_bytes())),
               age.empty() ? "" : age + " ago",
               node.version(),
               node.metrics_address(),
               node.address()});
  }
  return table;
}

std::string StatusCard(const v1::ClusterStatus& status, const std::string& address,
                       const ViewOptions& view) {
  Card card(view);
  card.Title("Coordinator " + address);
  std::string age = FormatAge(status.started(), view.now);
  card.Row("Version", status.version() + (age.empty() ? "" : ", up " + age));
  card.Row("Nodes", std::to_string(status.nodes_ready()) + " ready, " +
                        std::to_string(status.slots_used()) + " of " +
                        std::to_string(status.slots()) + " slots in use");
  std::string jobs;
  for (const char* state :
       {"QUEUED", "PREPARING", "RUNNING", "PAUSED", "SUCCEEDED", "FAILED", "CANCELLED"}) {
    auto it = status.jobs().find(state);
    if (it == status.jobs().end() || it->second == 0) continue;
    jobs += (jobs.empty() ? "" : ", ") + std::to_string(it->second) + " " + state;
  }
  card.Row("Jobs", jobs.empty() ? "none" : jobs);
  card.Row("Storage", status.storage() + " (" +
                          FormatBytes(static_cast<double>(status.storage_free_bytes())) + " free)");
  if (!status.metrics_address().empty())
    card.Row("Metrics", "http://" + status.metrics_address() + "/metrics");
  return card.Render();
}

Result<v1::ListNodesResponse> ListNodes(Client& client) {
  v1::ListNodesResponse all;
  v1::ListNodesRequest request;
  do {
    request.set_page_size(200);
    ATTUNE_ASSIGN_OR_RETURN(
        v1::ListNodesResponse page,
        client.Call(client.nodes(), &v1::NodeService::Stub::ListNodes, request));
    all.mutable_nodes()->MergeFrom(page.nodes());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

std::string ProcessTable(const nlohmann::ordered_json& processes, Printer& printer) {
  Table table({{.header = "PROCESS"},
               {.header = "PID", .right = true},
               {.header = "LOG", .shrinks = true}});
  for (const auto& process : processes) {
    bool running = process["running"];
    Table::Cell pid = running ? Table::Cell(std::to_string(process["pid"].get<int>()))
                              : Table::Cell("gone", Style::kRed);
    table.Add({process["name"].get<std::string>(), pid, process["log"].get<std::string>()});
  }
  return table.Render(printer.width(), printer.color());
}

}  // namespace

Result<int> RunStatus(Session& session, const Arguments&) {
  ATTUNE_ASSIGN_OR_RETURN(Settings settings, session.settings());
  std::filesystem::path home = HomeFolder(session.io());
  auto file = ReadClusterFile(home);
  bool local = file.ok() && settings.endpoint.address == file->Address();
  nlohmann::ordered_json json = {{"address", settings.endpoint.address}};
  std::string card, processes;
  if (local) {
    json["processes"] = ProcessesJson(LocalCluster(home, *file));
    processes = ProcessTable(json["processes"], session.printer());
  }
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  auto status =
      client->Call(client->cluster(), &v1::ClusterService::Stub::GetStatus, v1::GetStatusRequest());
  if (!status.ok()) {
    if (local && session.printer().human()) session.printer().out() << processes;
    return status.status();
  }
  ATTUNE_ASSIGN_OR_RETURN(v1::ListNodesResponse nodes, ListNodes(*client));
  json["cluster"] = spec::ToJson(*status);
  json["nodes"] = spec::ToJson(nodes)["nodes"];
  TimePoint now = session.io().clock->Now();
  Printer& printer = session.printer();
  card = StatusCard(*status, settings.endpoint.address,
                    {.now = now, .width = printer.width(), .color = printer.color()});
  Table table = NodeTable(nodes.nodes(), now);
  if (!table.empty()) card += "\n" + table.Render(printer.width(), printer.color());
  if (local) card += "\n" + processes;
  printer.Object(json, settings.endpoint.address, card);
  return kExitOk;
}

Result<int> RunNodeList(Session& session, const Arguments&) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  ATTUNE_ASSIGN_OR_RETURN(v1::ListNodesResponse nodes, ListNodes(*client));
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  for (const v1::Node& node : nodes.nodes())
    items.push_back(spec::ToJson(node)), names.push_back(node.name());
  session.printer().List(items, names, NodeTable(nodes.nodes(), session.io().clock->Now()),
                         "no nodes; start one with attune-worker or `attune up`");
  return kExitOk;
}

}  // namespace attune::cli
