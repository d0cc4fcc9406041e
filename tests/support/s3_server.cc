#include "tests/support/s3_server.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

namespace attune {

std::unique_ptr<S3Server> S3Server::Start(const std::filesystem::path& folder) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) return nullptr;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  const std::string script = "tests/support/s3_server.py";
  const char* argv[] = {"python3", script.c_str(), ATTUNE_S3_WHEELS, folder.c_str(), nullptr};
  std::unique_ptr<S3Server> server(new S3Server);
  const int failed = posix_spawnp(&server->pid_, "/usr/bin/python3", &actions, nullptr,
                                  const_cast<char**>(argv), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  server->to_ = in[1];
  server->from_ = out[0];
  if (failed != 0) {
    server->pid_ = -1;
    std::perror("python3");
    return nullptr;
  }
  server->port_ = server->ReadLine();
  return server->port_.empty() ? nullptr : std::move(server);
}

S3Server::~S3Server() {
  close(to_);
  close(from_);
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string S3Server::ReadLine() {
  std::string line;
  for (char c; read(from_, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

bool S3Server::Sync() {
  return write(to_, "\n", 1) == 1 && ReadLine() == "synced";
}

std::string S3Server::Address(const std::string& prefix) const {
  return "s3://live/" + prefix + "?endpoint_override=127.0.0.1:" + port_ +
         "&scheme=http&region=us-east-1";
}

}  // namespace attune
