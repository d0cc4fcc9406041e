#include "coordinator/security/users.h"

#include <algorithm>

#include "common/base/files.h"
#include "coordinator/security/tokens.h"

namespace attune::security {
namespace {

Status CheckNamed(const std::vector<User>& named) {
  std::set<std::string> names;
  for (const User& user : named) {
    if (!IsValidName(user.name)) {
      return InvalidArgument("users: \"" + user.name +
                             "\" is not a user's name: use 1 to 63 of a-z, 0-9, '.', '_', '-', "
                             "starting with a letter or digit");
    }
    if (user.name == kSharedUser) {
      return InvalidArgument(
          "users: the name \"user\" is that of whoever shows token_file's token");
    }
    if (!names.insert(user.name).second) {
      return InvalidArgument("users: " + user.name + " is there twice");
    }
    for (const std::string& role : user.roles) {
      if (role == kUser || role == kPromoter) continue;
      return InvalidArgument("users: " + user.name + " has the role \"" + role +
                             "\", which there is not: use user, promoter");
    }
  }
  return Status();
}

}  // namespace

Result<std::vector<User>> MakeUsers(const std::string& shared_token, std::vector<User> named) {
  ATTUNE_RETURN_IF_ERROR(CheckNamed(named));
  const bool named_promoter = std::any_of(
      named.begin(), named.end(), [](const User& user) { return user.roles.count(kPromoter) > 0; });
  std::vector<User> users = std::move(named);
  for (User& user : users) user.roles.insert(kUser);
  if (!shared_token.empty() || users.empty()) {
    User shared{kSharedUser, shared_token, {kUser}};
    if (!named_promoter) shared.roles.insert(kPromoter);
    users.push_back(std::move(shared));
  }
  for (size_t i = 0; i < users.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!EqualTokens(users[i].token, users[j].token)) continue;
      return InvalidArgument("users: " + users[j].name + " and " + users[i].name +
                             " have the same token: give each one of their own");
    }
  }
  return users;
}

const User* FindUser(const std::vector<User>& users, std::string_view token) {
  const User* found = nullptr;
  for (const User& user : users) {
    if (user.token.empty() || EqualTokens(user.token, token)) found = &user;
  }
  return found;
}

Status CheckRole(const std::vector<User>& users, const Caller& caller, std::string_view role) {
  if (caller.Has(role)) return Status();
  std::string who;
  for (const User& user : users) {
    if (user.roles.count(std::string(role)) > 0) who += (who.empty() ? "" : ", ") + user.name;
  }
  return Status(StatusCode::kPermissionDenied,
                "the user \"" + caller.name + "\" does not have the role \"" + std::string(role) +
                    "\"" + (who.empty() ? "" : ", which " + who + " has") +
                    ": use the token of someone who has it (--token-file), or have it given in "
                    "`users` of the coordinator's configuration");
}

}  // namespace attune::security
